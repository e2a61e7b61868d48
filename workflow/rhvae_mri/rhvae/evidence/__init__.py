"""Evidence on the quality of a trained RHVAE and of its synthetic images."""
