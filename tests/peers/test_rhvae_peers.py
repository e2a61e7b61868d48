"""The RHVAE beside those of pythae and Pyraug: same weights, same noise, same images.

The cases are drawn at random, from a seed. pythae's loss lacks the constant of the momentum's density, which
is added here; nothing else of either package is changed.
"""

import dataclasses
import json
import math
import random
from pathlib import Path

import pytest
import torch

from rhvae_mri.generators.rhvae.kernels.voxel_layers import collected_factors
from rhvae_mri.generators.rhvae.model import RHVAE
from rhvae_mri.generators.rhvae.sampler import log_density
from rhvae_mri.generators.rhvae.settings import RHVAESettings

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]

#: Greatest difference of a tensor, relative to its largest number.
TOLERANCES = {"float64": 1e-5, "float32": 1e-3}

#: The likelihoods that each package offers.
PEERS = [("pythae", "mse"), ("pythae", "bce"), ("pyraug", "bce")]

N_DRAWS = 12


def draw_case(number):
    """A case with everything drawn that the user can choose."""
    draw = random.Random(number)
    package, reconstruction = PEERS[number % len(PEERS)]
    settings = RHVAESettings(
        latent_dimension=draw.randint(1, 6),
        leapfrog_steps=draw.randint(0, 5),
        leapfrog_step_size=10 ** draw.uniform(-3, -1.3),
        sqrt_beta_zero=draw.uniform(0.2, 1),
        temperature=draw.uniform(0.8, 2),
        regularization=10 ** draw.uniform(-2, -1),
        encoder_layers=tuple(draw.randint(3, 12) for _ in range(draw.randint(1, 3))),
        decoder_layers=tuple(draw.randint(3, 12) for _ in range(draw.randint(1, 3))),
        metric_layers=(draw.randint(3, 12),),
        reconstruction=reconstruction,
        encoder_last_activation=draw.choice(["relu", "none"]),
    )
    return {
        "name": f"draw-{number}",
        "package": package,
        "settings": dataclasses.asdict(settings),
        "image_shape": [draw.randint(2, 9) for _ in range(draw.randint(1, 3))],
        "batch": draw.randint(2, 9),
        "seed": number,
        "dtype": "float64",
        "training": True,
        "hold_momentum": False,
    }


def variants(case):
    """The case in both modes and both types."""
    return [
        case | {"name": f"{case['name']}-{mode}-{dtype}", "training": mode == "training", "dtype": dtype}
        for mode in ("training", "evaluation")
        for dtype in TOLERANCES
    ]


def momentum_cases():
    """Cases of the study's number of steps, with and without the derivative of the momentum."""
    case = draw_case(0)
    settings = case["settings"] | {"leapfrog_step_size": 0.02, "latent_dimension": 4}
    return [
        case
        | {
            "name": f"momentum-{'held' if held else 'published'}-{steps}",
            "settings": settings | {"leapfrog_steps": steps},
            "hold_momentum": held,
        }
        for steps in (1, 3)
        for held in (True, False)
    ]


DRAWN = [variant for number in range(N_DRAWS) for variant in variants(draw_case(number))]
CASES = {case["name"]: case for case in [*DRAWN, *momentum_cases()]}


def make_model(case):
    """Our model in float64, with weights away from the nearly constant networks of the usual start."""
    generator = torch.Generator().manual_seed(case["seed"])
    settings = RHVAESettings(**case["settings"])
    model = RHVAE(settings, case["image_shape"], generator=generator).to(torch.float64)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 2
    model.fit_metric(torch.rand(7, *case["image_shape"], generator=generator, dtype=torch.float64))
    images = torch.rand(case["batch"], *case["image_shape"], generator=generator, dtype=torch.float64)
    d = settings.latent_dimension
    noise, positions = torch.randn(2, 2, case["batch"], d, generator=generator, dtype=torch.float64)
    dtype = getattr(torch, case["dtype"])
    model.to(dtype).train(case["training"])
    return model, images.to(dtype), noise.to(dtype), positions[0].to(dtype)


def our_results(case, model, images, noise, positions):
    layers = model.voxel_layers()
    with collected_factors(layers):  # as in training
        output = model(images, *noise)
        output.loss.backward()
        for layer in layers:
            if layer.gradient_factors:
                layer.weight.grad = sum(left.T @ right for left, right in layer.gradient_factors)
    loss = output.loss
    if case["package"] == "pythae":
        loss = loss - model.settings.latent_dimension * math.log(2 * math.pi) / 2
    results = {
        "loss": loss,
        "reconstruction": torch.sigmoid(output.end.potential.logits),
        "position": output.end.position,
        "momentum": output.end.momentum,
        "inverse_metric": output.end.metric.inverse,
        "log_density": log_density(positions, model.final_metric())[0],
    }
    gradients = {
        f"gradient of {name}": weight.grad
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    return {name: value.detach() for name, value in (results | gradients).items()}


@pytest.fixture(scope="module")
def references(tmp_path_factory, run_peer):
    """What the packages make of the cases, by name."""
    folder = tmp_path_factory.mktemp("rhvae")
    for case in CASES.values():
        model, images, noise, positions = make_model(case)
        tensors = {
            **{name: getattr(model, name).state_dict() for name in ("encoder", "decoder", "metric_network")},
            **{"images": images, "noise": noise, "positions": positions},
            **{"centroids": model.centroids, "matrices": model.matrices},
        }
        torch.save(tensors, folder / f"{case['name']}.pt")
    (folder / "cases.json").write_text(json.dumps(list(CASES.values())))
    run_peer("rhvae_reference.py", folder)
    return {name: torch.load(folder / f"{name}_reference.pt", weights_only=True) for name in CASES}


def difference(ours, theirs):
    """Greatest difference, relative to the largest number; 0 for tensors without numbers."""
    assert ours.shape == theirs.shape
    if not ours.numel():
        return 0.0
    assert torch.isfinite(theirs).all()
    return ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-300)).item()


@pytest.mark.parametrize("case", DRAWN, ids=lambda case: case["name"])
def test_loss_flow_and_every_gradient_equal_the_reference(references, case):
    ours, theirs = our_results(case, *make_model(case)), references[case["name"]]
    missing = {name for name in ours.keys() ^ theirs.keys() if (ours | theirs)[name].any()}
    assert not missing
    for name in ours.keys() & theirs.keys():
        assert difference(ours[name], theirs[name]) < TOLERANCES[case["dtype"]], name


def test_the_draws_cover_the_choices():
    settings = [case["settings"] for case in DRAWN]
    assert len({value["leapfrog_steps"] for value in settings}) > 3
    assert len({value["latent_dimension"] for value in settings}) > 3
    assert len({len(case["image_shape"]) for case in DRAWN}) == 3
    assert {value["encoder_last_activation"] for value in settings} == {"relu", "none"}
    assert {(case["package"], case["settings"]["reconstruction"]) for case in DRAWN} == set(PEERS)


def test_the_derivative_of_the_momentum_matters_from_the_second_step_on(references):
    """The published first line differentiates the momentum, too: see `hamiltonian`."""
    gaps = [
        difference(
            references[f"momentum-held-{n}"]["momentum"], references[f"momentum-published-{n}"]["momentum"]
        )
        for n in (1, 3)
    ]
    assert gaps[0] == 0
    assert gaps[1] > TOLERANCES["float64"]
    for n in (1, 3):
        case = CASES[f"momentum-published-{n}"]
        ours = our_results(case, *make_model(case))
        assert difference(ours["momentum"], references[case["name"]]["momentum"]) < 1e-10
