"""What does the part of a name after the colon mean: a folder, or a model of a package's list?"""

from __future__ import annotations

import re
from pathlib import Path

from assay.errors import DataError, UsageError


def given_folder(argument: str, family: str) -> Path | None:
    """The folder that is meant, or None where the argument is a model's name.

    A path starts with `.`, `/` or `~`, or is a folder that exists.

    Raises `DataError` for a path where no folder is.
    """
    path = Path(argument).expanduser()
    if path.is_dir():
        return path
    if argument.startswith((".", "/", "~")):
        raise DataError(f"{family}:{argument}: there is no such folder; expected one with the model's files")
    return None


def name_and_revision(argument: str) -> tuple[str, str | None]:
    """`NAME@REVISION` -> (name, revision or None)."""
    name, at, revision = argument.partition("@")
    if at and not (name and revision):
        raise UsageError(
            f"{argument!r}: expected NAME or NAME@REVISION, the revision a branch, tag or commit"
        )
    return name, revision or None


def need_argument(argument: str | None, family: str, form: str) -> str:
    """What follows the colon.

    Raises `UsageError` where nothing does.
    """
    if not argument:
        raise UsageError(f"{family} needs a name after the colon: {form}")
    return argument


def license_of_folder(folder: Path | None) -> str | None:
    """The license that a model card (README.md with a header) in the folder states."""
    card = None if folder is None else folder / "README.md"
    if card is None or not card.is_file():
        return None
    header = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    found = header and re.search(r"^license:\s*['\"]?([^\s'\"]+)", header[1], re.MULTILINE)
    return found[1] if found else None
