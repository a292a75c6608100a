"""Which rows meet which, and which of their pairs are positive?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import UsageError
from ..scale.contrast.pair_softplus import Positives
from .reference_rows import as_reference, as_reference_labels
from .scaled_rows import unit_rows


@dataclass(frozen=True)
class Block:
    """Anchors and what they meet.

    Attributes:
        anchors: whose rows x are.
        x: (n, d) anchors.
        y: (m, d) what they meet.
        positives: which pairs of the two are positive.
    """

    anchors: Literal["a", "b"]

    x: Tensor
    y: Tensor
    positives: Positives


def as_score(log_scale: Any, bias: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """exp(log_scale) and the bias as tensors () of the batch's precision, with their gradient.

    Raises:
        UsageError: one that is not one number.
    """
    return _number(log_scale, "log_scale", like).exp(), _number(bias, "bias", like)


def blocks_of(
    a: Tensor,
    b: Tensor,
    labels: Tensor | None,
    reference_a: Any,
    reference_b: Any,
    reference_labels: Any,
    *,
    normalise: bool,
) -> list[Block]:
    """The batch with itself first, then the anchors of each side with the other's reference set.

    Raises:
        UsageError: see `sigmoid_pair`.
    """
    further = {
        "reference_a": as_reference(reference_a, "reference_a", a),
        "reference_b": as_reference(reference_b, "reference_b", a),
    }
    further_labels = as_reference_labels(reference_labels, labels, further)
    if normalise:
        a, b = unit_rows(a), unit_rows(b)
    own = Positives(diagonal=0) if labels is None else Positives(labels=(labels, labels))
    matches = None if labels is None or further_labels is None else (labels, further_labels)
    blocks = [Block("a", a, b, own)]
    if (rows := further["reference_b"]) is not None:
        blocks.append(Block("a", a, unit_rows(rows) if normalise else rows, Positives(labels=matches)))
    if (rows := further["reference_a"]) is not None:
        blocks.append(Block("b", b, unit_rows(rows) if normalise else rows, Positives(labels=matches)))
    return blocks


def _number(value: Any, name: str, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        if value.numel() != 1 or not value.is_floating_point():
            raise UsageError(
                f"{name}: expected one number, or a floating-point tensor of one, "
                f"got {value.dtype} {tuple(value.shape)}"
            )
        return value.reshape(()).to(like)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{name}: expected one number, or a floating-point tensor of one, got {value!r}")
    return torch.tensor(value, dtype=like.dtype, device=like.device)
