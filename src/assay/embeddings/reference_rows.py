"""What rows beside the batch must be: candidates for its anchors, no anchors themselves."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..batch_arguments import as_labels, as_rows
from ..errors import UsageError


def as_reference(value: Any, name: str, like: Tensor) -> Tensor | None:
    """Rows (M, d) in the batch's precision; None where there are none.

    Raises:
        UsageError: not rows, or of another width or device than the batch's.
    """
    if value is None or (isinstance(value, Tensor) and value.ndim == 2 and len(value) == 0):
        return None
    rows = as_rows(value, name)
    if rows.shape[1] != like.shape[1]:
        raise UsageError(
            f"{name} has {rows.shape[1]} features and the batch {like.shape[1]}: all embeddings must be of one width"
        )
    if rows.device != like.device:
        raise UsageError(
            f"{name} is on {rows.device} and the batch on {like.device}; move one with .to(device)"
        )
    return rows.to(like.dtype)


def as_reference_labels(value: Any, labels: Tensor | None, rows: dict[str, Tensor | None]) -> Tensor | None:
    """Labels of the reference rows, needed where the batch has labels and refused where it has none.

    Args:
        value: what was given as `reference_labels`.
        labels: the batch's labels.
        rows: the reference rows by name.

    Raises:
        UsageError: no labels (M,), other numbers of rows, or labels on one side alone.
    """
    given = {name: tensor for name, tensor in rows.items() if tensor is not None}
    if value is not None and labels is None:
        raise UsageError("reference_labels: the batch has no labels to compare them with; pass labels too")
    if not given:
        return None
    if labels is None:
        return None
    if value is None:
        raise UsageError(
            f"reference_labels: the batch has labels, so the rows of {' and '.join(given)} need theirs, (M,)"
        )
    found = as_labels(value, "reference_labels")
    for name, tensor in given.items():
        if len(found) != len(tensor):
            raise UsageError(
                f"{name} has {len(tensor)} rows and reference_labels {len(found)}; one label a row"
            )
    return found.to(labels.device)
