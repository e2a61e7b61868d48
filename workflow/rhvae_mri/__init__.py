"""The library of rhvae-mri: pure functions on files and arrays, without Snakemake."""

__version__ = "0.1.0"
