import dataclasses
import os
import signal

import numpy
import pytest
import torch

from rhvae_mri.cnn import training
from rhvae_mri.cnn.architectures import Architecture
from rhvae_mri.cnn.augmentation import AugmentationSettings, ClassicAugmentation, resample, voxel_matrices
from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.cnn.training import TrainingSettings, train_network
from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.interrupts import TrainingInterrupted

SHAPE = (9, 8, 7)
CPU = torch.device("cpu")
NOTHING = AugmentationSettings(0, 0, 0, 0, 0, 0, 0, 0)
USUAL = AugmentationSettings(0.5, 5, 0.03, 0.05, 0.2, 0.1, 0.05, 0.03)
SMALL = Architecture(blocks=((4,), (6,)), activation="relu", dropout=0.3, hidden_features=())


def augmentation(shape=SHAPE, seed=3, **ranges):
    return ClassicAugmentation(dataclasses.replace(NOTHING, **ranges), shape, seed, CPU)


def blobs(n, shape=SHAPE, seed=0):
    """Random images that are zero at their border, as heads are."""
    images = torch.zeros(n, 1, *shape)
    generator = torch.Generator().manual_seed(seed)
    inner = images[:, :, 2:-2, 2:-2, 2:-2]
    inner.copy_(torch.rand(inner.shape, generator=generator))
    return images


def still(n):
    return torch.zeros(n, dtype=torch.bool), torch.zeros(n, 3, dtype=torch.float64), torch.ones(n).double()


def test_without_ranges_images_stay_as_they_are_and_are_not_changed_in_place():
    images = blobs(3)
    before = images.clone()
    torch.testing.assert_close(augmentation()(images), before, rtol=0, atol=1e-5)
    augmentation(gamma=1, contrast=0.5, noise=0.1)(images)
    assert torch.equal(images, before)


def test_a_flip_exchanges_left_and_right_which_is_the_first_axis():
    images = blobs(3)
    flipped = augmentation(flip_probability=1)(images)
    torch.testing.assert_close(flipped, images.flip(2), rtol=0, atol=1e-5)
    some = augmentation(flip_probability=0.5, shape=SHAPE)(images[:1].expand(200, -1, -1, -1, -1))
    share = ((some - images[0].flip(1)).abs().amax(dim=(1, 2, 3, 4)) < 1e-4).float().mean()
    assert 0.4 < share < 0.6


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_and_a_shift_move_a_voxel_where_the_matrix_says(axis):
    flip, angles, scale = still(1)
    angles[0, axis] = torch.pi / 2
    matrices = voxel_matrices(flip, angles, scale)
    place, shift = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([[1.0, -1.0, 2.0]]).double()
    shape, centre = (11, 13, 15), torch.tensor([5.0, 6.0, 7.0]).double()
    images = torch.zeros(1, 1, *shape)
    images[(0, 0, *(centre + place).long().tolist())] = 1
    turned = matrices[0] @ place
    others = [other for other in range(3) if other != axis]
    assert turned[axis] == pytest.approx(place[axis])
    assert turned[others].abs().sort().values.tolist() == pytest.approx(sorted(place[others].tolist()))
    expected = torch.zeros(1, 1, *shape)
    expected[(0, 0, *(centre + turned + shift[0]).round().long().tolist())] = 1
    torch.testing.assert_close(resample(images, matrices, shift), expected, rtol=0, atol=1e-5)


def test_a_larger_scale_makes_larger_heads():
    flip, angles, _ = still(1)
    images = torch.zeros(1, 1, 20, 20, 20)
    images[:, :, 6:14, 6:14, 6:14] = 1
    larger = resample(images, voxel_matrices(flip, angles, torch.tensor([1.25]).double()), angles)
    assert larger.sum().item() == pytest.approx(10**3, rel=0.02)


def test_translations_reach_their_range_along_each_axis_and_do_not_exceed_it():
    shape = (21, 26, 22)
    images = torch.zeros(400, 1, *shape)
    images[:, :, 10, 13, 11] = 1
    moved = augmentation(shape, translation=0.1)(images)[:, 0]
    for axis, size in enumerate(shape):
        others = tuple(1 + other for other in range(3) if other != axis)
        centres = (moved.sum(dim=others) * torch.arange(size)).sum(1) / moved.sum(dim=(1, 2, 3))
        shifts = (centres - (10, 13, 11)[axis]) / size
        assert shifts.abs().max() <= 0.1 + 1e-4
        assert shifts.min() < -0.09
        assert shifts.max() > 0.09


def test_intensities_change_as_their_ranges_say():
    images = torch.full((500, 1, 3, 3, 3), 0.5)
    brighter = augmentation(images.shape[2:], brightness=0.2)(images)[:, 0, 1, 1, 1]
    assert 0.69 < brighter.max() <= 0.7001
    assert 0.2999 <= brighter.min() < 0.31
    powers = augmentation(images.shape[2:], gamma=0.3)(images)[:, 0, 1, 1, 1].log() / numpy.log(0.5)
    assert numpy.exp(0.29) < powers.max() <= numpy.exp(0.3) + 1e-4
    assert numpy.exp(-0.3) - 1e-4 <= powers.min() < numpy.exp(-0.29)
    images[:, :, 0] = 0.2
    means = images.mean(dim=(1, 2, 3, 4))
    contrast = augmentation(images.shape[2:], contrast=0.4)(images)
    torch.testing.assert_close(contrast.mean(dim=(1, 2, 3, 4)), means, rtol=0, atol=1e-5)
    factors = (contrast[:, 0, 1, 1, 1] - contrast[:, 0, 0, 1, 1]) / 0.3
    assert 0.6 - 1e-4 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.4 + 1e-4


