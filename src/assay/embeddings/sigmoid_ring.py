"""The sigmoid loss of all processes' pairs, with no process ever holding all rows."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import UsageError
from ..scale.agreement import told_by_all
from ..scale.contrast.pair_softplus import Positives, Slopes, by_scale, visit_pairs
from ..scale.contrast.ring import round_trip
from ..scale.first_derivative import first_derivative_only
from ..scale.gather import gather
from .sigmoid_blocks import Block, as_score, blocks_of


def sigmoid_pair_over_processes(
    a: Tensor,
    b: Tensor,
    labels: Tensor | None = None,
    *,
    log_scale: float | Tensor,
    bias: float | Tensor,
    normalise: bool,
    reference_a: Tensor | None,
    reference_b: Tensor | None,
    reference_labels: Tensor | None,
    gradients: Literal["mean", "sum"],
    group: Any,
) -> Tensor:
    """`sigmoid_pair` of the whole batch from this process's rows; the same scalar on every process.

    Rows of `b` travel from process to process, with the gradient that the others' rows of `a` add to theirs. Value
    and gradient are found on that one journey; nothing is sent in the backward pass.

    Args:
        a, b: (B_local, d); processes may hold different numbers of rows.
        labels: (B_local,), or None on every process.
        log_scale, bias: the same on every process, as are the other options; their whole gradient is on every process.
        normalise, reference_a, reference_b, reference_labels: as for `sigmoid_pair`. Reference rows are the same on
            every process and get no gradient.
        gradients: as for `assay.scale.gather`.
        group: the process group.

    Raises:
        UsageError: on every process: rows of different widths or types.
    """
    scale, shift = as_score(log_scale, bias, a)
    blocks = blocks_of(a, b, labels, reference_a, reference_b, reference_labels, normalise=normalise)
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (a, b, scale, shift))
    rows, wanted = _agreed(a, wanted, group)
    everyones = None if labels is None else torch.split(gather(labels, group=group), rows)
    first, beside = blocks[0], blocks[1:]
    total: Tensor = _Ring.apply(  # type: ignore[no-untyped-call]
        first.x, first.y, scale, shift, beside, everyones, rows, wanted, gradients, group
    )
    return (total / sum(rows)).to(a.dtype)


def _agreed(a: Tensor, wanted: bool, group: Any) -> tuple[list[int], bool]:
    """Every process's number of rows, and whether any needs a gradient, for which all must carry it."""
    said = told_by_all(None, (tuple(a.shape), str(a.dtype).removeprefix("torch."), wanted), group)
    if len({(shape[1:], dtype) for shape, dtype, _ in said}) > 1:
        shown = ", ".join(f"rank {r}: {dtype} {shape}" for r, (shape, dtype, _) in enumerate(said))
        raise UsageError(f"a, b: the processes' rows must agree in width and type; got {shown}")
    return [shape[0] for shape, _, _ in said], any(wants for _, _, wants in said)


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        scale: Tensor,
        bias: Tensor,
        beside: list[Block],
        labels: tuple[Tensor, ...] | None,
        rows: list[int],
        wanted: bool,
        gradients: Literal["mean", "sum"],
        group: Any,
    ) -> Tensor:
        rank, world = dist.get_rank(group), len(rows)
        values = torch.zeros(len(a), dtype=torch.float64, device=a.device)
        own = Slopes.none_yet(a, b)

        def visit(owner: int, block: Tensor, carried: Tensor) -> None:
            if labels is not None:
                positives = Positives(labels=(labels[rank], labels[owner]))
            else:
                positives = Positives(diagonal=0 if owner == rank else None)
            slopes = Slopes(own.x, carried, own.bias) if wanted else None
            visit_pairs(a, block, scale, bias, positives, rows=values, slopes=slopes)

        by_b = round_trip(b, rows, visit, carries=wanted, group=group)
        by_a = own.x * scale
        share = torch.stack([values.sum(), by_scale(a, own), own.bias])
        for block in beside:
            more = torch.zeros(len(block.x), dtype=torch.float64, device=a.device)
            slopes = Slopes.none_yet(block.x, block.y)
            visit_pairs(
                block.x,
                block.y,
                scale,
                bias,
                block.positives,
                rows=more,
                slopes=slopes if wanted else None,
            )
            (by_a if block.anchors == "a" else by_b).add_(slopes.x * scale)
            share += torch.stack([more.sum(), by_scale(block.x, slopes), slopes.bias])
        shares = [torch.empty_like(share) for _ in rows]
        dist.all_gather(shares, share, group=group)
        # in the order of the ranks: the same bits on all
        total, to_scale, to_bias = torch.stack(shares).sum(0).unbind()
        factor = world if gradients == "mean" else 1
        if wanted:
            found = factor * by_a, factor * by_b, to_scale.to(scale), to_bias.to(bias)
            ctx.save_for_backward(*found, a, b, scale, bias)
        return total

    @staticmethod
    @first_derivative_only("a loss over processes")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        slopes = [saved * slope.to(saved.dtype) for saved in ctx.saved_tensors[:4]]
        return (*slopes, None, None, None, None, None, None)
