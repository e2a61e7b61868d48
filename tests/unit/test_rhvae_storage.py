import dataclasses
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.networks import build_networks
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.generators.rhvae.storage import load_model, save_model
from rhvae_mri.io.errors import StudyError

SHAPE = (3, 4)
SMALL = RHVAESettings(
    latent_dimension=2,
    encoder_layers=(5,),
    decoder_layers=(4, 6),
    metric_layers=(),
    leapfrog_step_size=5e-4,
    reconstruction="mse",
)


@pytest.fixture(params=[torch.float32, torch.float64])
def model(request):
    model = RHVAE(SMALL, SHAPE, generator=torch.Generator().manual_seed(1)).to(request.param)
    model.fit_metric(torch.rand(7, *SHAPE, dtype=request.param))
    return model.eval()


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_a_model_survives_the_round_trip(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model, {"simulated": "true"})
    again = load_model(path)
    assert header_of(path)["simulated"] == "true"
    assert again.settings == SMALL
    assert again.image_shape == SHAPE
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
        assert again.state_dict()[name].dtype == value.dtype
    dtype = model.centroids.dtype
    images, noise = torch.rand(3, *SHAPE, dtype=dtype), torch.randn(2, 3, 2, dtype=dtype)
    assert torch.equal(again(images, *noise).loss, model(images, *noise).loss)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_from_before_a_setting_is_read_as_what_it_was_trained_as(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    tensors, header = load_file(path), header_of(path)
    settings = json.loads(header["settings"])
    later = {name: settings.pop(name) for name in ("encoder_last_activation", "fixed_point_tolerance")}
    assert later["encoder_last_activation"] == "none"
    save_file(tensors, path, metadata=header | {"settings": json.dumps(settings)})
    again = load_model(path)
    assert again.settings == dataclasses.replace(SMALL, encoder_last_activation="relu")
    images = torch.rand(3, *SHAPE, dtype=model.centroids.dtype)
    hidden = again.encoder.body(images.flatten(1))
    torch.testing.assert_close(hidden, model.encoder.body(images.flatten(1)).relu())


def test_own_modules_are_loaded_into_those_that_are_given(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    networks = build_networks(SMALL, (12,))
    again = load_model(tmp_path / "model.safetensors", networks=networks)
    assert again.decoder is networks.decoder
    assert torch.equal(again.decoder.logits.weight, model.decoder.logits.weight)


def test_a_model_without_final_metric_is_not_written(tmp_path):
    with pytest.raises(StudyError, match="no final metric"):
        save_model(tmp_path / "model.safetensors", RHVAE(SMALL, SHAPE))
    assert not list(tmp_path.iterdir())


def put(**values):
    return lambda tensors, header: tensors.update(values)


BIAS = "decoder.logits.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, header: tensors.pop("encoder.mean.bias"), "missing: encoder.mean.bias"),
        (put(extra=torch.zeros(1)), "unknown: extra"),
        (put(**{BIAS: torch.zeros(5)}), rf"{BIAS} has the shape \(5,\), not \(12,\)"),
        (put(matrices=torch.zeros(7, 3, 3)), r"matrices has the shape \(7, 3, 3\), not \(7, 2, 2\)"),
        (put(matrices=torch.zeros(6, 2, 2)), r"matrices has the shape \(6, 2, 2\), not \(7, 2, 2\)"),
        (lambda tensors, header: header.pop("format"), "no RHVAE model file of this version"),
        (lambda tensors, header: header.pop("image_shape"), "header of the model file is not complete"),
        (lambda tensors, header: header.update(settings="{"), "header of the model file is not complete"),
        (
            lambda tensors, header: header.update(settings=header["settings"][:-1] + ', "depth": 3}'),
            "differ in: depth",
        ),
    ],
)
def test_a_file_with_missing_or_unknown_entries_is_refused(tmp_path, change, message):
    path = tmp_path / "model.safetensors"
    model = RHVAE(SMALL, SHAPE)
    model.fit_metric(torch.rand(7, *SHAPE))
    save_model(path, model)
    tensors, header = load_file(path), header_of(path)
    change(tensors, header)
    save_file(tensors, path, metadata=header)
    with pytest.raises(StudyError, match=message) as raised:
        load_model(path)
    assert raised.value.where == path


def test_a_damaged_and_a_missing_file_are_clear_errors(tmp_path):
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"not a model")
    with pytest.raises(StudyError, match="cannot be read"):
        load_model(damaged)
    with pytest.raises(StudyError, match="model file does not exist"):
        load_model(tmp_path / "absent.safetensors")
