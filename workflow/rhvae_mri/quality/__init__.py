"""Quality control of the registered images."""
