"""Gathered rows give the whole batch's loss and the whole batch's gradient, on any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import assay
from assay.scale import gather

WORKER = Path(__file__).with_name("gather_worker.py")


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_gradient_is_that_of_one_process(run_ranks: Callable[..., None], world: int) -> None:
    run_ranks(WORKER, world)


def test_one_process_gets_its_own_rows_back() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert gather(x) is x
    with pytest.raises(assay.UsageError, match="gradients"):
        gather(x, gradients="average")  # type: ignore[arg-type]
