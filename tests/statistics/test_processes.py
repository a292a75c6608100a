"""Several processes give what one gives, and say together what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from assay import Moments, Neighbours, Samples
from assay.scale import all_reduce
from assay.sets import Predictions
from assay.statistics import Directions

ALL = [Moments, Samples, Neighbours, Directions, Predictions]

WORKER = Path(__file__).with_name("all_reduce_worker.py")


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_equal_one(run_ranks: Callable[..., None], world: int) -> None:
    run_ranks(WORKER, world)


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_without_processes_a_statistic_is_itself(normal, kind):
    made = kind.of(normal(6, 3).softmax(1))
    assert all_reduce(made) is made
    assert not torch.distributed.is_initialized()
