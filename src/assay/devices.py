"""Which device is meant?"""

from __future__ import annotations

import torch

from .errors import UsageError


def chosen_device(device: torch.device | str | None) -> torch.device:
    """The named device; by default CUDA where there is one, else the CPU.

    Raises:
        UsageError: an unknown device, or one that is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"device: unknown device {str(device)!r}; for example cpu, cuda or cuda:1") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device: {str(device)!r} is not there, PyTorch sees no CUDA device; use cpu")
    return chosen
