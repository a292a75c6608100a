"""Which paths does one with `*`, `[...]` or `{000..010}` stand for?"""

from __future__ import annotations

import glob
import re
from itertools import islice

from assay.data.names import is_hidden, shown
from assay.data.urls import Options, globbed, is_url
from assay.errors import DataError, UsageError

BRACES = re.compile(r"\{([^{}]*)\}")
MAX_PATHS = 100_000


def is_pattern(path: str) -> bool:
    """Whether a path may stand for several."""
    rest = path.partition("://")[2] if is_url(path) else path
    wild = any(mark in rest for mark in "*[") or (not is_url(path) and "?" in rest)
    return wild or BRACES.search(rest) is not None


def matched(pattern: str, options: Options) -> list[str]:
    """The paths in order: of braces as they are written, of each glob by name.

    Raises `DataError` where a glob matches nothing, `UsageError` for braces that are no range or list.
    """
    found: list[str] = []
    for each in without_braces(pattern):
        if is_url(each):
            found += globbed(each, options) if any(mark in each for mark in "*[") else [each]
        elif glob.has_magic(each):
            fixed = glob.escape(each[: min(each.index(mark) for mark in "*?[" if mark in each)])
            fixed = fixed[: fixed.rfind("/") + 1]
            found += sorted(
                path for path in glob.glob(each, recursive=True) if not is_hidden(path[len(fixed) :])
            )
        else:
            found.append(each)
    if not found:
        raise DataError(f"{shown(pattern)} matches nothing")
    return found


def without_braces(pattern: str) -> list[str]:
    """`a-{08..10}.tar` as `a-08.tar`, `a-09.tar`, `a-10.tar`; `{x,y}` as both."""
    done = [pattern]
    while any(BRACES.search(each) for each in done):
        # one by one: three ranges of a thousand are more than the memory holds
        done = list(islice((path for each in done for path in _first_replaced(each)), MAX_PATHS + 1))
        if len(done) > MAX_PATHS:
            raise UsageError(f"{{...}} in a path stands for more than {MAX_PATHS:,} paths")
    return done


def _first_replaced(pattern: str) -> list[str]:
    match = BRACES.search(pattern)
    if match is None:
        return [pattern]
    begin, end = pattern[: match.start()], pattern[match.end() :]
    return [f"{begin}{choice}{end}" for choice in _choices(match[1])]


def _choices(inside: str) -> list[str]:
    ends = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", inside)
    if ends is not None:
        first, last = int(ends[1]), int(ends[2])
        if last - first >= MAX_PATHS or last < first:
            raise UsageError(f"{{{inside}}} is no range of at most {MAX_PATHS:,}: expected e.g. {{000..010}}")
        width = len(ends[1]) if ends[1].startswith("0") or len(ends[1]) == len(ends[2]) else 0
        return [str(number).zfill(width) for number in range(first, last + 1)]
    choices = inside.split(",")
    if len(choices) < 2:
        raise UsageError(
            f"{{{shown(inside)}}} in a path is neither a range such as {{000..010}} nor a list such as {{a,b}}"
        )
    return choices
