"""Each process's block of rows visits every other process, and brings home what was added to it on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# (whose block it is, the block, what is to be added to it)
Visit = Callable[[int, Tensor, Tensor], None]


def round_trip(
    block: Tensor, rows: Sequence[int], visit: Visit, *, carries: bool, group: Any = None
) -> Tensor:
    """Pass blocks from each rank to the next until every block has been everywhere.

    Args:
        block: (rows[rank], d) this rank's block.
        rows: every rank's number of rows, the same on all ranks.
        visit: `visit(owner, block, carried)` is called once for every rank's block, the own one first; it may add to
            `carried`, zeros (rows[owner], d) at home, which travels with the block.
        carries: whether anything is ever added; if not, nothing but the blocks travels. The same on all ranks.
        group: the process group.

    Returns:
        (rows[rank], d) what all ranks added to the own block.

    At any time a rank holds its own block, one visitor and the one that arrives meanwhile: memory does not grow with
    the number of processes. The next block is under way while the present one is being worked on.
    """
    world, rank = dist.get_world_size(group), dist.get_rank(group)
    carried = torch.zeros_like(block)
    block = block.detach().contiguous()
    for step in range(world):
        owner = (rank - step) % world
        following = (owner - 1) % world
        arriving = block.new_empty((rows[following], *block.shape[1:]))
        under_way = [] if step == world - 1 else _passed(block, arriving, tag=0, group=group)
        visit(owner, block, carried)
        for message in under_way:
            message.wait()
        if carries and world > 1:
            brought = torch.empty_like(arriving)
            for message in _passed(carried, brought, tag=1, group=group):
                message.wait()
            carried = brought
        block = arriving
    return carried


def _passed(block: Tensor, arriving: Tensor, *, tag: int, group: Any) -> list[Any]:
    """Send one block to the next rank while another comes from the rank before."""
    world, rank = dist.get_world_size(group), dist.get_rank(group)
    to, source = (rank + 1) % world, (rank - 1) % world
    if group is not None:
        to, source = dist.get_global_rank(group, to), dist.get_global_rank(group, source)
    # both at once: ranks that all send first would wait for each other
    return dist.batch_isend_irecv(
        [
            dist.P2POp(dist.isend, block, to, group=group, tag=tag),
            dist.P2POp(dist.irecv, arriving, source, group=group, tag=tag),
        ]
    )
