"""`assay check`"""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .printing import plain_warnings


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def check(
        measure: str = Argument(
            ..., metavar="MODULE:NAME", help="As package.module:name or path/file.py:name."
        ),
        seconds: float = Option(30.0, help="How long to look for inputs that break a law."),
    ) -> int:
        """Put a measure of your own through the laws that every measure keeps."""
        from ..check import check_measure, load_measure, verdict_line

        if not seconds > 0:
            raise UsageError(f"--seconds: expected more than 0, got {seconds:g}")
        loaded = load_measure(measure)
        broken = 0
        with plain_warnings():
            for verdict in check_measure(loaded, seconds=seconds):
                broken += verdict.state == "broken"
                print(verdict_line(verdict), flush=True)
        print(f"{loaded.name}: {f'breaks {broken} of its laws' if broken else 'keeps its laws'}")
        return 1 if broken else 0

    return check
