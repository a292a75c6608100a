"""One rank of `test_processes`: what several processes hold, reduced, is the whole, bit for bit the same on all."""

from __future__ import annotations

import sys

import pytest
import torch
import torch.distributed as dist

import assay
from assay.scale import all_reduce
from assay.sets import Predictions
from assay.statistics import Directions, Moments, Neighbours, Samples

torch.set_num_threads(1)
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
g = torch.Generator().manual_seed(0)
x = torch.randn(60, 9, dtype=torch.float64, generator=g).softmax(1)
w = torch.randint(1, 4, (60,), generator=g).double()
# uneven shares, the last one a single sample
cuts = {1: [0, 60], 2: [0, 59, 60], 3: [0, 4, 59, 60]}[world]
mine = slice(cuts[rank], cuts[rank + 1])
for kind in (Moments, Samples, Neighbours, Directions, Predictions):
    got, whole = all_reduce(kind.of(x[mine], w[mine])), kind.of(x, w)
    for name, tensor in whole.tensors().items():
        assert torch.allclose(got.tensors()[name], tensor, rtol=1e-12, atol=1e-14), (kind, name)
    for tensor in got.tensors().values():
        firsts = tensor.clone()
        dist.broadcast(firsts, 0)
        assert torch.equal(tensor, firsts), "ranks differ in their bits"
if world > 1:
    for wrong in (Moments.of(x[:20, : 9 - rank]), (Moments if rank else Samples).of(x)):
        with pytest.raises(assay.UsageError, match=r"rank 0: .*rank 1: "):
            all_reduce(wrong)
    pair = dist.new_group([0, 1])
    if rank < 2:
        assert float(all_reduce(Moments.of(x[:7]), pair).weight) == 14
dist.barrier()
dist.destroy_process_group()
