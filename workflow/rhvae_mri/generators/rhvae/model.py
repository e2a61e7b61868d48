"""The RHVAE: a variational autoencoder whose encoder's draw flows along a learned Riemannian metric.

Source: Chadebec, Thibeau-Sutre, Burgos, Allassonniere, "Data Augmentation in High Dimensional Low Sample Size
Setting Using a Geometry-Based Variational Autoencoder", arXiv 2105.00026.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from rhvae_mri.generators.rhvae.hamiltonian import HamiltonianFlow, PhasePoint
from rhvae_mri.generators.rhvae.kernels.voxel_layers import VoxelLinear
from rhvae_mri.generators.rhvae.metric import LatentMetric
from rhvae_mri.generators.rhvae.networks import Networks, build_autoencoder, build_networks
from rhvae_mri.generators.rhvae.potential import decoder_potential, has_voxel_kernel
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.io.errors import StudyError


@dataclass(frozen=True)
class RHVAEOutput:
    """What one pass through the model gives."""

    loss: Tensor  #: the mean over the batch of the sum of the four terms below, ()
    reconstruction: Tensor  #: -log p(x | z_K), (n,)
    prior: Tensor  #: -log N(z_K; 0, I), (n,)
    momentum: Tensor  #: -log N(rho_K; 0, G(z_K)), (n,)
    posterior: Tensor  #: log q(z_0 | x), (n,)
    mean: Tensor  #: of the encoder, (n, d)
    log_variance: Tensor  #: of the encoder, (n, d)
    end: PhasePoint  #: z_K, rho_K, the metric there, and the decoder's logits

    @property
    def position(self) -> Tensor:
        """The latent position that is decoded, z_K."""
        return self.end.position


class Autoencoder(nn.Module):
    """Encoder and decoder for images of one shape, and what `training` asks of a model.

    Your own ``networks`` may take the place of those that the settings name, whose initial weights the
    ``generator`` draws. Called with images and ``n_draws`` tensors (n, d) of standard normal draws, a model
    gives an output with the ``loss``, its terms, and the ``position`` that is decoded.
    """

    loss_terms: ClassVar[tuple[str, ...]]  #: the loss and its terms, as they appear in the history
    n_draws: ClassVar[int]  #: normal draws per image and latent dimension
    has_flow: ClassVar[bool]  #: with leapfrog steps, which can be made shorter

    def __init__(
        self,
        settings: RHVAESettings,
        image_shape: Sequence[int],
        networks: Networks | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.image_shape = tuple(int(length) for length in image_shape)
        built = networks or build_autoencoder(settings, self.image_shape, generator)
        self.encoder, self.decoder = built[:2]

    def complete(self, images: Tensor) -> None:
        """Add what the final model takes from the training images beyond weights: here nothing."""

    def decode(self, positions: Tensor) -> Tensor:
        """Decode latent positions (n, d) to images (n, *image_shape) with values in [0, 1]."""
        return torch.sigmoid(self.decoder(positions)).reshape(len(positions), *self.image_shape)

    def voxel_layers(self) -> list[VoxelLinear]:
        """The layers whose gradients can be collected as factors; none without kernels."""
        return [module for module in self.modules() if isinstance(module, VoxelLinear)]


class RHVAE(Autoencoder):
    """Riemannian Hamiltonian variational autoencoder for images of one shape.

    ``centroids`` (N, d) and ``matrices`` (N, d, d) are the final metric, empty until `fit_metric` is called.
    """

    loss_terms = ("loss", "reconstruction", "prior", "momentum", "posterior")
    n_draws = 2  # for the latent position and for the momentum
    has_flow = True

    centroids: Tensor
    matrices: Tensor

    def __init__(
        self,
        settings: RHVAESettings,
        image_shape: tuple[int, ...],
        networks: Networks | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        networks = networks or build_networks(settings, image_shape, generator)
        super().__init__(settings, image_shape, networks)
        self.metric_network = networks.metric
        d = settings.latent_dimension
        self.register_buffer("centroids", torch.empty(0, d))
        self.register_buffer("matrices", torch.empty(0, d, d))

    def forward(
        self,
        images: Tensor,
        latent_noise: Tensor,
        gamma: Tensor,
        encoded: tuple[Tensor, Tensor] | None = None,
        measured: bool = False,
    ) -> RHVAEOutput:
        """Encode, flow, decode and compute the loss.

        In training mode the metric is that of the batch; in evaluation mode it is the final one. The first
        momentum is L gamma / sqrt(beta_0), as in the public code: L is the image's own matrix in training
        mode and the Cholesky factor of G(z_0) in evaluation mode.

        ``images`` (n, *image_shape) have values in [0, 1]; ``latent_noise`` and ``gamma`` (n, d) are standard
        normal draws, for the latent position and for the momentum; ``encoded`` is what the encoder gives for
        the images, if it is known. With ``measured`` the end has its ``log_volume``.
        """
        settings = self.settings
        mean, log_variance = self.encoder(images) if encoded is None else encoded
        start = mean + torch.exp(log_variance / 2) * latent_noise
        if self.training:
            factor = self.metric_network(images)
            metric = self._metric(mean, factor @ factor.mT)
        else:
            factor, metric = None, self.final_metric()

        def launch(positions: Tensor) -> Tensor:
            scale = torch.linalg.cholesky_ex(metric.at(positions).metric).L if factor is None else factor
            return torch.einsum("nij,nj->ni", scale, gamma) / settings.sqrt_beta_zero

        potential = partial(decoder_potential, self.decoder, images, reconstruction=settings.reconstruction)
        end = HamiltonianFlow(launch, metric, potential, settings, measured).end(start)
        log_two_pi = settings.latent_dimension * math.log(2 * math.pi)
        energy = torch.einsum("ni,ni->n", end.momentum, end.metric.velocity(end.momentum))
        terms = {
            "reconstruction": -end.potential.log_likelihood,
            "prior": (end.position.square().sum(1) + log_two_pi) / 2,
            "momentum": (energy - end.metric.log_det_inverse + log_two_pi) / 2,
            "posterior": -(latent_noise.square().sum(1) + log_variance.sum(1) + log_two_pi) / 2,
        }
        loss = torch.stack(list(terms.values())).sum(0).mean()
        return RHVAEOutput(loss=loss, **terms, mean=mean, log_variance=log_variance, end=end)

    def final_metric(self) -> LatentMetric:
        """The metric of the whole training set; StudyError if `fit_metric` has not been called."""
        if not len(self.centroids):
            raise StudyError(
                "The RHVAE has no final metric yet.",
                cause="The model was not trained to the end.",
                remedy="Call fit_metric with the training images.",
            )
        return self._metric(self.centroids, self.matrices)

    @torch.no_grad()
    def fit_metric(self, images: Tensor, batch_size: int = 64) -> None:
        """Take the centroids and matrices of all training images, (N, *image_shape), as the final metric."""
        batches = images.split(batch_size)
        self.centroids = torch.cat([self.encoder(batch)[0] for batch in batches])
        factors = torch.cat([self.metric_network(batch) for batch in batches])
        self.matrices = factors @ factors.mT

    def complete(self, images: Tensor) -> None:
        """Fit the final metric."""
        self.fit_metric(images)

    def voxel_layers(self) -> list[VoxelLinear]:
        """The layers whose gradients can be collected as factors; none without kernels.

        Encoder and metric network are differentiated once; a decoder is differentiated twice, except by the
        kernel, which has the derivatives written out.
        """
        modules = [*self.encoder.modules(), *self.metric_network.modules()]
        if has_voxel_kernel(self.decoder):
            modules.append(self.decoder.logits)
        return list(dict.fromkeys(module for module in modules if isinstance(module, VoxelLinear)))

    def _metric(self, centroids: Tensor, matrices: Tensor) -> LatentMetric:
        return LatentMetric(centroids, matrices, self.settings.temperature, self.settings.regularization)