def test_the_noise_is_gaussian_and_white_and_differs_between_images():
    shape = (30, 30, 30)
    noise = (augmentation(shape, noise=0.1)(torch.full((20, 1, *shape), 0.5)) - 0.5).flatten(1)
    deviations = noise.std(dim=1)
    assert deviations.max() <= 0.1 * 1.02
    assert deviations.min() < 0.04
    standard = noise / deviations[:, None]
    assert standard.mean(dim=1).abs().max() < 0.03
    assert (standard**4).mean(dim=1).sub(3).abs().max() < 0.2
    assert (standard[:, 1:] * standard[:, :-1]).mean(dim=1).abs().max() < 0.03
    assert (torch.corrcoef(noise) - torch.eye(20)).abs().max() < 0.05


@pytest.mark.parametrize("shape", [(21, 26, 22), (84, 104, 89)])
def test_the_result_stays_within_the_intensities_of_images(shape):
    images = torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(1))
    strong = AugmentationSettings(0.5, 30, 0.2, 0.3, 1, 0.9, 0.5, 0.5)
    transformed = ClassicAugmentation(strong, shape, 1, CPU)(images)
    assert transformed.shape == images.shape
    assert 0 <= transformed.min() <= transformed.max() <= 1
    assert not torch.equal(transformed[0], transformed[1])


def test_images_are_transformed_alike_in_one_batch_and_in_two():
    images = blobs(6)
    first, second = ClassicAugmentation(USUAL, SHAPE, 3, CPU), ClassicAugmentation(USUAL, SHAPE, 3, CPU)
    together, apart = first(images), torch.cat([second(images[:4]), second(images[4:])])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-6)
    assert not torch.allclose(first(images), together, atol=1e-2)


def test_switching_one_transform_on_changes_no_other_draw():
    images = blobs(4)
    alone = augmentation(translation=0.2)(images)
    with_noise = augmentation(translation=0.2, noise=1e-4)(images)
    torch.testing.assert_close(alone, with_noise, rtol=0, atol=1e-3)


def image_set(n, seed):
    images = 0.5 * numpy.random.default_rng(seed).random((n, *SHAPE), dtype=numpy.float32)
    images[1::2, :4, :4, :4] += 0.5
    return ImageSet([ImagePart(images, range(n))], numpy.arange(n) % 2)


@pytest.fixture(scope="module")
def sets():
    return image_set(10, 0), image_set(6, 1)


def run(sets, augmentation=USUAL, seed=7, **options):
    settings = TrainingSettings(5, 4, 1e-3, augmentation=augmentation)
    return train_network(SMALL, *sets, settings, seed=seed, device=CPU, **options)


def losses(trained, of="train"):
    return [row[f"{of}_loss"] for row in trained.history]


def same_weights(first, second):
    return all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)


def test_training_images_are_transformed_and_validation_images_are_not(sets, monkeypatch):
    seen = []
    transform = ClassicAugmentation.__call__

    def recorded(self, images):
        seen.append(transform(self, images))
        return seen[-1]

    monkeypatch.setattr(ClassicAugmentation, "__call__", recorded)
    given = []
    forward = training.ConvolutionalNetwork.forward

    def watched(self, images):
        given.append((self.training, images))
        return forward(self, images)

    monkeypatch.setattr(training.ConvolutionalNetwork, "forward", watched)
    run(sets)
    trained_on = [images for is_training, images in given if is_training]
    assert all(one is other for one, other in zip(trained_on, seen, strict=True))
    validated = torch.cat([images for is_training, images in given if not is_training])
    expected = torch.from_numpy(sets[1].batch(range(6)))[:, None].repeat(5, 1, 1, 1, 1)
    assert torch.equal(validated, expected)


def test_augmentation_changes_the_training_and_leaves_its_other_draws_alone(sets):
    plain, augmented = run(sets, None), run(sets)
    assert losses(plain) != losses(augmented)
    # with transforms that do nothing but round, order and dropout show to be the same
    assert losses(run(sets, NOTHING)) == pytest.approx(losses(plain), abs=1e-3)


def test_an_augmented_run_goes_on_to_the_same_result_after_an_interruption(sets, tmp_path, monkeypatch):
    checkpoint, whole = tmp_path / "checkpoint.safetensors", run(sets)
    one_epoch = training._next_epoch

    def interrupted(state, *arguments):
        if state.progress["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        one_epoch(state, *arguments)

    monkeypatch.setattr(training, "_next_epoch", interrupted)
    with pytest.raises(TrainingInterrupted):
        run(sets, checkpoint=checkpoint)
    monkeypatch.setattr(training, "_next_epoch", one_epoch)
    resumed = run(sets, checkpoint=checkpoint)
    assert resumed.history == whole.history
    assert same_weights(resumed, whole)


def test_other_ranges_do_not_use_the_checkpoint_of_these(sets, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    first = run(sets, checkpoint=checkpoint)
    other = run(sets, dataclasses.replace(USUAL, noise=0.1), checkpoint=checkpoint)
    assert losses(first) != losses(other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flip_probability", 1.1),
        ("rotation", 180),
        ("translation", 1),
        ("scaling", 1),
        ("contrast", 1),
        ("noise", -0.1),
        ("gamma", float("nan")),
        ("brightness", float("inf")),
    ],
)
def test_ranges_out_of_bounds_are_errors(name, value):
    with pytest.raises(StudyError, match=f"no valid value of {name}"):
        dataclasses.replace(NOTHING, **{name: value})
