"""The three ways to fail that a person can do something about."""

from __future__ import annotations


class UsageError(ValueError):
    """The call is wrong: an unknown name, an impossible option. The command exits with 2."""


class DataError(ValueError):
    """The call is right and the data is not: a broken file, NaN features, too few samples. The command exits with 1."""


class MissingExtra(ImportError):
    """An optional dependency is needed and not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs {package}, which is not installed: pip install "assay[{extra}]"')
