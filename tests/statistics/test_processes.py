"""Several processes give what one gives, and say together what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assay import Moments, Neighbours, Samples
from assay.scale import all_reduce
from assay.sets import Predictions
from assay.statistics import Directions

ALL = [Moments, Samples, Neighbours, Directions, Predictions]

# run once a rank; uneven shares, the last one a single sample
WORKER = """
import sys, torch, torch.distributed as dist
torch.set_num_threads(1)
import assay
from assay.scale import all_reduce
from assay.sets import Predictions
from assay.statistics import Directions, Moments, Neighbours, Samples
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
g = torch.Generator().manual_seed(0)
x = torch.randn(60, 9, dtype=torch.float64, generator=g).softmax(1)
w = torch.randint(1, 4, (60,), generator=g).double()
cuts = {1: [0, 60], 2: [0, 59, 60], 3: [0, 4, 59, 60]}[world]
mine = slice(cuts[rank], cuts[rank + 1])
for kind in (Moments, Samples, Neighbours, Directions, Predictions):
    got, whole = all_reduce(kind.of(x[mine], w[mine])), kind.of(x, w)
    for name, tensor in whole.tensors().items():
        assert torch.allclose(got.tensors()[name], tensor, rtol=1e-12, atol=1e-14), (kind, name)
    bits = [torch.empty_like(t) for t in got.tensors().values()]
    for mine_, theirs in zip(got.tensors().values(), bits):
        theirs.copy_(mine_)
        dist.broadcast(theirs, 0)
        assert torch.equal(mine_, theirs), "ranks differ in their bits"
if world > 1:
    for wrong in (Moments.of(x[:20, : 9 - rank]), (Moments if rank else Samples).of(x)):
        try:
            all_reduce(wrong)
        except assay.UsageError as error:
            assert "rank 0" in str(error) and "rank 1" in str(error), error
        else:
            raise AssertionError("accepted")
    pair = dist.new_group([0, 1])
    if rank < 2:
        assert float(all_reduce(Moments.of(x[:7]), pair).weight) == 14
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_equal_one(tmp_path: Path, world: int) -> None:
    store = tmp_path / "store"
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(world), str(store)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(world)
    ]
    try:
        said = [rank.communicate(timeout=60)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    for rank, text in zip(ranks, said, strict=True):
        assert rank.returncode == 0, text


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_without_processes_a_statistic_is_itself(normal, kind):
    made = kind.of(normal(6, 3).softmax(1))
    assert all_reduce(made) is made
    assert not torch.distributed.is_initialized()
