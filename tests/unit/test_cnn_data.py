import numpy
import pytest
import torch

from rhvae_mri.cnn.data import ImagePart, ImageSet
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack, write_image_stack

SHAPE = (3, 4, 5)
CPU = torch.device("cpu")


def random_images(n, seed=0, dtype=numpy.float32):
    return numpy.random.default_rng(seed).random((n, *SHAPE)).astype(dtype)


def test_a_batch_takes_rows_of_several_stacks_in_the_order_asked_for():
    real, synthetic = random_images(6), random_images(4, seed=1, dtype=numpy.float16)
    images = ImageSet([ImagePart(real, [4, 0, 2]), ImagePart(synthetic, range(4))], [1, 0, 1, 0, 0, 1, 1])
    expected = numpy.concatenate([real[[4, 0, 2]], synthetic.astype(numpy.float32)])
    order = [6, 0, 3, 2, 0]
    batch = images.batch(order)
    assert batch.dtype == numpy.float32
    numpy.testing.assert_array_equal(batch, expected[order])
    assert len(images) == 7
    assert images.shape == SHAPE


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_resident_and_streamed_sets_give_the_same_images(tmp_path, dtype):
    stored = random_images(7, dtype=dtype)
    write_image_stack(tmp_path / "images.safetensors", [f"image-{i}" for i in range(7)], stored, SHAPE, dtype)
    with ImageStack(tmp_path / "images.safetensors") as stack:
        mapped = stack.as_array()
    images = ImageSet([ImagePart(mapped, [5, 1, 3], "images.safetensors")], [0, 1, 0])
    assert images.nbytes == 3 * 60 * numpy.dtype(dtype).itemsize
    resident, streamed = images.on(CPU, images.nbytes), images.on(CPU, images.nbytes - 1)
    assert resident._resident is not None and streamed._resident is None
    order = torch.tensor([2, 0])
    for placed in (resident, streamed):
        batch = placed.batch(order)
        assert batch.shape == (2, 1, *SHAPE)
        assert batch.dtype == torch.float32
        numpy.testing.assert_array_equal(batch[:, 0].numpy(), stored[[3, 5]].astype(numpy.float32))
        assert placed.labels.tolist() == [0, 1, 0]


def test_a_set_is_copied_to_a_device_once():
    images = ImageSet([ImagePart(random_images(3), range(3))], [0, 1, 1])
    assert images.on(CPU) is images.on(torch.device("cpu"))
    assert images.on(CPU, 0) is not images.on(CPU)


def test_mixed_types_are_kept_without_loss():
    fine = random_images(2)
    images = ImageSet([ImagePart(random_images(2, dtype=numpy.float16), [0]), ImagePart(fine, [1])], [0, 1])
    assert images.dtype == numpy.float32
    numpy.testing.assert_array_equal(images.on(CPU).batch(torch.tensor([1]))[0, 0].numpy(), fine[1])


@pytest.mark.parametrize(
    ("value", "text"), [(numpy.nan, "nan"), (1.5, "1.5"), (-0.25, "-0.25"), (numpy.inf, "inf")]
)
def test_intensities_outside_the_unit_interval_are_found_with_their_row(value, text):
    stack = random_images(5)
    stack[3, 0, 1, 2] = value
    images = ImageSet(
        [ImagePart(random_images(2), [0, 1]), ImagePart(stack, [2, 3], "synthetic.safetensors")]
    )
    images.batch([0, 1, 2])
    for read in (lambda: images.batch([0, 3]), lambda: images.on(CPU)):
        with pytest.raises(StudyError, match="Row 3") as caught:
            read()
        assert "synthetic.safetensors" in str(caught.value)
        assert text in str(caught.value)


def test_a_class_without_images_is_an_error():
    images = ImageSet([ImagePart(random_images(2), [0, 1])], [0, 0])
    with pytest.raises(StudyError, match="validation set has no image of the class 1"):
        images.check_classes("validation")
    with pytest.raises(StudyError, match="no labels"):
        ImageSet([ImagePart(random_images(2), [0, 1])]).check_classes("training")


def test_a_set_without_labels_gives_images_but_refuses_to_give_labels():
    placed = ImageSet([ImagePart(random_images(2), [0, 1])]).on(CPU)
    assert len(placed.batch(torch.arange(2))) == 2
    with pytest.raises(StudyError, match="no labels"):
        placed.labels  # noqa: B018 (reading it is the test)


@pytest.mark.parametrize(
    ("parts", "labels", "message"),
    [
        ([], [], "empty"),
        ([ImagePart(random_images(2), [])], [], "empty"),
        ([ImagePart(random_images(2), [0, 1])], [0, 2], "there is also 2"),
        ([ImagePart(random_images(2), [0, 1])], [0, numpy.nan], "there is also nan"),
        ([ImagePart(random_images(2), [0, 1])], [0], "1 labels for 2 images"),
        ([ImagePart(random_images(2), [0, 2])], [0, 1], "stack of 2 images"),
        ([ImagePart(random_images(2), [-1])], [0], "stack of 2 images"),
        ([ImagePart(random_images(2).astype(int), [0])], [0], "type int64"),
        (
            [ImagePart(random_images(2), [0]), ImagePart(random_images(2)[:, 1:], [0])],
            [0, 1],
            "different shapes",
        ),
    ],
)
def test_wrong_sets_are_errors(parts, labels, message):
    with pytest.raises(StudyError, match=message):
        ImageSet(parts, labels)
