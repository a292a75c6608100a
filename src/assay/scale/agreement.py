"""What every process has to say before any goes on, so that one process's error does not leave the others waiting."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist

from ..errors import DataError, UsageError


def told_by_all(error: Exception | None, fact: Any, group: Any) -> list[Any]:
    """Every process's fact, in the order of the ranks; all processes of the group come here.

    Args:
        error: what this process has met, or None.
        fact: what the others are to know, small and picklable.
        group: the process group, by default all processes.

    Raises:
        Exception: where any process brings an error: its own here, and there a `UsageError` where it is one, else
            a `DataError`, that names the rank.
    """
    told = None if error is None else (isinstance(error, UsageError), f"{error}" or type(error).__name__)
    said: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(said, (told, None if error is not None else fact), group=group)
    if error is not None:
        raise error
    for rank, (failure, _) in enumerate(said):
        if failure is not None:
            kind = UsageError if failure[0] else DataError
            raise kind(f"rank {rank}: {failure[1]}")
    return [fact for _, fact in said]
