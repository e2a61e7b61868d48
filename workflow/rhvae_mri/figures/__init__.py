"""The study's figures, each drawn from a source table."""
