"""A `Comparison` in TensorBoard."""

from __future__ import annotations

from typing import Any

from ..comparison import Comparison
from ..report.notebook import as_html
from .logged_values import logged_values


def log_comparison(found: Comparison, writer: Any, step: int, *, prefix: str = "assay/") -> None:
    """Write every value as a scalar, and the table with its notes as text.

    ::

        from torch.utils.tensorboard import SummaryWriter

        log_comparison(found, writer, step=10_000)

    Args:
        found: the comparison.
        writer: a `torch.utils.tensorboard.SummaryWriter`, or one of tensorboardX.
        step: of the training.
        prefix: before the names, which are those of `assay.adapters.logged_values.logged_values`.

    Raises:
        UsageError: two numbers that would go by one name.
    """
    for name, value in logged_values(found, prefix).items():
        writer.add_scalar(name, value, step)
    writer.add_text(f"{prefix}comparison", as_html(found), step)
