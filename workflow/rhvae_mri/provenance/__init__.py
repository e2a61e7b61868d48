"""Provenance: what the study ran with, the checksum of every file, and the description of the derivatives."""
