"""Objectives with populations give one process's loss and gradient on any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("population_worker.py")


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_gradient_is_that_of_one_process(run_ranks: Callable[..., None], world: int) -> None:
    run_ranks(WORKER, world)
