"""How far does reading run ahead of measuring? As far as the bytes in flight allow, and always one pair."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from threading import Condition
from typing import TypeVar

from ..data.decode import PARSERS, Raw

T = TypeVar("T")
Need = Callable[[int], None]  # called with the bytes that decoding needs, returns when there is room for them

IN_FLIGHT = 1 << 28  # bytes: images that are being read or wait to be measured
WHILE_DECODING = 16  # bytes a pixel: the decoder's own four, its copies, and what becomes of them


class Room:
    """Bytes that rows in flight may hold, all together.

    A row that has not been read is thought to be as large as the largest so far, and the very first as all there is
    room for. One that turns out to be larger waits for the rest, but never the row that is waited for: so reading
    cannot come to a stop, and the budget is overstepped by that row at most.

    Args:
        budget: bytes.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held: dict[int, int] = {}
        self._largest: int | None = None
        self._next = 0
        self._closed = False
        self._changed = Condition()

    def enter(self, row: int) -> bool:
        """Whether there is room to begin with a row; room for one as large as any before is held for it."""
        with self._changed:
            expected = self._budget if self._largest is None else self._largest
            if not self._admits(row, expected):
                return False
            self._held[row] = expected
            return True

    def need(self, row: int, size: int) -> None:
        """Hold at least `size` bytes for a row, as soon as there is room.

        Raises:
            CancelledError: the room is closed.
        """
        with self._changed:
            self._largest = max(size, self._largest or 0)
            self._changed.wait_for(lambda: self._closed or self._admits(row, size))
            if self._closed:
                raise CancelledError
            self._held[row] = max(size, self._held.get(row, 0))

    def keep(self, row: int, size: int) -> None:
        """Hold `size` bytes for a row and no more: what is left when it is read."""
        with self._changed:
            self._held[row] = size
            self._changed.notify_all()

    def leave(self, row: int) -> None:
        """Nothing is held for the row any more."""
        with self._changed:
            self._held.pop(row, None)
            self._changed.notify_all()

    def wait_for_next(self, row: int) -> None:
        """From now on this row is the one that is waited for."""
        with self._changed:
            self._next = row
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer; who does, or comes later, is told `CancelledError`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _admits(self, row: int, size: int) -> bool:
        others = sum(held for other, held in self._held.items() if other != row)
        return row <= self._next or others + size <= self._budget


def read_ahead(
    read: Callable[[int, Room], T], rows: int, *, workers: int, at_most: int, in_flight: int
) -> Generator[T, None, None]:
    """What `read` makes of row 0, 1, ..., in this order, read by threads.

    Args:
        read: of a row, with the room where it says what it needs and what it keeps.
        rows: how many.
        workers: threads.
        at_most: rows in flight, however small.
        in_flight: bytes that rows in flight may hold; the row after the one in use is read, whatever it needs.

    A row's room is free again when the next one is asked for. Closing the generator ends the threads before it returns.
    """
    room = Room(in_flight)
    pool = ThreadPoolExecutor(
        workers, thread_name_prefix="assay-decode"
    )  # starts a thread only when none is idle
    queued: deque[Future[T]] = deque()

    def submit(row: int) -> None:
        room.wait_for_next(row)
        while row + len(queued) < min(rows, row + at_most) and room.enter(row + len(queued)):
            queued.append(pool.submit(read, row + len(queued), room))

    try:
        for row in range(rows):
            submit(row)
            made = queued.popleft().result()
            submit(row + 1)  # while this one is in use
            yield made
            del made
            room.leave(row)
    finally:
        room.close()
        pool.shutdown(wait=True, cancel_futures=True)


def bytes_to_decode(raw: Raw) -> int:
    """What decoding a stored image needs beside it, by its header; 0 where decoding will say what is wrong with it."""
    if not isinstance(raw, bytes):
        return 0
    from PIL import Image

    try:
        with Image.open(io.BytesIO(raw), formats=PARSERS) as image:
            width, height = image.size
    except Exception:  # a parser of hostile bytes may raise anything
        return 0
    return WHILE_DECODING * width * height
