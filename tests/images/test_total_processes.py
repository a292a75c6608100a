"""`assay.total` on several processes learns and balances as one process does, through the wrappers of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

WORKER = Path(__file__).with_name("total_worker.py")


def test_two_processes_weigh_as_one(run_ranks: Callable[..., None]) -> None:
    run_ranks(WORKER, 2)
