"""Chunks over processes: the gradient of one process with the whole batch, and one reduction under DDP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("cached_worker.py")


@pytest.mark.parametrize("world", [2, 3])
def test_the_gradient_is_that_of_one_process(run_ranks: Callable[..., None], world: int) -> None:
    run_ranks(WORKER, world)
