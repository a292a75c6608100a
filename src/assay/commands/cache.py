"""`assay cache` and `assay cache trim`"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    import typer

UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


def commands() -> typer.Typer:
    """`cache`, which shows, and `trim` below it."""
    import typer

    app = typer.Typer(
        name="cache", help="Show the features kept of earlier passes; `assay cache trim` throws some away."
    )
    # The annotations are text, which typer looks up in this module, and the module has not imported typer.
    _show.__annotations__["context"] = typer.Context
    app.callback(invoke_without_command=True)(_show)
    app.command("trim")(_trim())
    return app


def _show(context: typer.Context) -> None:
    from ..features.cache import features_folder, kept, shown_bytes

    if context.invoked_subcommand is not None:
        return
    found = kept()
    print(f"{features_folder()}: {shown_bytes(sum(one.size for one in found))}")
    for one in found:
        print(
            f"  {one.name}: {one.images:,} images in {one.shards:,} {_files(one.shards)}, "
            f"{shown_bytes(one.size)}, last used {_ago(time.time() - one.last_used)}"
        )


def _trim() -> Callable[..., int]:
    from typer import Option

    def trim(
        to: str | None = Option(
            None,
            metavar="SIZE",
            help="Keep at most this, such as 10GB; what was not used for longest goes first.",
        ),
        older_than: str | None = Option(
            None, metavar="AGE", help="Throw away what was not used for longer, such as 30d, 12h, 2w."
        ),
        everything: bool = Option(False, "--all", help="Throw away everything."),
        dry_run: bool = Option(False, "--dry-run", help="Only say what would go."),
    ) -> int:
        """Throw away kept features; they are computed again when they are needed."""
        from ..features.cache import shown_bytes
        from ..features.cache import trim as trim_cache

        if not everything and to is None and older_than is None:
            raise UsageError("assay cache trim: say how much, with --to 10GB, --older-than 30d or --all")
        size = None if to is None else size_of(to)
        age = None if older_than is None else age_of(older_than)
        gone, freed = trim_cache(to=0 if everything else size, unused_for=age, dry_run=dry_run)
        verb = "would be thrown away" if dry_run else "thrown away"
        print(f"{gone:,} {_files(gone)} {verb}, {shown_bytes(freed)}")
        return 0

    return trim


def size_of(text: str) -> int:
    """`10GB`, `1.5 gb`, `0` -> bytes; decimal units.

    Raises `UsageError` for anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?b)?", text.strip().lower(), re.ASCII)
    if found is None:
        raise UsageError(f"--to: expected a size such as 500MB or 10GB, got {text!r}")
    return int(float(found[1]) * UNITS[found[2] or "b"])


def age_of(text: str) -> float:
    """`30d`, `12h`, `2w` -> seconds.

    Raises `UsageError` for anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([hdw])", text.strip().lower(), re.ASCII)
    if found is None:
        raise UsageError(f"--older-than: expected an age such as 12h, 30d or 2w, got {text!r}")
    return float(found[1]) * SECONDS[found[2]]


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def _ago(seconds: float) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count:
            return f"{count} {name}{'' if count == 1 else 's'} ago"
    return "just now"
