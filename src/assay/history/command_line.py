"""Which command made a run, without what it was opened with and without secrets?"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ..data.credentials import HIDDEN, URL_IN_TEXT, without_credentials

_given: ContextVar[tuple[str, ...] | None] = ContextVar("_given", default=None)
# `--weights=URL` and `name=URL`
NAMED_URL = re.compile(r"([^=:/]*=)([A-Za-z][A-Za-z0-9+.\-]*://.*)", re.DOTALL)
# `--hf-token SECRET`, `--api_key=SECRET`, `hub.password=SECRET`: what a script that compares may be called with
SECRET_NAME = re.compile(
    r"(?i)(?:-{0,2}|[^=/]*[._-])"
    r"(?:token|secret|passwd|password|pwd|credentials?|(?:api|access|secret|private|auth)[._-]?key)"
)


@contextmanager
def given_as(arguments: Sequence[str]) -> Iterator[None]:
    """Within the block the command line is `assay` with these arguments."""
    token = _given.set(("assay", *arguments))
    try:
        yield
    finally:
        _given.reset(token)


def command_line() -> list[str]:
    """The command line, in Python the script's, every argument without credentials."""
    given = _given.get()
    shown = []
    secret = False
    for each in sys.argv if given is None else given:
        secret = secret and not each.startswith("-")
        shown.append(HIDDEN if secret else shown_argument(each))
        secret = each.startswith("-") and SECRET_NAME.fullmatch(each) is not None
    return shown


def shown_argument(argument: str) -> str:
    """One argument as it may be kept: URLs without user, password and query, `token=` without its value."""
    name, equals, _ = argument.partition("=")
    if equals and SECRET_NAME.fullmatch(name) is not None:
        return f"{name}={HIDDEN}"
    named = NAMED_URL.fullmatch(argument)
    if named is not None:
        return named[1] + without_credentials(named[2])
    shown = without_credentials(argument)
    if shown != argument:
        return shown
    return URL_IN_TEXT.sub(lambda match: without_credentials(match[0]), argument)
