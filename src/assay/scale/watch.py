"""Do all processes of a job still live, and what did one of them fail of?"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DataError, MissingExtra, UsageError

BEAT_EVERY = 0.5  # seconds
DEAD_AFTER = 12.0  # without a beat; a rank that a machine has no time for must not count as dead
ENDS_WITHIN = 3.0  # the thread, at the end
TOLD_HERE = "assay_told_here"


@dataclass(frozen=True)
class Failure:
    """What a rank failed of, as all are told."""

    rank: int
    kind: str
    message: str


class Watch:
    """Knows in the background whether all ranks live, and what any of them failed of, through a store they share.

    Every rank beats; rank 0 listens to all, and all listen to rank 0, so that the store is not asked for every pair.
    """

    def __init__(self, rank: int, world: int, store: Any, dead_after: float) -> None:
        self.rank = rank
        self.world = world
        self.failure: Failure | None = None
        self._store = store
        self._dead_after = dead_after
        self._lost: frozenset[int] = frozenset()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="assay-ranks", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        others = range(1, self.world) if self.rank == 0 else (0,)
        beats = dict.fromkeys(others, -1)
        silent = dict.fromkeys(others, 0.0)
        looked = time.monotonic()
        while not self._ended.wait(BEAT_EVERY):
            try:
                self._store.add(f"beat {self.rank}", 1)
                self._look_for_failure()
                # A look counts little, however long ago the last one was: this process may have slept, and with it all.
                before, looked = looked, time.monotonic()
                for other in others:
                    beat = self._store.add(f"beat {other}", 0)
                    alive = beat != beats[other] or self._store.add(f"gone {other}", 0)
                    silent[other] = 0.0 if alive else silent[other] + min(looked - before, 2 * BEAT_EVERY)
                    beats[other] = beat
            except RuntimeError:  # where the store is gone, so is the rank that held it
                if not self._ended.is_set():
                    self._fail(Failure(self.rank, "DataError", stopped(0, self.world)))
                return
            self._lost = frozenset(other for other, seconds in silent.items() if seconds > self._dead_after)
            if self._lost and self.failure is None:
                self._publish(Failure(self.rank, "DataError", stopped(min(self._lost), self.world)))

    def meet(self, number: int, check: Any) -> None:
        """Wait until every rank is at meeting `number`."""
        pause = 0.002
        try:
            self._store.add(f"meeting {number}", 1)
            while self._store.add(f"meeting {number}", 0) < self.world:
                check()
                time.sleep(pause)
                pause = min(0.2, pause * 1.5)
        except RuntimeError:
            check()
            raise DataError(stopped(0, self.world)) from None

    def tell(self, error: BaseException) -> None:
        """What this rank fails of, to all others; the first to fail speaks for all."""
        if not hasattr(error, TOLD_HERE):
            setattr(error, TOLD_HERE, self._publish(failure_of(error, self.rank)))

    def _publish(self, failure: Failure) -> bool:
        """Whether this is the failure that counts: the first."""
        content = json.dumps([failure.rank, failure.kind, failure.message])
        try:
            first = bool(self._store.compare_set("failure", "", content).decode() == content)
        except RuntimeError:
            first = True
        if first:
            self._fail(failure)
        return first

    def _look_for_failure(self) -> None:
        if self.failure is None and self._store.check(["failure"]):
            rank, kind, message = json.loads(self._store.get("failure"))
            self._fail(Failure(rank, kind, message))

    def _fail(self, failure: Failure) -> None:
        if self.failure is None:
            self.failure = failure

    def end(self) -> None:
        """Leave. Rank 0 may hold the store, so it leaves last; who speaks is let speak first.

        Ranks that live are waited for, as they may still be on their way here: without limit where all went well,
        where something failed for as long as a rank may be silent.
        """
        if self.rank > 0:
            self._end_thread()
        with contextlib.suppress(RuntimeError):
            self._store.add(f"gone {self.rank}", 1)
            until = time.monotonic() + self._dead_after
            while self.rank == 0 and self._thread.is_alive() and not self._all_gone():
                if self.failure is not None and time.monotonic() > until:
                    break
                time.sleep(0.02)
        self._end_thread()
        if self.failure is not None and self.failure.rank != self.rank:
            time.sleep(2 * BEAT_EVERY)

    def _all_gone(self) -> bool:
        others = (other for other in range(1, self.world) if other not in self._lost)
        return all(self._store.add(f"gone {other}", 0) for other in others)

    def _end_thread(self) -> None:
        self._ended.set()
        self._thread.join(ENDS_WITHIN)


def stopped(rank: int, world: int) -> str:
    """What is said where a rank died."""
    return (
        f"rank {rank} of {world} has stopped without a word (killed, out of memory, or its machine is gone): "
        "run again; features that are in the cache are not computed again"
    )


def failure_of(error: BaseException, rank: int) -> Failure:
    """An error of this rank, for the others."""
    if isinstance(error, KeyboardInterrupt):
        return Failure(rank, "KeyboardInterrupt", "")
    if isinstance(error, (UsageError, MissingExtra)):
        return Failure(rank, "UsageError", str(error))
    if isinstance(error, (DataError, OSError)):
        return Failure(rank, "DataError", str(error))
    if isinstance(error, SystemExit):
        return Failure(rank, "DataError", f"rank {rank} was ended")
    return Failure(rank, "DataError", f"rank {rank}: {type(error).__name__}: {error}")


KINDS: Mapping[str, type[BaseException]] = {
    "DataError": DataError,
    "UsageError": UsageError,
    "KeyboardInterrupt": KeyboardInterrupt,
}


def as_error(failure: Failure, rank: int) -> BaseException:
    """What this rank raises of it, marked with who tells it to the user."""
    error = KINDS[failure.kind](failure.message)
    setattr(error, TOLD_HERE, failure.rank == rank)
    return error
