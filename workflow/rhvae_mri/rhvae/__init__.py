"""The Riemannian Hamiltonian variational autoencoder (RHVAE), on arrays of any shape."""

import os

# Large tensors get large memory pages, where the system offers them: a training step on a CPU allocates the
# gradients of large layers, and is a tenth faster so. torch reads this when it makes its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
