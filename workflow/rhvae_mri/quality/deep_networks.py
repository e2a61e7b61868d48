"""The networks of the deep quality check, V. Fonov's deep-qc as ClinicaDL 1.6.1 runs it, and their weights.

Each sees three slices of a head and says whether the head is well registered. The slices pass through the
same convolutions, as images of one channel; their feature maps are concatenated and judged together. The
weights have the names that they have in the published files; they are fetched or given, checked, and kept
without pickle.

Source: Fonov et al., DARQ: Deep learning of quality control for stereotaxic registration of human brain MRI,
NeuroImage 257, 2022, doi:10.1016/j.neuroimage.2022.119266.
"""

from __future__ import annotations

import os
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

#: Slices of a head, and their height and width in pixels.
SLICES = 3
SLICE_SIZE = 224

#: The two classes of the answer; `PASSED` is the index of "well registered".
CLASSES = 2
PASSED = 1

#: Entries that no prediction needs: counters of the training.
_UNUSED = ".num_batches_tracked"

#: What `torch.load` raises on files that are not its own.
_UNREADABLE = (
    *(UnpicklingError, RuntimeError, OSError, EOFError),
    *(ValueError, LookupError, TypeError, AttributeError),
)

_LISTED = 3

_REMEDY = "Give the file that ClinicaDL downloads for this network, or a state dict of the same network."


class ResNet18QC(nn.Module):
    """ResNet-18 for each slice, and a convolutional head over the three; the study's check."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, stride=1)
        self.layer2 = _stage(64, 128, stride=2)
        self.layer3 = _stage(128, 256, stride=2)
        self.layer4 = _stage(256, 512, stride=2)
        self.addon = nn.Sequential(
            *_convolution(SLICES * 512, 512),
            *_convolution(512, 32),
            *_convolution(32, 32, kernel=7),  # the whole map: 7 x 7 pixels become one
            *_convolution(32, 32),
            nn.Dropout2d(),
            nn.Conv2d(32, CLASSES, 1),
        )

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Give the logits of the two classes, shape (n, 2), of slices of shape (n, 3, 224, 224)."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(_one_by_one(slices)))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return self.addon(_side_by_side(maps)).flatten(1)


class SqueezeNetQC(nn.Module):
    """SqueezeNet 1.1 for each slice, and one convolution over the three."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 64, 3, stride=2),
            nn.ReLU(),
            _pooling(),
            _Fire(64, 16, 64),
            _Fire(128, 16, 64),
            _pooling(),
            _Fire(128, 32, 128),
            _Fire(256, 32, 128),
            _pooling(),
            _Fire(256, 48, 192),
            _Fire(384, 48, 192),
            _Fire(384, 64, 256),
            _Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(SLICES * 512, CLASSES, 1), nn.ReLU(), nn.AvgPool2d(13, stride=1)
        )

    def forward(self, slices: torch.Tensor) -> torch.Tensor:
        """Give the logits of the two classes, shape (n, 2), of slices of shape (n, 3, 224, 224)."""
        return self.classifier(_side_by_side(self.features(_one_by_one(slices)))).flatten(1)


#: The networks by their names in the configuration. `resnet18` is the study's, `squeezenet1_1` an older one.
NETWORKS: dict[str, type[nn.Module]] = {
    "resnet18": ResNet18QC,
    "squeezenet1_1": SqueezeNetQC,
}


def build_network(name: str) -> nn.Module:
    """Make a network of `NETWORKS`, without its trained weights, in evaluation mode."""
    if name not in NETWORKS:
        raise StudyError(
            f"There is no network {name!r} for the deep quality check.",
            remedy=f"Take one of {', '.join(NETWORKS)}.",
        )
    return NETWORKS[name]().eval()


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
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

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


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """One of the four stages of ResNet-18."""
    return nn.Sequential(_ResidualBlock(inputs, outputs, stride), _ResidualBlock(outputs, outputs, 1))


def _convolution(inputs: int, outputs: int, kernel: int = 1) -> tuple[nn.Module, ...]:
    """A convolution of the head, with its normalization and activation."""
    return nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs), nn.ReLU()


def _pooling() -> nn.MaxPool2d:
    """SqueezeNet's pooling, which keeps an incomplete window at the end."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _one_by_one(slices: torch.Tensor) -> torch.Tensor:
    """Make each slice an image of its own: (n, 3, h, w) to (3 n, 1, h, w)."""
    return slices.flatten(0, 1).unsqueeze(1)


def _side_by_side(maps: torch.Tensor) -> torch.Tensor:
    """Concatenate the feature maps of each head's slices: (3 n, c, h, w) to (n, 3 c, h, w)."""
    return maps.unflatten(0, (-1, SLICES)).flatten(1, 2)


def prepare_deep_quality_weights(
    source: str,
    network: str,
    target: str | os.PathLike[str],
    *,
    downloads: str | os.PathLike[str] | None = None,
) -> None:
    """Check weights (a file, or a descriptor's) and write them as safetensors, with their origin beside."""
    file, origin = obtain_file(source, downloads or Path(target).parent, entry=network)
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
    tensors = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
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
    """The names and shapes of a network's weights."""
    with torch.device("meta"):
        weights = build_network(network).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in weights.items() if not name.endswith(_UNUSED)}


def _differences(found: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say how tensors differ from what a network expects."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not one of its weights" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        shape = tuple(found[name].shape)
        if shape != expected[name]:
            problems.append(f"{name} has the shape {shape}, not {expected[name]}")
    return problems


def _read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file."""
    try:
        return load_file(file)
    except SafetensorError as error:
        raise StudyError(
            "The file of weights cannot be read.",
            where=file,
            cause=f"It is damaged or no safetensors file: {error}.",
            remedy=_REMEDY,
        ) from error


def _read_torch(file: Path) -> dict[str, torch.Tensor]:
    """Read a state dict that torch has saved; pickled objects other than tensors are refused unread."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        summary = str(error).partition("\n")[0] or type(error).__name__
        raise StudyError(
            "The file of weights cannot be read.",
            where=file,
            cause="It is damaged, is no file of torch (a web page, for example), or holds Python objects, "
            f"which are not loaded because that could run their code: {summary}",
            remedy=_REMEDY,
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in content.items()
    ):
        raise StudyError(
            "The file holds something else than a state dict.",
            where=file,
            cause="It is a whole checkpoint or a single tensor; the weights are to be its only content.",
            remedy=_REMEDY,
        )
    return dict(content)
