"""Volumes: template and grids, bias field correction, registration, cropping, tensors."""
