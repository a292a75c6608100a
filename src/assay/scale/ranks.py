"""How do several processes do one job, and end together when one of them cannot?

Within `joined()` the processes that `torchrun` started, or those of a `torch.distributed` group, share the passes over
images; what follows is done by rank 0 while the others wait. Every error is every rank's error, told once.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from ..errors import DataError, UsageError
from .watch import BEAT_EVERY, DEAD_AFTER, TOLD_HERE, Failure, Watch, as_error, failure_of, stopped

COMES_WITHIN = 300.0  # at the start
TRANSFER_WITHIN = 25.0  # one piece between two ranks that both are at it
PIECE = 4 << 20  # bytes a message


class _LeftToFirst(BaseException):
    """What is left is done by rank 0; caught by `joined`."""


class Ranks:
    """This process among those that share the work: `rank` of `world`."""

    def __init__(self, rank: int, world: int, group: Any, watch: Watch | None) -> None:
        self.rank = rank
        self.world = world
        self._group = group
        self._watch = watch
        self._meetings = 0

    def check(self) -> None:
        """Raises what another rank failed of, or that one has died. Cheap; to be called between pieces of work."""
        if self._watch is not None and self._watch.failure is not None:
            raise as_error(self._watch.failure, self.rank)

    def agree(self, error: Exception | None = None) -> None:
        """All ranks come here; where one brings an error all raise it, else all go on.

        A rank that dies on the way, or fails elsewhere, is everybody's error too.
        """
        if self._watch is not None:
            if error is not None:
                raise error  # told to the others when it leaves `joined`
            self._meetings += 1
            self._watch.meet(self._meetings, self.check)
            return
        import torch.distributed as dist

        brought: list[Any] = [None] * self.world
        failure = None if error is None else failure_of(error, self.rank)
        told = None if failure is None else (failure.rank, failure.kind, failure.message)
        dist.all_gather_object(brought, told, group=self._group)
        first = next((Failure(*one) for one in brought if one is not None), None)
        if first is not None:
            if error is None or first.rank != self.rank:
                raise as_error(first, self.rank)
            setattr(error, TOLD_HERE, True)
            raise error

    def send(self, content: bytes, to: int) -> None:
        """Bytes to another rank, which is at `receive`."""
        import torch

        data = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)
        self._transfer("send", torch.tensor([len(content)]), to)
        for start in range(0, len(content), PIECE):
            self._transfer("send", data[start : start + PIECE], to)

    def receive(self, from_: int) -> bytes:
        """The bytes that another rank sends."""
        import torch

        size = torch.zeros(1, dtype=torch.int64)
        self._transfer("recv", size, from_)
        data = torch.empty(int(size), dtype=torch.uint8)
        for start in range(0, len(data), PIECE):
            self._transfer("recv", data[start : start + PIECE], from_)
        return data.numpy().tobytes()

    def _transfer(self, how: str, data: Any, other: int) -> None:
        import torch.distributed as dist

        self.check()
        peer = other if self._watch is not None else dist.get_global_rank(self._group, other)
        try:
            getattr(dist, how)(data, peer, group=self._group)
        except RuntimeError:
            # The connection is the first to go; who is gone, or failed and left, is known a little later.
            until = time.monotonic() + DEAD_AFTER + 4 * BEAT_EVERY
            while self._watch is not None and time.monotonic() < until:
                self.check()
                time.sleep(BEAT_EVERY / 2)
            raise DataError(stopped(other, self.world)) from None


def current_ranks() -> Ranks | None:
    """The ranks that share the work here; None outside `joined`, and where there is one process."""
    return _current


def left_to_first() -> None:
    """From here on rank 0 goes on alone; on the others this does not return, and `joined` ends when rank 0 is done."""
    global _current
    ranks = _current
    if ranks is None:
        return
    if ranks.rank > 0:
        raise _LeftToFirst
    _current = None


def is_first() -> bool:
    """Whether this process is the one that talks: rank 0, or the only one."""
    return (os.environ.get("RANK") or "0") == "0"


def told_elsewhere(error: BaseException) -> bool:
    """Whether another rank tells of this error; one that came before the ranks joined is every rank's, and rank 0's."""
    told_here: bool = getattr(error, TOLD_HERE, is_first())
    return not told_here


@contextlib.contextmanager
def joined(*, dead_after: float = DEAD_AFTER) -> Iterator[None]:
    """Within the block, the processes of one job share the passes over images.

    These are the ranks of `torch.distributed` where it is initialised, else those that `torchrun` started (WORLD_SIZE
    in the environment); without either, or with one process, the block is as any other. All ranks must do the same in
    it: the same sets in the same order.

    dead_after: seconds without a sign of life until a rank counts as dead. Only where the group is made here: one
    that is there already has its own limits.

    Raises on every rank what one of them raised, and `DataError` on all others where one died.
    """
    global _current
    world = _world()
    if world < 2 or _current is not None:
        yield
        return
    import torch.distributed as dist

    watch: Watch | None = None
    if dist.is_initialized():
        ranks = Ranks(dist.get_rank(), world, dist.new_group(backend="gloo"), None)
    else:
        watch = _joined_by_environment(world, dead_after)
        ranks = Ranks(watch.rank, world, dist.new_group(timeout=timedelta(seconds=TRANSFER_WITHIN)), watch)
    _current = ranks
    try:
        try:
            yield
            _current = None
            ranks.agree()
        except _LeftToFirst:
            _current = None
            ranks.agree()
    except BaseException as error:
        if watch is not None:
            watch.tell(error)
        elif isinstance(error, Exception) and not hasattr(error, TOLD_HERE):
            ranks.agree(error)  # where the others come to next
        raise
    finally:
        _current = None
        if watch is not None:
            watch.end()
            with contextlib.suppress(Exception):
                dist.destroy_process_group()
        else:  # the group made here beside the one that was there: its threads and sockets go with it
            with contextlib.suppress(Exception):
                dist.destroy_process_group(ranks._group)


def _world() -> int:
    if "WORLD_SIZE" not in os.environ:
        import torch.distributed as dist

        return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    given = os.environ["WORLD_SIZE"]
    if not given.isdecimal():
        raise UsageError(f"WORLD_SIZE: expected the number of processes, got {given!r}")
    return int(given)


def _joined_by_environment(world: int, dead_after: float) -> Watch:
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if not (dist.is_available() and dist.is_gloo_available()):
        raise UsageError(
            "this PyTorch is built without torch.distributed and gloo: run one process, without torchrun"
        )
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise UsageError(f"WORLD_SIZE is {world}, but {', '.join(missing)} is not set: start with torchrun")
    rank = int(os.environ["RANK"])
    limit = timedelta(seconds=COMES_WITHIN)
    try:
        store, _, _ = next(iter(rendezvous("env://", timeout=limit)))
        dist.init_process_group(
            "gloo", store=PrefixStore("gloo", store), rank=rank, world_size=world, timeout=limit
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"rank {rank}: the {world} processes did not come together ({reason})") from None
    return Watch(rank, world, PrefixStore("assay", store.clone()), dead_after)


_current: Ranks | None = None
