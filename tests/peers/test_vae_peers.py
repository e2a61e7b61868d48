"""The VAE beside that of pythae: same weights, same noise, same images, in float64.

The cases are drawn at random, from a seed.
"""

import dataclasses
import json
import random

import pytest
import torch

from rhvae_mri.generators.rhvae.kernels.voxel_layers import collected_factors
from rhvae_mri.generators.rhvae.settings import RHVAESettings
from rhvae_mri.generators.vae import VAE

pytestmark = pytest.mark.peer

#: Greatest difference of a tensor, relative to its largest number: rounding of float64 in sums over voxels.
TOLERANCE = 1e-10


def draw_case(number):
    """A case with everything drawn that the user can choose."""
    draw = random.Random(number)
    settings = RHVAESettings(
        latent_dimension=draw.randint(1, 6),
        encoder_layers=tuple(draw.randint(3, 12) for _ in range(draw.randint(1, 3))),
        decoder_layers=tuple(draw.randint(3, 12) for _ in range(draw.randint(1, 3))),
        metric_layers=(),
        reconstruction=("bce", "mse")[number % 2],
    )
    return {
        "name": f"draw-{number}",
        "settings": dataclasses.asdict(settings),
        "image_shape": [draw.randint(2, 9) for _ in range(draw.randint(1, 3))],
        "batch": draw.randint(2, 9),
        "seed": number,
    }


CASES = [draw_case(number) for number in range(8)]


def make_model(case):
    """Our model, with weights away from the nearly constant networks of the usual start."""
    generator = torch.Generator().manual_seed(case["seed"])
    model = VAE(RHVAESettings(**case["settings"]), case["image_shape"], generator=generator).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 2
    images = torch.rand(case["batch"], *case["image_shape"], generator=generator, dtype=torch.float64)
    d = model.settings.latent_dimension
    return model, images, torch.randn(case["batch"], d, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def references(tmp_path_factory, run_peer):
    """What pythae makes of the cases, by name."""
    folder = tmp_path_factory.mktemp("vae")
    for case in CASES:
        model, images, noise = make_model(case)
        parts = {name: getattr(model, name).state_dict() for name in ("encoder", "decoder")}
        torch.save({**parts, "images": images, "noise": noise}, folder / f"{case['name']}.pt")
    (folder / "cases.json").write_text(json.dumps(CASES))
    run_peer("vae_reference.py", folder)
    return {
        case["name"]: torch.load(folder / f"{case['name']}_reference.pt", weights_only=True) for case in CASES
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_loss_and_every_gradient_equal_the_reference(references, case):
    model, images, noise = make_model(case)
    layers = model.voxel_layers()
    assert len(layers) == 2
    with collected_factors(layers):  # as in training
        output = model(images, noise)
        output.loss.backward()
        for layer in layers:
            layer.weight.grad = sum(left.T @ right for left, right in layer.gradient_factors)
    ours = {
        "loss": output.loss,
        "reconstruction": output.reconstruction.mean(),
        "divergence": output.divergence.mean(),
        "position": output.position,
        **{f"gradient of {name}": weight.grad for name, weight in model.named_parameters()},
    }
    theirs = references[case["name"]]
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        assert ours[name].shape == expected.shape
        difference = (ours[name].detach() - expected).abs().max() / expected.abs().max()
        assert difference < TOLERANCE, name
