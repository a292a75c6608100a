"""How far is the work? Bars on a terminal, a line now and then elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from ..printable import printable

Report = Callable[[str, int, int], None]

QUIET_FOR = 2.0  # seconds that need no word
BETWEEN_LINES = 10.0
BETWEEN_DRAWINGS = 0.1


@contextmanager
def showing(quiet: bool) -> Iterator[Report | None]:
    """A `progress` callback for the block; None where nothing is to be shown."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield lines(sys.stderr, time.monotonic)


@dataclass
class _Pass:
    what: str
    started: float
    first: int
    done: int


def lines(stream: TextIO, clock: Callable[[], float]) -> Report:
    """Plain lines: none in the first 2 s, then one every 10 s, with rate and time left."""
    now: _Pass | None = None
    next_line: float | None = None

    def report(what: str, done: int, total: int) -> None:
        nonlocal now, next_line
        what = printable(what)
        at = clock()
        if next_line is None:
            next_line = at + QUIET_FOR
        if now is None or now.what != what or done < now.done:
            now = _Pass(what, at, done if done < total else 0, done)
        now.done = done
        if at < next_line:
            return
        next_line = at + BETWEEN_LINES
        age = at - now.started
        rate = (done - now.first) / age if age > 0.5 else 0.0
        speed = f", {shown_rate(rate)}" if rate > 0 else ""
        left = f", {duration((total - done) / rate)} left" if rate > 0 and done < total else ""
        count = f": {done:,} of {total:,}" if total > 1 else ""
        print(f"{what}{count}{speed}{left}", file=stream, flush=True)

    return report


def duration(seconds: float) -> str:
    """`5 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shown_rate(rate: float) -> str:
    """`183/s`, `0.5/s`."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


@contextmanager
def _bars() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text("" if task.speed is None else shown_rate(task.speed))

    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(12), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        drawn = 0.0
        now = _Pass("", 0.0, 0, 0)

        def report(what: str, done: int, total: int) -> None:
            nonlocal now, drawn
            what = printable(what)
            at = time.monotonic()
            if what != now.what or done < now.done:
                progress.reset(task, description=what, total=total, completed=done)
                now = _Pass(what, at, done, done)
            elif at - drawn > BETWEEN_DRAWINGS or done == total:
                progress.update(task, completed=done, total=total)
                drawn = at
            now.done = done

        yield report
