"""Which device is meant?"""

from __future__ import annotations

import os

import torch

from .errors import UsageError

KNOWN = ("cpu", "cuda", "mps", "xpu")


def chosen_device(device: torch.device | str | None) -> torch.device:
    """The named device; by default CUDA where there is one, else the CPU.

    Raises:
        UsageError: an unknown device, or one that is not there.
    """
    if device is None:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        local = os.environ.get(
            "LOCAL_RANK", ""
        )  # of several processes on one machine each has a device of its own
        return (
            torch.device("cuda", int(local) % torch.cuda.device_count())
            if local.isdecimal()
            else torch.device("cuda")
        )
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"device: unknown device {str(device)!r}; for example cpu, cuda or cuda:1") from None
    if chosen.type not in KNOWN:
        raise UsageError(f"device: {str(device)!r} computes nothing here; expected {', '.join(KNOWN)}")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device: {str(device)!r} is not there, PyTorch sees no CUDA device; use cpu")
    if (chosen.type == "mps" and not torch.backends.mps.is_available()) or (
        chosen.type == "xpu" and not torch.xpu.is_available()
    ):
        raise UsageError(f"device: {str(device)!r} is not there, PyTorch sees no such device; use cpu")
    return chosen


def measured_on(device: torch.device) -> torch.device:
    """Where measures are worked out: the device itself, or the CPU where it has no float64 (MPS)."""
    return torch.device("cpu") if device.type == "mps" else device
