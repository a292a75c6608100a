"""Which runs are asked for, and what does a list of them show?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

from ..errors import UsageError
from ..report.numbers import value_and_interval
from .stored import Run, is_called

HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True)
class Wanted:
    """Which runs; what is None asks for nothing.

    Attributes:
        real, candidate, features: texts that the names must hold.
        measure: a printed, short or full name: runs that have it, and of their values those.
        since: UTC, as a run's time is written.
        last: at most so many, the newest.
    """

    real: str | None = None
    candidate: str | None = None
    features: str | None = None
    measure: str | None = None
    since: str | None = None
    last: int | None = None

    def of(self, runs: Sequence[Run]) -> list[Run]:
        """Of the runs, the newest first, the wanted ones, with the values that are asked for."""
        found = []
        for run in runs:
            values = [
                v
                for v in run.values
                if (self.measure is None or is_called(v.name, v.measure, self.measure))
                and (self.candidate is None or self.candidate in v.candidate)
            ]
            if (
                (self.since is None or run.time >= self.since)
                and (self.real is None or self.real in run.real.name)
                and (self.features is None or self.features in run.features)
                and (values or (self.measure is None and self.candidate is None))
            ):
                found.append(replace(run, values=tuple(values)))
        return found if self.last is None else found[: self.last]


def since(text: str, now: datetime | None = None) -> str:
    """A date, a time (UTC where it has no zone), or an age such as `12h`, `7d`, `2w` -> UTC, as runs have it.

    Raises:
        UsageError: anything else.
    """
    age = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdw])", text.strip().lower(), re.ASCII)
    try:
        if age is not None:
            now = datetime.now(timezone.utc) if now is None else now
            when = now - timedelta(hours=float(age[1]) * HOURS[age[2]])
        else:
            when = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        when = when.replace(tzinfo=timezone.utc) if when.tzinfo is None else when.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since: expected a date such as 2026-11-22, a time such as 2026-11-22T05:45, or an age such as 12h, 7d, "
            f"2w, got {text!r}"
        ) from None
    # not `strftime`, which writes the year 999 with three digits on some systems
    return f"{when.replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def listed_rows(runs: Sequence[Run]) -> list[tuple[str, str, str, str, str, str]]:
    """A row a candidate: run, when, real, candidate, features, values; what is the run's stands in its first row."""
    rows = []
    for run in runs:
        head = (str(run.id), f"{run.time[:10]} {run.time[11:16]}", run.real.name)
        features = run.features if run.protocol is None else f"{run.features} ({run.protocol})"
        shown = {v.candidate for v in run.values}
        for k, candidate in enumerate(c for c in run.candidates if c.name in shown or not shown):
            values = [
                f"{v.name.partition('[')[0]} {value_and_interval(v.estimate)[0]}"
                for v in run.values
                if v.candidate == candidate.name and v.group is None
            ]
            own = head if k == 0 else ("", "", "")
            rows.append((*own, candidate.name, features if k == 0 else "", ", ".join(values)))
    return rows
