"""How good a trained RHVAE and its synthetic images are."""
