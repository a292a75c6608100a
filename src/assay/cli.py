"""The `assay` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .errors import DataError, MissingExtra, UsageError
from .printable import printable

if TYPE_CHECKING:
    import typer

USAGE, DATA, INTERRUPTED = 2, 1, 130  # and 3 where --fail-if holds
OUT_OF_MEMORY = "out of memory: compare fewer images, or use an extractor with fewer features"
# PyTorch has no exception of its own for a CPU allocation that fails
ALLOCATION_FAILED = ("can't allocate memory", "out of memory", "not enough memory")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit status.

    0: done. 1: the data cannot be measured, or a measure breaks a law. 2: wrong use. 3: a value is as --fail-if says.
    130: Ctrl-C. Every failure is one line on stderr; with ASSAY_TRACEBACK=1 in the environment it comes with its
    traceback.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; see `main`."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _failed("stopped by Ctrl-C", INTERRUPTED)
    except (UsageError, MissingExtra, DataError) as error:
        status = DATA if isinstance(error, DataError) else USAGE
        return status if _told_by_another_process(error) else _failed(str(error), status)
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
    from .history.command_line import given_as

    command = typer.main.get_command(_app())
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with given_as(given):
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


def _told_by_another_process(error: Exception) -> bool:
    from .scale.ranks import told_elsewhere

    return told_elsewhere(error)


def _failed(message: str, status: int) -> int:
    if os.environ.get("ASSAY_TRACEBACK") == "1":
        import traceback

        traceback.print_exc()
    from .data.credentials import URL_IN_TEXT, without_credentials

    line = URL_IN_TEXT.sub(lambda match: without_credentials(match[0]), " ".join(message.split()))
    print(f"error: {printable(line)}", file=sys.stderr, flush=True)
    return status


def _app() -> typer.Typer:
    import typer

    from .commands import cache, check, clip_score, compare, diff, features, history, merge, score, stats

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
    app.command("compare")(compare.command())
    app.command("history")(history.command())
    app.command("diff")(diff.command())
    app.command("stats")(stats.command())
    app.command("merge")(merge.command())
    app.command("score")(score.command())
    app.command("clip-score")(clip_score.command())
    app.add_typer(cache.commands())
    app.add_typer(features.features_app(), name="features")
    app.command("check")(check.command())
    return app
