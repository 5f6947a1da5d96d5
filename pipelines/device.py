"""The device that networks run on."""

from __future__ import annotations

import torch

from gaitkeeper.pipelines.errors import DeviceUnavailable


def require_device(name: str) -> torch.device:
    """The device with that name, after checking that it exists.

    Args:
        name: "cpu" or "cuda".

    Raises:
        DeviceUnavailable: PyTorch sees no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        why = (
            "PyTorch sees no GPU: is the driver there, and is the GPU given to this container?"
            if torch.version.cuda
            else f"this PyTorch ({torch.__version__}) is a build without CUDA."
        )
        raise DeviceUnavailable(
            f"GAITKEEPER_PIPELINE__DEVICE is cuda, and {why} There is no automatic fallback: set it to cpu to use "
            "the CPU."
        )
    return torch.device(name)
