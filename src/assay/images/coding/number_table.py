"""Are these numbers?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...errors import UsageError


def number_table(values: Any, name: str) -> Tensor:
    """Values as float64 on the processor, without gradient.

    Raises:
        UsageError: what is no number, nor a table of numbers of one length: text, truth values, None, complex numbers.
    """
    try:
        given = torch.as_tensor(values)
        if given.dtype == torch.bool or given.is_complex():
            raise TypeError(str(given.dtype))
        return torch.as_tensor(values, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name}: expected numbers, got {values!r} ({error})") from None
