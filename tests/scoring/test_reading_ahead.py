"""Reading runs ahead by bytes: of small images as far as ever, of large ones one pair, and it never comes to a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from assay.score import score
from assay.scoring import opened_pairs, passes
from assay.scoring.levels import Levels, levels_of
from assay.scoring.reading_ahead import WHILE_DECODING, Room, bytes_to_decode, read_ahead

KEPT = 10  # bytes of each row's result


def reader(sizes: list[int], begun: list[int]) -> Callable[[int, Room], int]:
    def read(row: int, room: Room) -> int:
        begun.append(row)
        room.need(row, sizes[row])
        room.keep(row, KEPT)
        return row

    return read


def begun_when_used(sizes: list[int], **options: int) -> list[int]:
    """How many rows were begun, at most, when row 0, 1, ... came out, all threads having had the time to begin."""
    begun: list[int] = []
    found = []
    rows: Generator[int, None, None] = read_ahead(reader(sizes, begun), len(sizes), **options)  # type: ignore[arg-type]
    with closing(rows):
        for expected, row in enumerate(rows):
            assert row == expected
            found.append(len(begun))
    assert sorted(begun) == list(range(len(sizes)))
    return found


def test_small_rows_run_ahead_and_large_ones_by_one() -> None:
    small = begun_when_used([10] * 40, workers=1, at_most=6, in_flight=1000)
    assert max(k - row for row, k in enumerate(small)) <= 7
    large = begun_when_used([600] * 40, workers=8, at_most=16, in_flight=1000)
    assert max(k - row for row, k in enumerate(large)) <= 2  # the one in use, and one
    larger = begun_when_used([5000] * 40, workers=8, at_most=16, in_flight=1000)
    assert max(k - row for row, k in enumerate(larger)) <= 2


def test_the_rows_in_flight_stay_within_the_budget() -> None:
    """Sizes that jump: what all rows hold is never more than the budget and the row that is waited for."""
    draws = np.random.default_rng(0)
    sizes = [int(s) for s in np.where(draws.random(200) < 0.3, 700, 5)]
    holding: dict[int, int] = {}
    most = 0
    lock = threading.Lock()

    def read(row: int, room: Room) -> int:
        nonlocal most
        room.need(row, sizes[row])
        with lock:
            holding[row] = sizes[row]
            most = max(most, sum(holding.values()))
        room.keep(row, KEPT)
        with lock:
            holding[row] = KEPT
        return row

    for row in read_ahead(read, len(sizes), workers=8, at_most=16, in_flight=1000):
        with lock:
            del holding[row]
    assert 700 < most <= 1000 + 700


def test_a_row_larger_than_all_before_waits_for_the_others_to_go() -> None:
    room = Room(100)
    assert room.enter(0) and not room.enter(1)  # nothing is known of their size
    room.need(0, 30)
    room.keep(0, 30)
    assert room.enter(1) and room.enter(2) and not room.enter(3)
    went = threading.Event()

    def grow() -> None:
        room.need(2, 80)
        went.set()

    thread = threading.Thread(target=grow)
    thread.start()
    assert not went.wait(0.05)
    room.keep(0, 10)
    assert not went.wait(0.05)
    room.leave(1)
    assert went.wait(10)
    thread.join()
    room.wait_for_next(3)
    room.need(3, 10_000)  # the one that is waited for never waits


def test_who_waits_is_told_when_the_room_closes() -> None:
    room = Room(100)
    room.need(0, 90)
    told: list[type[BaseException]] = []

    def wait() -> None:
        try:
            room.need(1, 50)
        except CancelledError as error:
            told.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    room.close()
    thread.join(10)
    assert told == [CancelledError]


def test_stopping_half_way_ends_the_threads() -> None:
    before = threading.active_count()
    rows = read_ahead(reader([600] * 40, []), 40, workers=8, at_most=16, in_flight=1000)
    assert next(rows) == 0
    rows.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("pairs", [2, 5])
def test_decoded_pixels_in_flight_are_bounded(
    write: Any, monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    sizes = [(80, 100)] * 24
    write("hr", sizes)
    write("sr", sizes, noise=3)
    decoding = WHILE_DECODING * 80 * 100
    monkeypatch.setattr(passes, "IN_FLIGHT", pairs * decoding, raising=False)
    decoded: list[str] = []

    def counted(raw: Any, name: str) -> Levels:
        decoded.append(name)
        return levels_of(raw, name)

    monkeypatch.setattr(opened_pairs, "levels_of", counted)
    ahead: list[float] = []
    score(
        "sr",
        "hr",
        measures="psnr",
        workers=8,
        progress=lambda _, done, total: ahead.append(len(decoded) / 2 - done),
    )
    # 3 bytes a pixel and image are kept, 16 a pixel are held while one of the two is decoded
    assert 1 <= max(ahead) <= 1 + pairs * decoding / (2 * 3 * 80 * 100)
    assert len(decoded) == 48


def test_what_decoding_needs_is_told_by_the_header(write: Any, home: Any) -> None:
    write("hr", [(40, 48)])
    stored = (home / "hr/000.png").read_bytes()
    assert bytes_to_decode(stored) == bytes_to_decode(stored[:64]) == WHILE_DECODING * 40 * 48
    assert bytes_to_decode(b"no image") == bytes_to_decode(np.zeros((4, 4, 3), np.uint8)) == 0
