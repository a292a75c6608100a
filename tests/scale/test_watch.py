"""Who lives is known by what is seen, not by how late it is: a pause of all processes is nobody's death."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from assay.errors import DataError
from assay.scale import watch
from assay.scale.watch import TOLD_HERE, Watch


class Shared:
    """The store of `torch.distributed` for the threads of one process: what a watch needs of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._texts: dict[str, str] = {}

    def add(self, key: str, amount: int) -> int:
        with self._lock:
            self._numbers[key] = self._numbers.get(key, 0) + amount
            return self._numbers[key]

    def compare_set(self, key: str, expected: str, wanted: str) -> bytes:
        with self._lock:
            if self._texts.get(key, "") == expected:
                self._texts[key] = wanted
            return self._texts[key].encode()

    def check(self, keys: list[str]) -> bool:
        with self._lock:
            return all(key in self._texts for key in keys)

    def get(self, key: str) -> bytes:
        with self._lock:
            return self._texts[key].encode()


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: made.now, sleep=time.sleep))
    monkeypatch.setattr(watch, "BEAT_EVERY", 0.01)
    return made


@pytest.fixture
def store() -> Shared:
    return Shared()


@pytest.fixture
def start(clock: Clock, store: Shared) -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def begin(rank: int, world: int = 2) -> Watch:
        made.append(Watch(rank, world, store, dead_after=0.1))
        return made[-1]

    yield begin
    for one in made:
        one._end_thread()


def looks(store: Shared, rank: int, number: int) -> None:
    """Wait until the rank has looked so many times more."""
    until = store.add(f"beat {rank}", 0) + number + 1
    while store.add(f"beat {rank}", 0) < until:
        time.sleep(0.001)


@pytest.mark.parametrize("rank", [0, 1])
def test_after_a_pause_of_all_a_rank_that_has_not_beaten_yet_lives(
    rank: int, clock: Clock, store: Shared, start: Callable[..., Watch]
) -> None:
    other = 1 - rank
    one = start(rank)
    store.add(f"beat {other}", 1)
    looks(store, rank, 2)
    clock.now += 1000
    looks(store, rank, 3)
    assert one.failure is None
    store.add(f"beat {other}", 1)
    for _ in range(4):  # two hundredths of a second each
        clock.now += 0.02
        looks(store, rank, 1)
    assert one.failure is None
    while one.failure is None:
        clock.now += 0.02
        looks(store, rank, 1)
    assert one.failure.message.startswith(f"rank {other} of 2 has stopped without a word")


def test_the_first_waits_for_those_on_their_way_and_not_for_the_dead(
    clock: Clock, store: Shared, start: Callable[..., Watch]
) -> None:
    first = start(0, world=3)
    leaving = threading.Thread(target=first.end)
    leaving.start()
    store.add("gone 1", 1)
    for _ in range(30):  # far longer than any patience
        clock.now += 10
        store.add("beat 2", 1)
        time.sleep(0.005)
    assert leaving.is_alive()
    while leaving.is_alive():  # which now is silent
        clock.now += 0.02
        time.sleep(0.001)
    assert first.failure is not None and first.failure.message.startswith("rank 2 of 3")


def test_the_first_failure_is_told_once_and_whole(store: Shared, start: Callable[..., Watch]) -> None:
    ranks = [start(rank, world=3) for rank in range(3)]
    errors = [DataError(f"of {rank}") for rank in range(3)]
    telling = [
        threading.Thread(target=one.tell, args=(error,)) for one, error in zip(ranks, errors, strict=True)
    ]
    for thread in telling:
        thread.start()
    for thread in telling:
        thread.join()
    told = [getattr(error, TOLD_HERE) for error in errors]
    assert told.count(True) == 1
    for rank in range(3):
        looks(store, rank, 1)
    assert {one.failure.message for one in ranks if one.failure} == {f"of {told.index(True)}"}
    assert all(one.failure for one in ranks)
