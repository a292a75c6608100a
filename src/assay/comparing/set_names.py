"""What is each compared set called?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError

GENERATOR = "python:"  # before the name of a function that makes images
FILES = (".npy", ".npz", ".safetensors", ".zip", ".tar", ".parquet")


def candidates_of(generated: Any) -> dict[str, Any]:
    """Name -> candidate, from one candidate, several, or a mapping of named ones.

    A path is called by its last part, without the suffix of a file; where that is not unique, by as many of its last
    parts as are. Arrays are called `generated`, or `generated 1`, `generated 2`, ...

    Raises:
        UsageError: no candidates, a name that is not text.
    """
    if isinstance(generated, Mapping):
        for name in generated:
            if not isinstance(name, str) or not name:
                raise UsageError(f"generated: a candidate's name must be a text, got {name!r}")
        named = dict(generated)
    elif isinstance(generated, (list, tuple)):
        named = dict(zip(_unique_names(generated), generated, strict=True))
    else:
        named = dict(zip(_unique_names([generated]), [generated], strict=True))
    if not named:
        raise UsageError("generated: no candidates; expected one set, several in a list, or a dict by name")
    return named


def name_of(given: Any, default: str) -> str:
    """What one set is called: the path's last part, or the default for an array."""
    if not isinstance(given, (str, os.PathLike)):
        return default
    return _printable(_short(_parts(given), 1)) or default


def _parts(path: str | os.PathLike[str]) -> tuple[str, ...]:
    text = os.fspath(path)
    if "://" in text:
        from ..data import without_credentials

        return tuple(part for part in without_credentials(text).partition("://")[2].split("/") if part)
    if text.startswith(GENERATOR):
        return (text.removeprefix(GENERATOR),)
    whole = Path(os.path.abspath(os.fspath(path)))  # "." and ".." have names too
    return tuple(part for part in whole.parts if part != whole.anchor)


def _short(parts: tuple[str, ...], depth: int, *, suffix: bool = False) -> str:
    """The last `depth` parts as one name, without the suffix of a file unless it is asked for."""
    if not parts:
        return ""
    last = Path(parts[-1])
    kept = last.stem if last.suffix.lower() in FILES and not suffix else last.name
    return "/".join((*parts[-depth:-1], kept))


def _unique_names(given: Sequence[Any]) -> list[str]:
    default = ["generated"] if len(given) == 1 else [f"generated {i + 1}" for i in range(len(given))]
    parts = [_parts(g) if isinstance(g, (str, os.PathLike)) else () for g in given]
    different = set(parts) - {()}
    out: list[str] = []
    for own, other_name in zip(parts, default, strict=True):
        name = _printable(_shortest_own(own, different - {own})) if own else other_name
        unique, again = name, 2
        while unique in out:
            unique, again = f"{name} ({again})", again + 1
        out.append(unique)
    return out


def _printable(name: str) -> str:
    """File names may hold line breaks, terminal codes and bytes that are no text."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _shortest_own(own: tuple[str, ...], others: set[tuple[str, ...]]) -> str:
    """The fewest last parts, the suffix first left off, that no other path shares."""
    for depth in range(1, len(own) + 1):
        beside = any(_short(o, len(o)) == _short(own, len(own)) for o in others)  # a.zip beside a.npy
        name = _short(own, depth, suffix=beside)
        if all(_short(o, depth, suffix=beside) != name for o in others):
            return name
    return "/".join(own)
