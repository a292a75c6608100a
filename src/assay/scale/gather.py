"""The rows of all processes as one tensor, with the gradient that the processes' reduction of gradients expects."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import UsageError
from .agreement import told_by_all
from .first_derivative import first_derivative_only

Gradients = Literal["mean", "sum"]


def several_processes(group: Any = None) -> bool:
    """Whether more than one process takes part."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def gather(x: Tensor, *, gradients: Gradients = "mean", group: Any = None) -> Tensor:
    r"""The rows of every process, in the order of the ranks, the same on all of them; differentiable in the own rows.

    Every process then computes the **same** loss of all rows. Its derivative by the own rows is known here, without
    communication; what is left is how the processes put their parameters' gradients together afterwards. With W
    processes and  $g_r = \partial L / \partial x_r$  for the rows of rank r, the backward pass hands on

    $$ W g_r \ \text{("mean")} \qquad\text{or}\qquad g_r \ \text{("sum")} $$

    so that the mean, or the sum, over ranks is the gradient that one process with the whole batch would have.

    Args:
        x: (n, ...) this rank's rows; ranks may hold different numbers of rows, but every one at least one.
        gradients: "mean" where gradients are averaged over processes, as DistributedDataParallel and FSDP do; "sum"
            where the caller sums them.
        group: the process group, by default all processes.

    Returns:
        (n over all ranks, ...); x itself where there is one process. Whole numbers and booleans (labels, masks) are
        gathered without gradient.

    Raises:
        UsageError: on every rank: rows of different shapes or types, a rank without rows.

    Complexity: one exchange of shapes and one of the rows, forward; nothing is sent backward.

    FAQ:
        *Why not torch.distributed.nn.all_gather?* It asks for one shape on all ranks, and its backward pass sums the
        ranks' cotangents: right for "mean" with a loss that all ranks compute, at the price of a second exchange.
        *A plain all_gather?* Cuts the gradient: each process then trains on its own rows with the others' as
        constants, and the mean over W processes is 1/W of the gradient.
    """
    if gradients not in ("mean", "sum"):
        raise UsageError(f'gradients: expected "mean" (DDP, FSDP) or "sum", got {gradients!r}')
    if not several_processes(group):
        return x
    counts = _counts(x, group)
    if not x.requires_grad or not torch.is_grad_enabled():
        return _gathered(x.detach(), counts, group)
    factor = float(len(counts)) if gradients == "mean" else 1.0
    return _Gather.apply(x, counts, group, factor)  # type: ignore[no-untyped-call,no-any-return]


def _counts(x: Tensor, group: Any) -> list[int]:
    """Every rank's number of rows; refused on every rank alike where the rows do not fit together."""
    given: Any = x
    if isinstance(given, Tensor):
        layouts = told_by_all(None, (tuple(x.shape), str(x.dtype).removeprefix("torch.")), group)
    else:
        error = UsageError(f"x: expected a tensor (n, ...) to gather, got {type(given).__name__}")
        layouts = told_by_all(error, None, group)
    shown = ", ".join(f"rank {r}: {dtype} {shape}" for r, (shape, dtype) in enumerate(layouts))
    if any(len(shape) == 0 or shape[0] == 0 for shape, _ in layouts):
        raise UsageError(f"x: every process needs at least one row to gather; got {shown}")
    if len({(shape[1:], dtype) for shape, dtype in layouts}) > 1:
        raise UsageError(f"x: the processes' rows must agree in width and type to be gathered; got {shown}")
    return [shape[0] for shape, _ in layouts]


def _gathered(x: Tensor, counts: list[int], group: Any) -> Tensor:
    # padded to the longest: backends differ in whether they take uneven tensors
    longest = max(counts)
    padded = x.new_zeros((longest, *x.shape[1:]))
    padded[: len(x)] = x
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int], group: Any, factor: float) -> Tensor:
        rank = dist.get_rank(group)
        ctx.start, ctx.rows, ctx.factor = sum(counts[:rank]), counts[rank], factor
        return _gathered(x, counts, group)

    @staticmethod
    @first_derivative_only("a loss of gathered rows")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, None, None, None]:
        return ctx.factor * slope[ctx.start : ctx.start + ctx.rows], None, None, None
