"""The random search for an architecture: what is drawn, how it is compared, and who wins."""
