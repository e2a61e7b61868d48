"""What every built-in generator keeps to."""

import inspect
import random

import numpy
import pytest
import torch
from fitted_generators import GENERATORS, SHAPE, assert_same_arrays, fit, images
from safetensors.numpy import load_file, save_file

from rhvae_mri.io.errors import StudyError

OPTIONAL = {
    "rhvae": {"encode", "log_density", "paths", "history"},
    "vae": {"encode", "log_density", "history"},
    "ppca": {"encode", "log_density"},
    "real_steps": set(),
    "class_mean": set(),
    "jitter": set(),
}


def global_states():
    numbers = numpy.random.get_state()[1].tolist()  # noqa: NPY002 (that it is left alone)
    return random.getstate(), numbers, torch.get_rng_state().tolist()


every_generator = pytest.mark.parametrize("name", GENERATORS)


@every_generator
def test_a_code_does_not_depend_on_how_many_are_drawn(name):
    generator = fit(name)
    codes = generator.draw(6, seed=2)
    assert codes.dtype == numpy.float32
    assert codes.ndim == 2
    assert numpy.array_equal(codes[:2], generator.draw(2, seed=2))
    assert numpy.array_equal(codes, generator.draw(6, seed=2))
    if name not in ("class_mean", "real_steps"):  # which draw nothing
        assert not (codes == generator.draw(6, seed=3)).all(1).any()
        assert len(numpy.unique(codes, axis=0)) == 6


@every_generator
def test_codes_are_decoded_to_images_and_the_same_ones_again(name):
    generator = fit(name)
    codes = generator.draw(5, seed=2)
    decoded = generator.decode(codes)
    assert decoded.shape == (5, *SHAPE)
    assert decoded.dtype == numpy.float32
    assert 0 <= decoded.min() <= decoded.max() <= 1
    assert numpy.array_equal(decoded, generator.decode(codes))
    assert numpy.allclose(decoded[3:4], generator.decode(codes[3:4]), atol=1e-6)


@every_generator
def test_a_generator_survives_the_round_trip(name, tmp_path):
    generator, path = fit(name), tmp_path / "model.safetensors"
    generator.save(path)
    again = type(generator).load(path)
    codes = generator.draw(4, seed=5)
    # Loaded weights begin at other addresses, for which linear algebra may sum in another order.
    assert numpy.allclose(again.draw(4, seed=5), codes, atol=1e-4)
    assert numpy.allclose(again.decode(codes), generator.decode(codes), atol=1e-6)
    if "encode" in OPTIONAL[name]:
        assert numpy.allclose(again.encode(images()), generator.encode(images()), atol=1e-5)
    if "log_density" in OPTIONAL[name]:
        measured, expected = (each.log_density(images(), seed=3) for each in (again, generator))
        assert measured.keys() == expected.keys()
        assert measured.keys() & {"log_likelihood", "log_density"}
        for key, (how, values) in expected.items():
            assert measured[key][0] == how
            assert measured[key][1] == pytest.approx(values, rel=1e-4, abs=1e-6)  # rounding, where exact is 0
    again.save(tmp_path / "again.safetensors")
    one, other = load_file(path), load_file(tmp_path / "again.safetensors")
    assert_same_arrays(one, other)


@every_generator
def test_a_file_of_another_kind_or_with_other_entries_is_refused(name, tmp_path):
    path = tmp_path / "model.safetensors"
    fit("ppca" if name != "ppca" else "jitter").save(path)
    with pytest.raises(StudyError, match=r"This is no .* of this version") as raised:
        GENERATORS[name][0].load(path)
    assert raised.value.where == path
    if name in ("ppca", "class_mean", "jitter"):
        kind = GENERATORS[name][0]
        save_file({"mean_of": numpy.zeros(3)}, path, metadata={"format": f"rhvae-mri {kind.__name__} 1"})
        with pytest.raises(StudyError, match="has other entries: mean_of"):
            kind.load(path)


@every_generator
def test_fitting_follows_from_the_seed_and_leaves_the_global_random_states(name):
    kind, settings = GENERATORS[name]
    torch.manual_seed(5)
    before = global_states()
    again = kind.fit(images(), seed=1, **settings)
    assert global_states() == before
    codes = again.draw(3, seed=2)
    assert numpy.array_equal(again.decode(codes), fit(name).decode(codes))


@every_generator
def test_unknown_settings_and_unfit_images_are_refused(name):
    kind, settings = GENERATORS[name]
    with pytest.raises((TypeError, StudyError), match="depth"):
        kind.fit(images(), seed=1, **settings, depth=3)
    with pytest.raises(StudyError, match="outside"):
        kind.fit(images() + 1, seed=1, **settings)
    with pytest.raises(StudyError, match="at least two images"):
        kind.fit(images(1), seed=1, **settings)


@every_generator
def test_what_is_optional_is_there_or_not(name):
    optional = {"encode", "log_density", "paths", "history"}
    assert {method for method in optional if hasattr(fit(name), method)} == OPTIONAL[name]
    parameters = inspect.signature(GENERATORS[name][0].fit).parameters
    assert {"images", "seed", "device", "checkpoint"} <= parameters.keys()
