import numpy
import pytest
import torch
from torch import nn

from rhvae_mri.cnn.architectures import Architecture, read_architectures
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.saliency import METHODS, attribute, best_on_validation, measure_saliency
from rhvae_mri.cnn.storage import TrainedNetwork
from rhvae_mri.cnn.training import TrainingSettings, train_network
from rhvae_mri.io.errors import StudyError

SHAPE = (9, 8, 7)
CPU = torch.device("cpu")
SMALL = Architecture(blocks=((4,), (6, 6)), activation="leaky_relu", dropout=0.3, hidden_features=(5,))
CORNER = numpy.zeros(SHAPE, dtype=bool)
CORNER[:4, :4, :4] = True
REGIONS = {"corner": CORNER, "rest": ~CORNER}


def image_set(n, seed=0):
    """Noise, with a brighter corner in every second image, which is of class AD."""
    images = 0.5 * numpy.random.default_rng(seed).random((n, *SHAPE), dtype=numpy.float32)
    images[1::2, :4, :4, :4] += 0.5
    return ImageSet([ImagePart(images, range(n))], numpy.arange(n) % 2, ("CN", "AD"))


@pytest.fixture(scope="module")
def trained():
    settings = TrainingSettings(8, 4, 3e-3)
    sets = image_set(24), image_set(10, seed=1)
    return train_network(SMALL, *sets, settings, seed=3, device=CPU)


def measure(network, images, method="integrated_gradients", steps=64, regions=REGIONS, batch_size=4):
    options = {"method": method, "steps": steps, "batch_size": batch_size, "device": CPU}
    return measure_saliency(network, images, regions, **options)


class KnownAnswer(nn.Module):
    """Log odds of AD: the square of the mean intensity in the corner, less the mean of all voxels."""

    def forward(self, images):
        corner = images[:, 0][:, torch.from_numpy(CORNER)].mean(dim=1)
        return torch.stack([images.mean(dim=(1, 2, 3, 4)), corner**2], dim=1)


def test_attributions_are_those_of_a_known_answer_and_nowhere_else():
    images = torch.rand(3, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    corner, n = torch.from_numpy(CORNER), int(CORNER.sum())
    means = images[:, 0][:, corner].mean(dim=1)[:, None, None, None]
    of_square = torch.where(corner, images[:, 0] * means / n, 0.0)
    of_mean = images[:, 0] / corner.numel()
    for method, factor in (("integrated_gradients", 1), ("gradient_x_input", 2)):
        found = attribute(KnownAnswer(), images, method, 5)[:, 0]
        torch.testing.assert_close(found, factor * of_square - of_mean, rtol=1e-5, atol=1e-8)
        assert (found[:, ~corner] <= 0).all()


@pytest.mark.parametrize("name", ["baseline", "optimized"])
def test_integrated_gradients_add_up_to_the_change_of_the_answer(root, name):
    architecture = read_architectures(root / "resources" / "architectures.json")[name]["downsampled"]
    settings = TrainingSettings(4, 4, 1e-3)
    network = train_network(
        architecture, image_set(12), image_set(6, seed=1), settings, seed=3, device=CPU
    ).network()
    images = image_set(8, seed=2)
    errors = {}
    for steps in (8, 256):
        rows = measure(network, images, steps=steps).rows
        change = numpy.array([row["log_odds"] - row["log_odds_empty"] for row in rows])
        errors[steps] = numpy.abs([row["attribution"] for row in rows] - change).mean() / abs(change).mean()
    assert errors[256] < 0.02
    assert errors[256] < errors[8] / 5


def test_the_answers_are_those_of_the_prediction(trained):
    images = image_set(5, seed=2)
    rows = measure(trained.network(), images, steps=1).rows
    with torch.no_grad():
        logits = trained.network()(torch.from_numpy(images.batch(range(5)))[:, None])
        empty = trained.network()(torch.zeros(1, 1, *SHAPE))[0]
    assert [row["log_odds"] for row in rows] == pytest.approx(
        (logits[:, 1] - logits[:, 0]).tolist(), abs=1e-5
    )
    assert rows[0]["log_odds_empty"] == pytest.approx((empty[1] - empty[0]).item(), abs=1e-5)
    assert [row["diagnosis"] for row in rows] == ["CN", "AD", "CN", "AD", "CN"]


@pytest.mark.parametrize("method", METHODS)
def test_maps_and_shares_are_means_over_each_class_whatever_the_batches(trained, method):
    images = image_set(7, seed=2)
    first, second = (measure(trained.network(), images, method, 3, batch_size=size) for size in (2, 7))
    batch = torch.from_numpy(images.batch(range(7)))[:, None]
    single = attribute(trained.network(), batch, method, 3)[:, 0].detach().numpy()
    for label, diagnosis in enumerate(("CN", "AD")):
        for found in (first, second):
            of_class = images.labels == label
            mean = single[of_class].mean(axis=0)
            numpy.testing.assert_allclose(found.maps[f"{diagnosis}/attribution"], mean, rtol=1e-3, atol=1e-6)
            numpy.testing.assert_allclose(
                found.maps[f"{diagnosis}/image"], images.batch(range(7))[of_class].mean(axis=0), rtol=1e-5
            )
    for row, one, image in zip(first.rows, abs(single), images.batch(range(7)), strict=True):
        assert row["corner_percent"] == pytest.approx(100 * one[CORNER].sum() / one.sum(), rel=1e-3)
        assert row["corner_percent"] + row["rest_percent"] == pytest.approx(100, abs=1e-3)
        share = 100 * image[CORNER].sum() / image.sum()
        assert row["corner_intensity_percent"] == pytest.approx(share, rel=1e-3)


def run(accuracy, loss):
    rows = [
        {"validation_balanced_accuracy": 0.1, "validation_loss": 0.01},
        {"validation_balanced_accuracy": accuracy, "validation_loss": loss},
    ]
    return TrainedNetwork(SMALL, SHAPE, {}, 2, rows, 1.0)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(0.7, 0.5), (0.9, 0.9), (0.8, 0.1)], 1),
        ([(0.9, 0.5), (0.9, 0.4), (0.9, 0.6)], 1),
        ([(0.9, 0.5), (0.9, 0.5)], 0),
    ],
)
def test_the_seed_is_chosen_on_validation_alone(runs, expected):
    networks = [run(*one) for one in runs]
    for order in (1, -1):
        seed, chosen = best_on_validation(list(enumerate(networks))[::order])
        assert seed == expected
        assert chosen is networks[expected]


def test_what_cannot_be_measured_is_refused(trained):
    with pytest.raises(StudyError, match="no network"):
        best_on_validation([])
    with pytest.raises(StudyError, match="no attribution 'occlusion'"):
        measure(trained.network(), image_set(2), "occlusion")
    with pytest.raises(StudyError, match="1 step or more"):
        measure(trained.network(), image_set(2), steps=0)
    with pytest.raises(StudyError, match="regions small are not on the grid"):
        measure(trained.network(), image_set(2), regions={"small": numpy.ones((3, 3, 3), dtype=bool)})
    broken = trained.network()
    broken.classifier[-1].weight.data.fill_(float("nan"))
    with pytest.raises(StudyError, match="not finite"):
        measure(broken, image_set(2))
