"""The networks of the deep quality check, V. Fonov's deep-qc as ClinicaDL 1.6.1 runs it, and their weights.

Each sees three slices of a head and says whether the head is well registered. The weights have the names that
they have in the published files. Source: Fonov et al., NeuroImage 257, 2022,
doi:10.1016/j.neuroimage.2022.119266.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from rhvae_mri.io.downloads import check_file, obtain_file
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import atomic_path, write_json
from rhvae_mri.preprocess.sidecars import sidecar_path, software_versions

#: Slices of a head, their height and width in pixels, and the two classes: `PASSED` is "well registered".
SLICES, SLICE_SIZE, CLASSES, PASSED = 3, 224, 2, 1

#: Entries that no prediction needs: counters of the training.
_UNUSED = ".num_batches_tracked"

#: What `torch.load` raises on files that are not its own.
_OTHERS = (ValueError, LookupError, TypeError, AttributeError)
_UNREADABLE = (UnpicklingError, RuntimeError, OSError, EOFError, *_OTHERS)

_LISTED = 3

_REMEDY = "Give the file that ClinicaDL downloads for this network, or a state dict of the same network."


class _SliceNetwork(nn.Sequential):
    """Passes slices as images of one channel; the last part judges the maps of a head's slices together."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__(OrderedDict(parts))

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Give the logits of the two classes, shape (n, 2), of slices of shape (n, 3, 224, 224)."""
        *trunk, head = self
        maps = slices.flatten(0, 1).unsqueeze(1)
        for part in trunk:
            maps = part(maps)
        return head(maps.unflatten(0, (-1, SLICES)).flatten(1, 2)).flatten(1)


class _ResidualBlock(nn.Module):
    """Two convolutions beside the identity, or beside a strided convolution where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if (inputs, stride) != (outputs, 1):
            strided = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(strided, nn.BatchNorm2d(outputs))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(self.bn2(self.conv2(inner)) + self.downsample(maps))


class _Fire(nn.Module):
    """SqueezeNet's module: few channels in the middle, then kernels of two sizes side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        squeezed = self.relu(self.squeeze(maps))
        return self.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1))


def _resnet18() -> nn.Module:
    """ResNet-18 for each slice, and a convolutional head over the three; the study's check."""

    def stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(_ResidualBlock(inputs, outputs, stride), _ResidualBlock(outputs, outputs, 1))

    def convolution(inputs: int, outputs: int, kernel: int = 1) -> tuple[nn.Module, ...]:
        return nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs), nn.ReLU()

    return _SliceNetwork(
        conv1=nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        layer1=stage(64, 64, stride=1),
        layer2=stage(64, 128, stride=2),
        layer3=stage(128, 256, stride=2),
        layer4=stage(256, 512, stride=2),
        addon=nn.Sequential(
            *convolution(SLICES * 512, 512),
            *convolution(512, 32),
            *convolution(32, 32, kernel=7),  # the whole map: 7 x 7 pixels become one
            *convolution(32, 32),
            *(nn.Dropout2d(), nn.Conv2d(32, CLASSES, 1)),
        ),
    )


def _squeezenet() -> nn.Module:
    """SqueezeNet 1.1 for each slice, and one convolution over the three."""

    def pooling() -> nn.Module:
        return nn.MaxPool2d(3, stride=2, ceil_mode=True)  # keeps an incomplete window at the end

    return _SliceNetwork(
        features=nn.Sequential(
            *(nn.Conv2d(1, 64, 3, stride=2), nn.ReLU()),
            *(pooling(), _Fire(64, 16, 64), _Fire(128, 16, 64)),
            *(pooling(), _Fire(128, 32, 128), _Fire(256, 32, 128)),
            *(pooling(), _Fire(256, 48, 192), _Fire(384, 48, 192), _Fire(384, 64, 256), _Fire(512, 64, 256)),
        ),
        classifier=nn.Sequential(
            nn.Dropout(), nn.Conv2d(SLICES * 512, CLASSES, 1), nn.ReLU(), nn.AvgPool2d(13, stride=1)
        ),
    )


#: The networks by their names in the configuration. `resnet18` is the study's, `squeezenet1_1` an older one.
NETWORKS = {"resnet18": _resnet18, "squeezenet1_1": _squeezenet}


def build_network(name: str) -> nn.Module:
    """Make a network of `NETWORKS`, without its trained weights, in evaluation mode."""
    if name not in NETWORKS:
        raise StudyError(
            f"There is no network {name!r} for the deep quality check.",
            remedy=f"Take one of {', '.join(NETWORKS)}.",
        )
    return NETWORKS[name]().eval()


def prepare_deep_quality_weights(source: str, network: str, target: str | os.PathLike[str]) -> None:
    """Check weights (a file, or a descriptor's) and write them as safetensors, with their origin beside."""
    file, origin = obtain_file(source, Path(target).parent, entry=network)
    weights = read_weights(file, network)
    with atomic_path(target) as temporary:
        save_file(weights, temporary, metadata={"network": network})
    content = {
        "Description": "Weights of the network that checks the registration",
        "Network": network,
        **origin,
        "SoftwarePackages": software_versions("torch", "safetensors"),
    }
    write_json(sidecar_path(target), content)


def read_weights(path: str | os.PathLike[str], network: str) -> dict[str, torch.Tensor]:
    """Read a network's weights as float32, from ``.safetensors`` or from ``torch.save`` of tensors alone."""
    expected = _expected_shapes(network)
    file = check_file(path)
    tensors = _read_tensors(file)
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(_UNUSED)}
    problems = _differences(found, expected)
    if problems:
        listed = "; ".join(problems[:_LISTED])
        more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        fitting = [name for name in NETWORKS if not _differences(found, _expected_shapes(name))]
        raise StudyError(
            f"The weights do not fit the network {network}: {listed}{more}.",
            where=file,
            cause=f"They are the weights of {' or '.join(fitting)}." if fitting else None,
            remedy=_REMEDY,
        )
    damaged = [name for name, tensor in found.items() if not torch.isfinite(tensor).all()]
    if damaged:
        raise StudyError(f"The weights {damaged[0]} are NaN or infinite.", where=file, remedy=_REMEDY)
    return {name: found[name].float().contiguous() for name in expected}


def _expected_shapes(network: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        weights = build_network(network).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in weights.items() if not name.endswith(_UNUSED)}


def _differences(found: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not one of its weights" for name in found if name not in expected]
    return problems + [
        f"{name} has the shape {tuple(found[name].shape)}, not {expected[name]}"
        for name in expected.keys() & found.keys()
        if tuple(found[name].shape) != expected[name]
    ]


def _read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read safetensors, or what torch has saved; pickled objects other than tensors are refused unread."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        cause = f"It is damaged or no safetensors file: {error}."
    except _UNREADABLE as error:
        words = str(error).partition("\n")[0] or type(error).__name__
        cause = (
            "It is damaged, is no file of torch (a web page, for example), or holds Python objects, "
            f"which are not loaded because that could run their code: {words}"
        )
    else:
        if isinstance(content, Mapping) and all(
            isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
        ):
            return dict(content)
        raise StudyError(
            "The file holds something else than a state dict.",
            where=file,
            cause="It is a whole checkpoint or a single tensor; the weights are to be its only content.",
            remedy=_REMEDY,
        )
    raise StudyError("The file of weights cannot be read.", where=file, cause=cause, remedy=_REMEDY)
