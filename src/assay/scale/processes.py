"""Several processes as one: statistics reduced over `torch.distributed`."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import UsageError

S = TypeVar("S")


def all_reduce(statistic: S, group: Any = None) -> S:
    """The statistic of all processes' samples together, the same on every rank; itself where there is one process.

    Every rank's tensors are gathered and merged in the order of the ranks, so that all ranks compute the same bits.
    Ranks may hold different numbers of samples, but every one needs at least one. No gradient flows through.

    Raises:
        UsageError: on every rank, where ranks disagree on the kind of statistic or its width.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size(group) == 1:
        return statistic
    kind = type(statistic)
    tensors: dict[str, Tensor] = statistic.tensors()  # type: ignore[attr-defined]
    device = next(iter(tensors.values())).device
    layout = {name: (tuple(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in tensors.items()}
    layouts: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(layouts, (kind.__name__, statistic.width, layout), group=group)  # type: ignore[attr-defined]
    if len({(name, width) for name, width, _ in layouts}) > 1:
        seen = ", ".join(f"rank {r}: {name} of width {width}" for r, (name, width, _) in enumerate(layouts))
        raise UsageError(f"all_reduce: every rank needs the same statistic of the same width; got {seen}")
    merged: Any = None
    for rank, (_, _, shapes) in enumerate(layouts):
        mine = rank == dist.get_rank(group)
        source = dist.get_global_rank(group, rank) if group is not None else rank
        received = {}
        for name, (shape, dtype) in shapes.items():
            if mine:
                buffer = tensors[name].detach().clone().contiguous()
            else:
                buffer = torch.empty(shape, dtype=getattr(torch, dtype), device=device)
            dist.broadcast(buffer, source, group=group)
            received[name] = buffer
        part = kind.from_tensors(received)  # type: ignore[attr-defined]
        merged = part if merged is None else merged.merge(part)
    return merged  # type: ignore[no-any-return]
