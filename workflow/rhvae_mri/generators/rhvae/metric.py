r"""The Riemannian metric of the latent space, in closed form.

The inverse metric at z is a sum over centroids c_i with matrices M_i = L_i L_i^T,

.. math:: G^{-1}(z) = \sum_i w_i(z) M_i + \lambda I, \quad w_i(z) = \exp(-\|z - c_i\|^2 / T^2).

For any symmetric S that is held fixed, the derivative of the inner product of S and G^{-1}(z) is

.. math:: \nabla_z \langle S, G^{-1}(z) \rangle = \frac{2}{T^2} \sum_i w_i \langle S, M_i \rangle (c_i - z),

which gives every derivative that the RHVAE needs: S = rho rho^T for the kinetic energy, and S = G for
log det G^{-1}, whose derivative is the trace of G times that of G^{-1}.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MetricValues:
    """The metric at n latent positions."""

    weights: Tensor  #: w_i(z), the weight of each centroid, (n, N)
    inverse: Tensor  #: G^{-1}(z), (n, d, d)
    metric: Tensor  #: G(z), (n, d, d)
    log_det_inverse: Tensor  #: log det G^{-1}(z), (n,); NaN where that is not positive definite

    def velocity(self, momentum: Tensor) -> Tensor:
        """G^{-1} rho, of shape (n, d)."""
        return torch.einsum("nij,nj->ni", self.inverse, momentum)

    def rows(self, rows: slice) -> MetricValues:
        """The values at some of the positions."""
        return MetricValues(*(value[rows] for value in vars(self).values()))


class LatentMetric:
    """The inverse metric of centroids c_i (N, d), latent means of images, and matrices M_i (N, d, d)."""

    def __init__(
        self, centroids: Tensor, matrices: Tensor, temperature: float, regularization: float
    ) -> None:
        self.temperature = temperature
        self.regularization = regularization
        self.centroids = centroids
        self._matrices = matrices.flatten(1)
        # Squared distances by a matrix product lose digits far from the origin, so they are taken from
        # the middle of the centroids.
        self._middle = centroids.detach().mean(0)
        self._centred = centroids - self._middle
        self._norms = self._centred.square().sum(1)

    def detach(self) -> LatentMetric:
        """The same metric, with centroids and matrices as constants."""
        d = self.centroids.shape[1]
        matrices = self._matrices.detach().view(-1, d, d)
        return LatentMetric(self.centroids.detach(), matrices, self.temperature, self.regularization)

    def at(self, positions: Tensor) -> MetricValues:
        """Evaluate the metric at ``positions`` of shape (n, d)."""
        n, d = positions.shape
        centred = positions - self._middle
        norms = centred.square().sum(1, keepdim=True)
        squared = (norms + self._norms - 2 * centred @ self._centred.T).clamp_min(0)
        weights = torch.exp(squared / -(self.temperature**2))
        ridge = self.regularization * torch.eye(d, dtype=positions.dtype, device=positions.device)
        inverse = (weights @ self._matrices).view(n, d, d) + ridge
        factor, info = torch.linalg.cholesky_ex(inverse)
        log_det = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
        log_det = torch.where(info == 0, log_det, torch.nan)
        return MetricValues(weights, inverse, torch.cholesky_inverse(factor), log_det)

    def kinetic_gradient(self, positions: Tensor, values: MetricValues, momentum: Tensor) -> Tensor:
        """Gradient of 1/2 rho^T G^{-1} rho + 1/2 log det G in z, at fixed momentum; shape (n, d)."""
        outer = momentum.unsqueeze(2) * momentum.unsqueeze(1)
        return self._half_gradient(positions, values.weights, outer - values.metric)

    def log_volume_gradient(self, positions: Tensor, values: MetricValues) -> Tensor:
        """Gradient of 1/2 log det G^{-1} in z; shape (n, d)."""
        return self._half_gradient(positions, values.weights, values.metric)

    def _half_gradient(self, positions: Tensor, weights: Tensor, form: Tensor) -> Tensor:
        """Half the gradient of <S, G^{-1}(z)>: 1/T^2 sum_i w_i <S, M_i> (c_i - z)."""
        pulls = weights * (form.flatten(1) @ self._matrices.T)
        total = pulls @ self._centred - pulls.sum(1, keepdim=True) * (positions - self._middle)
        return total / self.temperature**2
