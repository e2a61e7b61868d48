"""The plain VAE (Kingma and Welling, arXiv 1312.6114): what is left of the RHVAE without metric and flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy import ndarray
from torch import Tensor

from rhvae_mri.generators.interface import normal_codes
from rhvae_mri.generators.rhvae.generator import BATCH, AutoencoderGenerator
from rhvae_mri.generators.rhvae.importance import LikelihoodEstimate, average_weights
from rhvae_mri.generators.rhvae.kernels.decoder import log_likelihood
from rhvae_mri.generators.rhvae.model import Autoencoder


@dataclass(frozen=True)
class VAEOutput:
    """What one pass through the model gives."""

    loss: Tensor  #: the mean over the batch of the sum of the two terms below, ()
    reconstruction: Tensor  #: -log p(x | z), (n,)
    divergence: Tensor  #: Kullback-Leibler divergence of q(z | x) from N(0, I), (n,)
    position: Tensor  #: z, (n, d)


class VAE(Autoencoder):
    """Variational autoencoder for images of one shape; it has no use for settings of metric and flow."""

    loss_terms = ("loss", "reconstruction", "divergence")
    n_draws = 1
    has_flow = False

    def forward(self, images: Tensor, noise: Tensor) -> VAEOutput:
        """Encode images (n, *image_shape), draw latent positions by ``noise`` (n, d), compute the loss."""
        mean, log_variance = self.encoder(images)
        position = mean + torch.exp(log_variance / 2) * noise
        reconstruction = -self.log_likelihood(images, position)
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2
        return VAEOutput((reconstruction + divergence).mean(), reconstruction, divergence, position)

    def log_likelihood(self, images: Tensor, positions: Tensor) -> Tensor:
        """Compute log p(x | z) as in training: see `kernels.decoder.log_likelihood`."""
        return log_likelihood(self.decoder(positions).flatten(1), images, self.settings.reconstruction)

    def log_weights(self, image: Tensor, noise: Tensor) -> Tensor:
        """Compute log p(x, z) - log q(z | x) of n draws from the encoder for one image; (n,), float64."""
        mean, log_variance = self.encoder(image.unsqueeze(0))  # once, not for each draw
        positions = mean + torch.exp(log_variance / 2) * noise
        parts = [self.log_likelihood(image.unsqueeze(0), part) for part in positions.split(BATCH)]
        # the constants of the two normal densities of z cancel
        log_ratio = (noise.square().sum(1) + log_variance.sum(1) - positions.square().sum(1)) / 2
        log_weights = torch.cat(parts).double() + log_ratio
        if self.settings.reconstruction == "mse":
            log_weights -= image.numel() * math.log(2 * math.pi) / 2  # the constant that the loss leaves out
        return log_weights


class VAEGenerator(AutoencoderGenerator):
    """A trained VAE of the images of one class.

    Examples
    --------
    >>> import numpy
    >>> images = numpy.random.default_rng(0).random((6, 5, 4, 3), dtype=numpy.float32)
    >>> trained = VAEGenerator.fit(images, seed=1, latent_dimension=2, max_epochs=3)
    >>> trained.decode(trained.draw(4, seed=2)).shape
    (4, 5, 4, 3)
    """

    kind = VAE

    def draw(self, n: int, *, seed: int) -> ndarray:
        """Draw codes from the prior."""
        return normal_codes(n, self.model.settings.latent_dimension, seed)

    @torch.no_grad()
    def estimate_likelihood(self, images: Tensor, *, n_draws: int, seed: int) -> LikelihoodEstimate:
        """Estimate log p(x) with draws from the encoder."""
        shape = (n_draws, self.model.settings.latent_dimension)
        return average_weights(images, shape, torch.float64, seed, self.model.log_weights)
