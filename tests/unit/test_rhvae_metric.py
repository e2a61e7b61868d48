import pytest
import torch

from rhvae_mri.generators.rhvae.metric import LatentMetric

TEMPERATURE, REGULARIZATION = 1.3, 0.02


def random_metric(n_centroids, d, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    centroids = torch.randn(n_centroids, d, generator=generator, dtype=dtype)
    factors = torch.randn(n_centroids, d, d, generator=generator, dtype=dtype).tril()
    matrices = factors @ factors.mT
    metric = LatentMetric(centroids, matrices, TEMPERATURE, REGULARIZATION)
    positions = torch.randn(7, d, generator=generator, dtype=dtype)
    momenta = torch.randn(7, d, generator=generator, dtype=dtype)
    return metric, centroids, matrices, positions, momenta


def brute_inverse(z, centroids, matrices):
    """The inverse metric at one position, centroid by centroid."""
    total = REGULARIZATION * torch.eye(len(z), dtype=z.dtype)
    for c, m in zip(centroids, matrices, strict=True):
        total = total + m * torch.exp(-((z - c) ** 2).sum() / TEMPERATURE**2)
    return total


@pytest.mark.parametrize(("n_centroids", "d"), [(1, 1), (4, 2), (30, 10)])
def test_the_metric_equals_the_sum_over_centroids(n_centroids, d):
    metric, centroids, matrices, positions, momenta = random_metric(n_centroids, d)
    values = metric.at(positions)
    for k, z in enumerate(positions):
        inverse = brute_inverse(z, centroids, matrices)
        torch.testing.assert_close(values.inverse[k], inverse)
        torch.testing.assert_close(values.metric[k], torch.linalg.inv(inverse))
        torch.testing.assert_close(values.log_det_inverse[k], torch.linalg.slogdet(inverse)[1])
        torch.testing.assert_close(values.velocity(momenta)[k], inverse @ momenta[k])


@pytest.mark.parametrize(("n_centroids", "d"), [(1, 1), (4, 2), (30, 10)])
def test_the_closed_gradients_equal_finite_differences(n_centroids, d):
    metric, centroids, matrices, positions, momenta = random_metric(n_centroids, d)
    values = metric.at(positions)
    kinetic = metric.kinetic_gradient(positions, values, momenta)
    volume = metric.log_volume_gradient(positions, values)

    def energies(z, rho):
        inverse = brute_inverse(z, centroids, matrices)
        half_log_det = torch.linalg.slogdet(inverse)[1] / 2
        return rho @ inverse @ rho / 2 - half_log_det, half_log_det

    step = 1e-5
    for k, (z, rho) in enumerate(zip(positions, momenta, strict=True)):
        for axis in range(d):
            shift = step * torch.eye(d, dtype=z.dtype)[axis]
            above, below = energies(z + shift, rho), energies(z - shift, rho)
            for closed, a, b in zip((kinetic, volume), above, below, strict=True):
                assert closed[k, axis].item() == pytest.approx(
                    ((a - b) / (2 * step)).item(), rel=1e-6, abs=1e-8
                )


def test_the_log_determinant_neither_underflows_nor_loses_digits_in_float32():
    d = 25
    far = 1e3 + torch.randn(3, d, generator=torch.Generator().manual_seed(1))
    metric = LatentMetric(far, torch.eye(d).expand(3, d, d), 1.5, 1e-2)
    # So far from the centroids that their weights vanish: the inverse metric is the regularization alone.
    values = metric.at(torch.zeros(1, d))
    assert torch.det(values.inverse).item() == 0
    assert values.log_det_inverse.item() == pytest.approx(d * torch.log(torch.tensor(1e-2)).item(), rel=1e-6)
    # Near them, although both are far from the origin.
    exact = torch.exp(-(far[0] - far).double().square().sum(1) / 1.5**2)
    torch.testing.assert_close(metric.at(far[:1]).weights[0].double(), exact, rtol=1e-4, atol=1e-9)


def test_a_matrix_that_is_not_positive_definite_gives_nan():
    metric = LatentMetric(torch.zeros(1, 2), -torch.eye(2)[None], 1.0, 1e-2)
    assert metric.at(torch.zeros(1, 2)).log_det_inverse.isnan().all()
