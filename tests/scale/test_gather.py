"""Gathered rows give the whole batch's loss and the whole batch's gradient, on any number of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import assay
from assay.scale import gather

WORKER = Path(__file__).with_name("gather_worker.py")


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_gradient_is_that_of_one_process(tmp_path: Path, world: int) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(world), str(tmp_path / "store")],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(world)
    ]
    try:
        said = [rank.communicate(timeout=120)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for rank, text in zip(ranks, said, strict=True):
        assert rank.returncode == 0, text


def test_one_process_gets_its_own_rows_back() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert gather(x) is x
    with pytest.raises(assay.UsageError, match="gradients"):
        gather(x, gradients="average")  # type: ignore[arg-type]
