"""Our baseline networks beside ClinicaDL's Conv5_FC3 and its down-sampled sibling: same weights, same images.

The sibling is in the package's history only; its layers are put together from those of the package.
"""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from rhvae_mri.cnn.architectures import build_network, place_network, read_architectures

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[2]
REAL = {"full": (169, 208, 179), "downsampled": (84, 104, 89)}

#: Greatest norm of a difference, relative to the norm, of outputs and statistics and of gradients. In float32
#: two voxels of a window can be closer than the rounding, and then the gradient goes to the other one.
TOLERANCES = {"float64": (1e-9, 1e-9), "float32": (1e-4, 0.05)}


def make_cases():
    """Odd sizes on different levels, and each network's own size; in float64, but for the largest."""
    cases = [
        {"network": network, "mode": mode, "dtype": dtype, "shape": shape, "n": n}
        for network in REAL
        for mode in ("training", "evaluation")
        for dtype, shape, n in (
            ("float64", (21, 26, 23), 4),
            ("float64", (35, 33, 40), 3),
            ("float32" if network == "full" else "float64", REAL[network], 2),
        )
        # once is enough for an image of six million voxels
        if not (shape == REAL["full"] and mode == "evaluation")
    ]
    for case in cases:
        size = "x".join(map(str, case["shape"]))
        case["name"] = f"{case['network']}-{case['mode']}-{size}"
    return cases


CASES = make_cases()


def make_network(case):
    """Our network with slopes and statistics as after a training, images and labels."""
    architecture = read_architectures(ROOT / "resources" / "architectures.json")["baseline"][case["network"]]
    network = build_network(dataclasses.replace(architecture, dropout=0.0), case["shape"], seed=1)
    generator = torch.Generator().manual_seed(2)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values, generator=generator)
            nn.init.uniform_(layer.running_var, 0.5, 2, generator=generator)
    dtype = getattr(torch, case["dtype"])
    images = torch.rand(case["n"], 1, *case["shape"], generator=generator).to(dtype)
    network = network.to(dtype).train(case["mode"] == "training")
    return place_network(network, torch.device("cpu")), images, torch.arange(case["n"]) % 2


@pytest.fixture(scope="module")
def references(tmp_path_factory, run_peer):
    """The folder with what ClinicaDL makes of the cases."""
    folder = tmp_path_factory.mktemp("cnn")
    for case in CASES:
        network, images, labels = make_network(case)
        weights = [value.contiguous() for value in network.state_dict().values()]
        torch.save({"weights": weights, "images": images, "labels": labels}, folder / f"{case['name']}.pt")
    (folder / "cases.json").write_text(json.dumps(CASES))
    run_peer("cnn_reference.py", folder)
    return folder


def difference(ours, theirs):
    assert ours.shape == theirs.shape
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_outputs_gradients_and_statistics_are_clinicadls(references, case):
    theirs = torch.load(references / f"{case['name']}_reference.pt", weights_only=True)
    network, images, labels = make_network(case)
    leaf = images.requires_grad_()
    outputs = network(leaf)
    functional.cross_entropy(outputs, labels).backward()
    tolerance, gradient_tolerance = TOLERANCES[case["dtype"]]
    assert difference(outputs.detach(), theirs["outputs"]) < tolerance
    assert difference(leaf.grad, theirs["image gradient"]) < gradient_tolerance
    for (name, weights), gradient in zip(network.named_parameters(), theirs["gradients"], strict=True):
        part, position, kind = name.split(".")
        is_convolution = isinstance(getattr(network, part)[int(position)], nn.Conv3d)
        if case["mode"] == "training" and is_convolution and kind == "bias":
            # a zero: theirs is its rounding
            assert not weights.grad.any()
            assert gradient.abs().max() < gradient_tolerance
        else:
            assert difference(weights.grad, gradient) < gradient_tolerance, name
    for (name, ours), value in zip(network.named_buffers(), theirs["statistics"], strict=True):
        torch.testing.assert_close(ours, value, rtol=tolerance, atol=tolerance, msg=name)
