"""One rank of `test_batch_objective`: losses and gradients of the whole batch; bad input refused on every rank."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard

import assay
from assay.batch_objective import BatchObjective
from assay.embeddings import LearnableTemperature, alignment, info_nce, supcon, tolerance, uniformity

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
CUTS = {2: [0, 17, 24], 3: [0, 4, 23, 24], 4: [0, 1, 11, 12, 24]}

draw = torch.Generator().manual_seed(1)
x, y = (torch.randn(24, 6, dtype=torch.float64, generator=draw) for _ in range(2))
labels = torch.randint(0, 5, (24,), generator=draw)


def same(i: Tensor, j: Tensor) -> Tensor:
    """Weights of the whole batch, by sample number."""
    return 0.5 + (labels[i][:, None] == labels[j][None, :]).double()


CASES: dict[str, tuple[BatchObjective, tuple[str, ...], Mapping[str, Any]]] = {
    "cross": (info_nce, ("x", "y"), {}),
    "both": (info_nce, ("x", "y"), {"negatives": "both", "weights": same}),
    "supcon": (supcon, ("x", "labels"), {}),
    "supcon, other": (supcon, ("x", "labels", "y", "labels"), {}),
    "alignment": (alignment, ("x", "y"), {}),
    "uniformity": (uniformity, ("x",), {}),
    "tolerance": (tolerance, ("x", "labels"), {}),
}


class Model(torch.nn.Module):
    """One encoder of both views, and the loss with its own parameter."""

    def __init__(self, case: str, gradients: Any, group: Any = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4)
        ).double()
        objective, self.takes, options = CASES[case]
        if "temperature" in objective.options:
            options = {**options, "temperature": LearnableTemperature(0.2).double()}
        self.loss = objective.objective(gradients=gradients, group=group, **options)

    def forward(self, rows: slice) -> Tensor:
        batch = {"x": self.encoder(x[rows]), "y": self.encoder(y[rows]), "labels": labels[rows]}
        value: Tensor = self.loss(*(batch[name] for name in self.takes))
        return value


def agrees(model: torch.nn.Module, slopes: Mapping[str, Tensor], what: str) -> None:
    found = {name.removeprefix("module."): p.grad for name, p in model.named_parameters()}
    assert found.keys() == slopes.keys()
    for name, grad in found.items():
        assert grad is not None, (what, name)
        full = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
        assert torch.allclose(full, slopes[name], rtol=1e-7, atol=1e-11), (what, name, full, slopes[name])


def trains_as_one(world: int, group: Any, mesh: Any) -> None:
    mine = slice(CUTS[world][rank], CUTS[world][rank + 1])
    for case in CASES:
        whole = Model(case, "none")
        expected = whole(slice(None))
        expected.backward()
        slopes = {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}
        averaged = Model(case, "mean", group)
        models: dict[str, torch.nn.Module] = {
            "ddp": torch.nn.parallel.DistributedDataParallel(averaged, process_group=group),
            "sum": Model(case, "sum", group),
        }
        if case in ("both", "supcon"):
            sharded = Model(case, "mean", group)
            fully_shard(sharded.encoder, mesh=mesh)
            models["fsdp2"] = sharded
        for what, model in models.items():
            loss = model(mine)
            assert abs(float(loss.detach() - expected.detach())) < 1e-10, (case, what)
            loss.backward()
            if what == "sum":
                for p in model.parameters():
                    dist.all_reduce(p.grad, group=group)
            agrees(model, slopes, f"{case}, {what}, {world}")


def bad_input_is_told_on_every_rank(world: int, group: Any) -> None:
    """And nobody waits."""
    mine = slice(CUTS[world][rank], CUTS[world][rank + 1])
    a, b, y_mine = x[mine], y[mine], labels[mine]
    short = a[:, :-1] if rank == 1 else a
    nce, sup, uniform = (o.objective(group=group) for o in (info_nce, supcon, uniformity))
    for call, words in (
        (lambda: nce(a, b[:0] if rank == 1 else b), "rank 1: b: is empty|^b: is empty"),
        (lambda: nce(short, b), "features"),
        (lambda: sup(a, y_mine * (1.0 if rank == 1 else 1)), "whole numbers"),
        (lambda: uniform(short), "width"),
        (lambda: sup(a, y_mine, *((b, y_mine) if rank else ())), "the same tensors"),
    ):
        with pytest.raises(assay.UsageError, match=words):
            call()
    # rows of one process alone, where that is asked for
    assert torch.equal(info_nce.objective(gradients="none")(a[:1], b[:1]), info_nce(a[:1], b[:1]))


for size in CUTS:
    members = dist.new_group(list(range(size)))
    mesh = dist.device_mesh.DeviceMesh("cpu", torch.arange(size))
    if rank < size:
        trains_as_one(size, members, mesh)
        bad_input_is_told_on_every_rank(size, members)
dist.barrier()
dist.destroy_process_group()
