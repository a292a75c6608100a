"""When do several processes put their gradients together, if the backward pass comes in chunks?

DistributedDataParallel: with the last chunk, once. `fully_shard` (FSDP2): with every chunk, or, deferred, with the last
one; its processes meet in every forward and backward pass, so all must make the same number of them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ...errors import UsageError
from ..gather import several_processes


def averaged(encoder: nn.Module) -> tuple[nn.Module, ...]:
    """The parts whose gradients DistributedDataParallel averages.

    Raises:
        UsageError: for its `static_graph=True`.
    """
    parts = tuple(module for module in encoder.modules() if isinstance(module, DistributedDataParallel))
    if any(part.static_graph for part in parts):
        raise UsageError(
            "encoder: DistributedDataParallel(static_graph=True) expects the same backward passes before each "
            "reduction, and is not told of those without one; leave static_graph out"
        )
    return parts


def sharded(encoder: nn.Module) -> tuple[nn.Module, ...]:
    """The parts whose parameters are spread over processes by `fully_shard`.

    Raises:
        UsageError: for the older FullyShardedDataParallel.
    """
    # whoever has such a module has this imported: not imported here, as it takes its time
    fsdp = sys.modules.get("torch.distributed.fsdp")
    new, old = getattr(fsdp, "FSDPModule", None), getattr(fsdp, "FullyShardedDataParallel", None)
    modules = list(encoder.modules())
    if old is not None and any(isinstance(module, old) for module in modules):
        raise UsageError(
            "encoder: FullyShardedDataParallel flattens parameters and is not supported; shard the encoder with "
            "torch.distributed.fsdp.fully_shard"
        )
    return () if new is None else tuple(module for module in modules if isinstance(module, new))


def last_uses(passes: Sequence[Sequence[nn.Module]]) -> list[set[nn.Module]]:
    """For passes through these parts, one after the other: the parts that each pass is the last to use."""
    last: list[set[nn.Module]] = []
    seen: set[nn.Module] = set()
    for parts in reversed(passes):
        last.append(set(parts) - seen)
        seen |= last[-1]
    return last[::-1]


@contextlib.contextmanager
def reduced_if(
    last: Collection[nn.Module], averaged: Sequence[Any], deferred: Sequence[Any]
) -> Iterator[None]:
    """Within the block, a forward and backward pass puts together only the gradients of the `last` parts.

    What the caller has switched off for `averaged` parts, by `no_sync`, stays off.
    """
    with contextlib.ExitStack() as stack:
        for part in averaged:
            if part not in last:
                stack.enter_context(part.no_sync())
        for part in deferred:
            part.set_requires_gradient_sync(part in last, recurse=False)
        yield


def largest_counts(
    counts: Sequence[int], problem: UsageError | None, device: torch.device, group: Any
) -> list[int]:
    """Each count's maximum over the processes, one exchange; a problem of one is an error on all.

    Raises:
        UsageError: the problem, or on the other ranks that there is one, and where.
    """
    if not several_processes(group):
        if problem is not None:
            raise problem
        return list(counts)
    failed = 0 if problem is None else dist.get_rank() + 1
    together = torch.tensor([failed, *counts], dtype=torch.int64, device=device)
    dist.all_reduce(together, dist.ReduceOp.MAX, group=group)
    where, *largest = together.tolist()
    if problem is not None:
        raise problem
    if where:
        raise UsageError(f"inputs: rank {where - 1} refused its own, so no rank goes on; its error says why")
    return [int(count) for count in largest]
