"""`assay diff`"""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..printable import printable
from .history import number_of


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def diff(
        a: str = Argument(
            ..., metavar="RUN", help="A run's number (assay history), or last; NUMBER:CANDIDATE of several."
        ),
        b: str = Argument(..., metavar="RUN", help="The other run, which may be the same."),
        candidate: list[str] = Option(
            [],
            metavar="NAME",
            help="Which candidate, of both runs; given twice, of the first and the second.",
        ),
        level: float | None = Option(None, help="Of the intervals; by default the runs' own."),
    ) -> int:
        """Say by which measures the second run is better or worse than the first, and whether beyond doubt."""
        from ..history import History, difference_of_runs
        from ..report.sentences import sentence

        if level is not None and not 0 < level < 1:
            raise UsageError(f"--level: expected a number between 0 and 1, got {level}")
        if len(candidate) > 2:
            raise UsageError(f"--candidate: expected one name, or one for each run, got {len(candidate)}")
        first, second = (candidate * 2)[:2] if candidate else (None, None)
        (number_a, of_a), (number_b, of_b) = _run_and_candidate(a), _run_and_candidate(b)
        history = History.at_home()
        run_a, run_b = history.run(number_a), history.run(number_b)
        found = difference_of_runs(
            history, run_a, run_b, candidate_a=of_a or first, candidate_b=of_b or second, level=level
        )
        for each in found.differences:
            print(printable(sentence(each)))
        for name, reason in found.refused:
            print(printable(f"{name}: not compared: {reason}"))
        used = found.differences[0].estimate.level
        print(printable(f"{100 * used:g}% intervals of {found.b} minus {found.a}, against {run_a.real.name}"))
        return 0

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return diff


def _run_and_candidate(text: str) -> tuple[int | str, str | None]:
    """(12, "late") of `12:late`."""
    number, _, candidate = text.partition(":")
    return number_of(number), candidate or None
