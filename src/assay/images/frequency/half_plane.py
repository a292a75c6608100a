"""Which coefficients of a real image's Fourier transform stand for two?"""

from __future__ import annotations

import torch
from torch import Tensor


def power(spectrum: Tensor) -> Tensor:
    """Squared modulus; its gradient is finite at 0, where the modulus has none."""
    return spectrum.real.square() + spectrum.imag.square()


def column_counts(width: int, like: Tensor) -> Tensor:
    """(width // 2 + 1,): how many columns of the whole plane each column of the half plane stands for.

    A real image's spectrum holds every coefficient twice, as itself and as its conjugate at the opposite frequency,
    which lies in the left-out half; the column of frequency 0, and for an even width that of the highest frequency,
    hold both themselves.
    """
    own = torch.arange(width // 2 + 1, device=like.device) * 2 % width == 0
    return (2 - own.to(like.dtype)).to(like.dtype)
