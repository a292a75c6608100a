"""`assay history`"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DataError, UsageError
from ..printable import printable
from .printing import plain_console
from .targets import writable_target

if TYPE_CHECKING:
    from rich.console import Console

    from ..history import History, Run


def command() -> Any:
    """The function that typer makes the command of."""
    from typer import Argument, Option

    def history(
        run: str | None = Argument(None, metavar="[RUN]", help="Show this run's whole table again; or last."),
        real: str | None = Option(None, help="Only runs whose real set's name holds this."),
        candidate: str | None = Option(None, help="Only candidates whose name holds this."),
        features: str | None = Option(None, help="Only features whose name holds this."),
        measure: str | None = Option(None, help="Only this measure."),
        since: str | None = Option(
            None,
            metavar="TIME",
            help="Only later ones: 2026-11-22, 2026-11-22T05:45 (UTC), or 12h, 7d, 2w ago.",
        ),
        last: int | None = Option(None, min=1, help="Only the newest so many."),
        export: str | None = Option(
            None, metavar="FILE", help="Write the values as .csv, .json or .parquet."
        ),
        plot: str | None = Option(None, metavar="MEASURE", help="Draw the measure over checkpoints."),
        plot_file: str | None = Option(
            None, metavar="FILE.svg", help="Draw --plot's measure into this file instead."
        ),
        forget: list[str] = Option([], metavar="RUN", help="Delete this run; may be given again."),
        dry_run: bool = Option(False, "--dry-run", help="Of --forget: only say what would go."),
    ) -> int:
        """Show what earlier comparisons found."""
        from ..history import History
        from ..history.export import export as export_values
        from ..history.export import refuse_format
        from ..history.listing import Wanted
        from ..history.listing import since as since_when

        console = plain_console()
        kept = History.at_home()
        if forget:
            if any(
                o is not None
                for o in (run, real, candidate, features, measure, since, last, export, plot, plot_file)
            ):
                raise UsageError("--forget: takes the numbers of runs and no other option but --dry-run")
            return _forget(kept, forget, dry_run)
        if dry_run:
            raise UsageError("--dry-run: only with --forget")
        if plot_file is not None and plot is None:
            raise UsageError("--plot-file: say which measure, with --plot")
        if plot_file is not None and not plot_file.lower().endswith(".svg"):
            raise UsageError(f"--plot-file {plot_file}: expected a name that ends in .svg")
        if export is not None:
            refuse_format(export)
            writable_target(export, "--export")
        writable_target(plot_file, "--plot-file")
        of_plot = measure if plot is None else None  # the drawing says itself where there is no such measure
        wanted = Wanted(
            real, candidate, features, of_plot, None if since is None else since_when(since), last
        )
        runs = wanted.of(kept.runs() if run is None else [kept.run(number_of(run))])
        if export is not None:
            count = export_values(runs, export)
            print(printable(f"{export}: {count:,} {'value' if count == 1 else 'values'} of {_count(runs)}"))
        if plot is not None:
            _plot(runs, plot, candidate, plot_file, console)
        if export is None and plot is None:
            if run is None:
                _list(kept, runs, console)
            else:
                _show(kept, runs, run, console)
        return 0

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return history


def number_of(text: str) -> int | str:
    """A run's number, or "last".

    Raises:
        UsageError: anything else.
    """
    text = text.strip()
    if text == "last":
        return text
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError(f"expected the number of a run, as assay history lists them, or last, got {text!r}")
    return int(text)


def _list(kept: History, runs: Sequence[Run], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..history.listing import listed_rows

    if not runs:
        any_at_all = kept.runs()
        what = "no run is like that" if any_at_all else "nothing yet; assay compare adds every comparison"
        print(f"{kept.path}: {what}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("run", "when (UTC)", "real", "candidate", "features", "values"):
        numbers = title in ("run", "when (UTC)")
        table.add_column(
            title, overflow="fold", no_wrap=numbers, justify="right" if title == "run" else "left"
        )
    for row in listed_rows(runs):
        table.add_row(*(Text(printable(cell)) for cell in row))
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():  # columns are filled with spaces up to their ends
        console.out(line.rstrip(), highlight=False)


def _show(kept: History, runs: Sequence[Run], asked: str, console: Console) -> None:
    from rich.text import Text

    from ..report.table import print_comparison

    if not runs:
        raise UsageError(f"run {asked} is not like that: leave out the other options")
    (run,) = runs
    console.print(Text(printable(f"run {run.id}, {_when(run)}: {shlex.join(run.command)}")), soft_wrap=True)
    found, explained = kept.comparison(run.id)
    print_comparison(found, console, explained)


def _plot(
    runs: Sequence[Run], measure: str, candidate: str | None, file: str | None, console: Console
) -> None:
    from ..history.series import curves
    from ..history.svg_drawing import svg_drawing
    from ..history.text_drawing import ASCII, UNICODE, legible, text_drawing
    from ..written_whole import write_whole

    found = curves(runs, measure, candidate)
    if not found.series:
        raise DataError(f"{found.name}: no value is a number")
    others = "" if not found.left_out else (
        f"{found.left_out:,} values of other real sets, features or protocols, or that are no numbers, are not drawn; "
        "--real and --features choose"
    )  # fmt: skip
    if file is None:
        lines = text_drawing(found, console.width, UNICODE)
        if not legible(lines, console.encoding or "ascii"):
            lines = text_drawing(found, console.width, ASCII)
        for line in lines:
            console.out(printable(line), highlight=False)
    else:
        try:
            write_whole(file, svg_drawing(found).encode())
        except OSError as error:
            raise DataError(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None
        count = sum(len(one.points) for one in found.series)
        print(printable(f"{file}: {count:,} {'value' if count == 1 else 'values'} of {found.name}"))
    if others:
        print(others)


def _forget(kept: History, numbers: Sequence[str], dry_run: bool) -> int:
    runs = {run.id: run for run in (kept.run(number_of(text)) for text in numbers)}
    for run in runs.values():
        against = ", ".join(one.name for one in run.candidates)
        what = f"run {run.id}, {_when(run)}, {run.real.name} against {against}"
        values = f"{len(run.values):,} {'value' if len(run.values) == 1 else 'values'}"
        if not dry_run:
            kept.forget(run.id)
        verb = "would be forgotten" if dry_run else "forgotten"
        print(printable(f"{what}: {verb}, {values} with what later differences need of them"))
    if dry_run:
        print("images, kept features and reports would stay as they are")
    return 0


def _when(run: Run) -> str:
    return f"{run.time[:10]} {run.time[11:16]} UTC"


def _count(runs: Sequence[Run]) -> str:
    return f"{len(runs):,} {'run' if len(runs) == 1 else 'runs'}"
