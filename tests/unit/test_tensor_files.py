import json

import numpy
import pytest

from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.tensor_files import ImageStack, write_image_stack


def images(n=3, shape=(4, 5, 3)):
    return numpy.random.default_rng(0).random((n, *shape), dtype=numpy.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 5e-4)])
def test_a_stack_is_read_as_it_was_written(tmp_path, dtype, tolerance):
    stack, keys = images(), ["b", "a", "c"]
    path = tmp_path / "stack.safetensors"
    write_image_stack(path, keys, iter(stack), stack.shape[1:], dtype, {"unit": "none"})
    with ImageStack(path) as file:
        assert file.keys == ("b", "a", "c")
        assert file.shape == (4, 5, 3)
        assert file.metadata == {"unit": "none"}
        numpy.testing.assert_allclose(file.read("a"), stack[1], atol=tolerance)
        numpy.testing.assert_allclose(file.read_many(["c", "b"]), stack[[2, 0]], atol=tolerance)
        numpy.testing.assert_allclose(file.as_array(), stack, atol=tolerance)


def test_the_file_is_valid_for_the_safetensors_library(tmp_path):
    from safetensors.numpy import load_file

    stack = images()
    write_image_stack(tmp_path / "s.safetensors", ["x", "y", "z"], stack, stack.shape[1:])
    loaded = load_file(tmp_path / "s.safetensors")
    numpy.testing.assert_array_equal(loaded["y"], stack[1])


@pytest.mark.parametrize(
    ("keys", "spoil", "message"),
    [
        (["a", "a", "b"], None, "more than once: a"),
        (["a", "b", "c"], numpy.nan, "Image b has voxels that are NaN"),
    ],
)
def test_bad_stacks_are_refused_and_leave_no_file(tmp_path, keys, spoil, message):
    stack = images()
    if spoil is not None:
        stack[1, 0, 0, 0] = spoil
    with pytest.raises(StudyError, match=message):
        write_image_stack(tmp_path / "s.safetensors", keys, stack, stack.shape[1:])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_image_is_named(tmp_path):
    stack = images(1)
    write_image_stack(tmp_path / "s.safetensors", ["a"], stack, stack.shape[1:])
    with ImageStack(tmp_path / "s.safetensors") as file, pytest.raises(StudyError, match="no image b"):
        file.read("b")


def test_a_foreign_file_is_not_mapped(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": numpy.zeros((2, 2), numpy.int64)}, tmp_path / "s.safetensors")
    with ImageStack(tmp_path / "s.safetensors") as file, pytest.raises(StudyError, match="I64"):
        file.as_array()


def test_the_header_starts_the_data_on_a_multiple_of_eight_bytes(tmp_path):
    stack = images(1)
    write_image_stack(tmp_path / "s.safetensors", ["odd"], stack, stack.shape[1:])
    raw = (tmp_path / "s.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    assert set(json.loads(raw[8 : 8 + length])) == {"odd"}
