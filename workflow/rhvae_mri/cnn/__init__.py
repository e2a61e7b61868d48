"""The convolutional networks of the study and their training, on arrays."""

import rhvae_mri.runtime  # noqa: F401 (asks torch for large memory pages)
