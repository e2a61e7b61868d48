"""The choice of the device and of the number of threads that torch uses."""

from __future__ import annotations

import logging

import torch

from rhvae_mri.io.errors import StudyError
from rhvae_mri.runtime.locks import acquire_device

logger = logging.getLogger(__name__)


def choose_device(request: str = "auto", threads: int = 1) -> torch.device:
    """Choose where to compute, and say so in the log.

    Where there are several GPUs, each job of a user gets one of its own; where all are taken, it waits (see
    `rhvae_mri.runtime.locks`). Only GPUs that torch sees count, so ``CUDA_VISIBLE_DEVICES``, which
    schedulers set too, is respected. On a GPU, float32 then means float32, and the same work gives the same
    numbers: by default torch lets cuDNN round the factors of convolutions to 10 bits (TF32) and add up their
    gradients in an order that changes from run to run; some machines switch on TF32 for all products.
    """
    torch.set_num_threads(threads)
    gpus = visible_gpus() if request != "cpu" else []
    if request == "cuda" and not gpus:
        raise StudyError(
            "The configuration asks for a GPU, but torch sees none on this machine.",
            where="device",
            cause="There is no NVIDIA GPU or driver here, CUDA_VISIBLE_DEVICES hides it, or torch was "
            "installed without CUDA.",
            remedy="Set `device: auto` (uses the CPU where there is no GPU) or run on a machine with a GPU.",
        )
    if not gpus:
        reason = "as configured" if request == "cpu" else "torch sees no GPU here"
        logger.info("Computing on the CPU with %d thread(s): %s.", threads, reason)
        return torch.device("cpu")
    place = acquire_device(gpus)
    device = torch.device("cuda", place)
    # what says no more than "cuda" means this one, too: random states, for instance
    torch.cuda.set_device(device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    name = torch.cuda.get_device_name(device)
    logger.info("Computing on GPU %d of %d (%s, %s).", place, len(gpus), name, gpus[place])
    return device


def visible_gpus() -> list[str]:
    """Return the UUIDs of the GPUs that torch sees, in its order; a process elsewhere sees the same ones."""
    if not torch.cuda.is_available():
        return []
    places = range(torch.cuda.device_count())
    return [f"gpu-{torch.cuda.get_device_properties(place).uuid}" for place in places]
