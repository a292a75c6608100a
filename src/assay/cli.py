"""The `assay` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import DataError, MissingExtra, UsageError

if TYPE_CHECKING:
    import typer

USAGE, DATA, INTERRUPTED = 2, 1, 130
OUT_OF_MEMORY = "out of memory: compare fewer images, or use an extractor with fewer features"
# PyTorch has no exception of its own for a CPU allocation that fails
ALLOCATION_FAILED = ("can't allocate memory", "out of memory", "not enough memory")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status.

    0: done. 1: the data cannot be measured, or a measure breaks a law. 2: wrong use. 130: Ctrl-C. Every failure is one
    line on stderr; with ASSAY_TRACEBACK=1 in the environment it comes with its traceback.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; see `main`."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _failed("stopped by Ctrl-C", INTERRUPTED)
    except (UsageError, MissingExtra) as error:
        return _failed(str(error), USAGE)
    except DataError as error:
        return _failed(str(error), DATA)
    except OSError as error:
        return _failed(str(error), DATA)
    except MemoryError:
        return _failed(OUT_OF_MEMORY, DATA)
    except Exception as error:
        if isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATION_FAILED):
            return _failed(OUT_OF_MEMORY, DATA)
        return _failed(
            f"{type(error).__name__}: {error} (this is a bug; ASSAY_TRACEBACK=1 shows where)", DATA
        )


def _run(arguments: Sequence[str] | None) -> int:
    try:
        import rich  # noqa: F401
        import typer
    except ImportError as error:
        raise MissingExtra(error.name or "typer", "cli", "the assay command") from None
    command = typer.main.get_command(_app())
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result: Any = command.main(args=given, prog_name="assay", standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # what the command line's parser refuses; its classes are not all typer's to import
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            raise UsageError(f"{error.format_message()} (assay --help)") from None
        raise
    if result == INTERRUPTED:  # what typer makes of Ctrl-C, without a word
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _failed(message: str, status: int) -> int:
    if os.environ.get("ASSAY_TRACEBACK") == "1":
        import traceback

        traceback.print_exc()
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr, flush=True)
    return status


def _app() -> typer.Typer:
    import typer

    app = typer.Typer(
        name="assay",
        help="Which generated images are closest to the real ones, and is that beyond doubt?",
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def version(wanted: bool) -> None:
        if wanted:
            from .version import __version__

            print(f"assay {__version__}")
            raise typer.Exit

    def root(
        version: bool = typer.Option(
            False, "--version", callback=version, is_eager=True, help="Print the version."
        ),
    ) -> None:
        pass

    app.callback()(root)
    app.command("compare")(_compare_command())
    app.command("check")(_check_command())
    return app


def _compare_command() -> Any:
    from typer import Argument, Option

    def compare(
        real: str = Argument(
            ..., metavar="REAL", help="Folder or zip of images, or .npy/.safetensors features."
        ),
        generated: list[str] = Argument(
            ..., metavar="GENERATED", help="One or more candidates, of the same kinds."
        ),
        features: str = Option(
            "efficientnet-lite0", help="What turns images into features; also pixels, pixels:SIZE."
        ),
        measures: str = Option(
            "fd,kd,prdc",
            help="Comma-separated: fd, kd, precision, recall, density, coverage, prdc, authenticity, vendi, is, mifd.",
        ),
        seed: int = Option(0, help="Of the random splits."),
        level: float = Option(0.95, help="Of the intervals."),
        floor: bool = Option(
            False, "--floor", help="Also two halves of REAL: the best value anyone can reach."
        ),
        paired: bool = Option(False, "--paired", help="Item i of every set belongs together."),
        json: str | None = Option(None, metavar="FILE", help="Write everything found as JSON."),
        skip_bad: bool = Option(
            False, "--skip-bad", help="Leave out images that cannot be read, and say so."
        ),
        batch_size: int = Option(64, help="Images a pass of the network."),
        workers: int | None = Option(None, help="Threads that decode; by default one a core, at most 8."),
        device: str | None = Option(None, help="cpu or cuda; by default CUDA where there is one."),
        quiet: bool = Option(False, "--quiet", "-q", help="No progress."),
    ) -> int:
        """Measure one or more generated sets against a real one, with intervals."""
        from rich.console import Console

        from .compare import compare as compare_sets
        from .report.progress import showing
        from .report.table import print_comparison

        target = _json_target(json)
        with _plain_warnings(), showing(quiet) as progress:
            found = compare_sets(
                real,
                generated,
                features=features,
                measures=[name for name in (part.strip() for part in measures.split(",")) if name],
                floor=floor,
                level=level,
                paired=paired,
                seed=seed,
                batch_size=batch_size,
                workers=workers,
                skip_bad=skip_bad,
                device=device,
                progress=progress,
            )
        if target is not None:
            found.to_json(target)
        print_comparison(found, Console(highlight=False, emoji=False, markup=False, **_pipe_width()))
        return 0

    # the annotations are text, and typer looks their names up in this module, which has not imported typer
    return compare


def _check_command() -> Any:
    from typer import Argument, Option

    def check(
        measure: str = Argument(
            ..., metavar="MODULE:NAME", help="As package.module:name or path/file.py:name."
        ),
        seconds: float = Option(30.0, help="How long to look for inputs that break a law."),
    ) -> int:
        """Put a measure of your own through the laws that every measure keeps."""
        from .check import check_measure, load_measure, verdict_line

        if not seconds > 0:
            raise UsageError(f"--seconds: expected more than 0, got {seconds:g}")
        loaded = load_measure(measure)
        broken = 0
        with _plain_warnings():
            for verdict in check_measure(loaded, seconds=seconds):
                broken += verdict.state == "broken"
                print(verdict_line(verdict), flush=True)
        print(f"{loaded.name}: {f'breaks {broken} of its laws' if broken else 'keeps its laws'}")
        return 1 if broken else 0

    return check


def _json_target(path: str | None) -> str | None:
    """Refuse a place that cannot be written before the work and not after it."""
    if path is None:
        return None
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder):
        what = "is a folder" if os.path.isdir(path) else f"the folder {folder} does not exist"
        raise UsageError(f"--json {path}: {what}; expected the name of a file to write")
    return path


def _pipe_width() -> dict[str, Any]:
    """A pipe has no width: COLUMNS says it, else 100."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return {}
    return {"width": 100}


def _plain_warnings() -> Any:
    """Warnings as one line each, without the source line they were raised from."""
    import warnings
    from contextlib import contextmanager

    @contextmanager
    def plain() -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(
                f"warning: {' '.join(str(message).split())}", file=sys.stderr
            )
            yield

    return plain()
