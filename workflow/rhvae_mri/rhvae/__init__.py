"""The Riemannian Hamiltonian variational autoencoder (RHVAE), on arrays of any shape."""
