"""The choice of the device and of the number of threads that torch uses."""

from __future__ import annotations

import logging

import torch

from rhvae_mri.errors import StudyError

logger = logging.getLogger(__name__)


def choose_device(request: str = "auto", threads: int = 1) -> torch.device:
    """Choose where to compute, and say so in the log.

    Parameters
    ----------
    request : {"auto", "cpu", "cuda"}
        ``auto`` takes the GPU when there is one.
    threads : int
        How many CPU threads torch may use.

    Raises
    ------
    StudyError
        If ``cuda`` is asked for on a machine where torch sees no GPU.
    """
    torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if request == "cuda" and not available:
        raise StudyError(
            "The configuration asks for a GPU, but torch sees none on this machine.",
            where="device",
            cause="There is no NVIDIA GPU or driver here, or torch was installed without CUDA.",
            remedy="Set `device: auto` (uses the CPU where there is no GPU) or run on a machine with a GPU.",
        )
    device = torch.device("cuda" if available and request != "cpu" else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{threads} CPU thread(s)"
    logger.info("Computing on %s (%s).", device, name)
    return device
