"""What a network says of images: outputs and probabilities, in evaluation mode."""

from __future__ import annotations

import numpy
import torch

from rhvae_mri.cnn.architectures import ConvolutionalNetwork, place_network
from rhvae_mri.cnn.data import RESIDENT_BYTES, DeviceImages, ImageSet
from rhvae_mri.io.errors import StudyError


def predict(
    network: ConvolutionalNetwork,
    images: ImageSet,
    *,
    batch_size: int,
    device: torch.device,
    precision: str = "float32",
    resident_bytes: int = RESIDENT_BYTES,
) -> numpy.ndarray:
    """Predict for each image the probability of class 1; float64, in the order of the set.

    The network is moved to ``device``. ``batch_size`` changes the result by rounding only; in which type
    ``precision`` multiplies is said in `rhvae_mri.cnn.architectures.PRECISIONS`; sets of at most
    ``resident_bytes`` are copied to the device as a whole. StudyError if the images have another shape than
    the network's input, an intensity is not in [0, 1], or the outputs are not finite.
    """
    check_shape(network, images)
    placed = place_network(network, device, precision)
    logits = compute_logits(placed, images.on(device, resident_bytes), batch_size)
    if not torch.isfinite(logits).all():
        raise StudyError(
            "The network's outputs are not finite.", cause="Its weights are damaged or diverged in training."
        )
    return positive_probability(logits)


def compute_logits(network: ConvolutionalNetwork, images: DeviceImages, batch_size: int) -> torch.Tensor:
    """Compute a network's logits (n, 2) in evaluation mode; its own mode is the same before and after."""
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            batches = torch.arange(len(images)).split(batch_size)
            return torch.cat([network(images.batch(indices)) for indices in batches])
    finally:
        network.train(was_training)


def positive_probability(logits: torch.Tensor) -> numpy.ndarray:
    """Turn logits (n, 2) into probabilities of class 1, a float64 array (n,)."""
    return torch.softmax(logits.detach().to("cpu", torch.float64), dim=1)[:, 1].numpy()


def check_shape(network: ConvolutionalNetwork, images: ImageSet) -> None:
    """Raise a StudyError if the images do not have the shape of the network's input."""
    if images.shape != network.input_shape:
        raise StudyError(
            f"The network takes images of {network.input_shape} voxels, but these have {images.shape}.",
            cause="The network and the images are of different resolutions or voxel sizes.",
            remedy="Make both with one configuration.",
        )
