"""How long work tells whoever asked how far it is, without a parameter through every function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

Report = Callable[[str, int, int], None]  # what is being done, how much is done, of how much

_report: ContextVar[Report | None] = ContextVar("assay_progress", default=None)


@contextmanager
def reporting(report: Report) -> Iterator[None]:
    """Within the block, passes over tiles call `report(what, done, total)` as they go."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def tick(what: str, done: int, total: int) -> None:
    """Say how far a pass is; free where nobody listens, and never traced."""
    if torch.compiler.is_compiling():
        return
    report = _report.get()
    if report is not None:
        report(what, done, total)
