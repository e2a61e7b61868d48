"""The Riemannian Hamiltonian variational autoencoder (RHVAE), on arrays of any shape."""

import rhvae_mri.runtime  # noqa: F401 (asks torch for large memory pages)
