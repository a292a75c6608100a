"""One rank of `test_population_processes`: the loss and the parameters' gradient equal one process's, step by step."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from assay import DataError, UsageError, frechet_distance, kernel_distance
from assay.conditional_objective import conditional_objective
from assay.sets.bounded_frechet import bounded_frechet_objective
from assay.several_objectives import several_objectives

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
CUTS = {1: [0, 24], 2: [0, 23, 24], 3: [0, 4, 23, 24], 4: [0, 1, 11, 12, 24]}[world]
MINE = slice(CUTS[rank], CUTS[rank + 1])
STEPS = 3


def drawn(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4)).double()


real, classes = drawn(80, 4, 1), torch.arange(80) % 3
labels = torch.arange(24) % 3

Make = Callable[[str], Any]  # from gradients= to an objective
KINDS: dict[str, Make] = {
    "plain": lambda g: frechet_distance.objective(reference=real, gradients=g),
    "kernel": lambda g: kernel_distance.objective(reference=real, population=40, gradients=g),
    "queue": lambda g: frechet_distance.objective(reference=real, population=53, gradients=g),
    "ema": lambda g: frechet_distance.objective(reference=real, population=53, memory="ema", gradients=g),
    "bounded": lambda g: bounded_frechet_objective(real, population=53, refresh=2, gradients=g),
    "several": lambda g: several_objectives(
        {
            "one": frechet_distance.objective(reference=real, population=40, gradients=g),
            "two": kernel_distance.objective(reference=real, gradients=g),
        },
        divide_by={"one": 0.3, "two": 2.0},
    ),
    "conditional": lambda g: conditional_objective(
        frechet_distance, reference=real, labels=classes, population=15, gradients=g
    ),
}


def inputs(kind: str, z: Tensor, u: Tensor) -> tuple[Any, ...]:
    if kind == "several":
        return ({"one": z, "two": z + 1},)
    return (z, u) if kind == "conditional" else (z,)


def sharded() -> torch.nn.Module:
    model, mesh = network(), dist.device_mesh.init_device_mesh("cpu", (world,))
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


for kind, make in KINDS.items():
    runs: list[tuple[str, torch.nn.Module, Any]] = [
        ("ddp", torch.nn.parallel.DistributedDataParallel(network()), make("mean"))
    ]
    if kind in ("queue", "several"):  # the ways to put gradients together are `gather`'s, and tested there
        runs.append(("sum", network(), make("sum")))
        if world > 1:
            runs.append(("fsdp2", sharded(), make("mean")))
    alone, whole = make("none"), network()
    for step in range(STEPS):
        x = drawn(24, 6, 10 + step)
        whole.zero_grad()
        expected = alone(*inputs(kind, whole(x), labels))
        expected.backward()
        for what, model, objective in runs:
            model.zero_grad()
            loss = objective(*inputs(kind, model(x[MINE]), labels[MINE]))
            assert abs(float(loss.detach() - expected.detach())) < 1e-9, (kind, what, step)
            loss.backward()
            for mine, want in zip(model.parameters(), whole.parameters(), strict=True):
                grad: Any = mine.grad
                if what == "sum":
                    dist.all_reduce(grad)
                grad = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
                scale = float(want.grad.abs().max())  # type: ignore[union-attr]
                assert torch.allclose(grad, want.grad, rtol=1e-6, atol=1e-8 * scale), (kind, what, step)

# warm-up: every rank reads its own, of any length
parts = [drawn(5 + 6 * r, 4, 50 + r) for r in range(world)]
for memory in ("queue", "ema"):
    objective = frechet_distance.objective(reference=real, population=100, memory=memory)
    filled = objective.warm_up(parts[rank].split(4))
    share = -(-100 // world)
    assert filled == sum(min(len(p), share) for p in parts)
    one = frechet_distance.objective(reference=real, population=100, memory=memory, gradients="none")
    one.warm_up([torch.cat(parts)])
    at = drawn(9, 4, 60)
    one.eval(), objective.eval()
    cut = [round(k * 9 / world) for k in range(world + 1)]
    assert abs(float(objective(at[cut[rank] : cut[rank + 1]]) - one(at))) < 1e-9
    objective.check(at)

by_class = KINDS["conditional"]("mean")
found = by_class.warm_up([(parts[rank], torch.arange(len(parts[rank])) % 3)])
counts = sum(torch.bincount(torch.arange(len(p)) % 3, minlength=3) for p in parts)
assert list(found.values()) == [min(15, n) for n in counts.tolist()]  # type: ignore[union-attr]

# one rank's mistake is every rank's error, and nobody waits
if world > 1:
    bad = drawn(6, 4, 70)
    bad[2] = float("nan") if rank == 1 else bad[2]
    objective = frechet_distance.objective(reference=real, population=30)
    told = "1 of 6 samples" if rank == 1 else "rank 1: .*1 of 6 samples"
    with pytest.raises(DataError, match=told):
        objective.warm_up([bad])
    with pytest.raises(DataError, match=told):
        objective.check(bad)
    with pytest.raises(DataError, match=told):
        by_class.warm_up([(bad, torch.zeros(6, dtype=torch.int64))])
    with pytest.raises(UsageError, match=r"labels: expected shape \(6,\)"):
        by_class(drawn(6, 4, 71), torch.zeros(5 if rank == 1 else 6, dtype=torch.int64))
    with pytest.raises(DataError, match="no samples"):
        objective.warm_up([bad] if rank == 0 else [])
    with pytest.raises(UsageError, match=r"rank 0: .*rank 1: "):
        objective(drawn(6, 4 - rank, 71))
    with pytest.raises(UsageError, match="population: 30 samples are fewer than the batch's"):
        objective(drawn(30 if rank == 0 else 3, 4, 72))

    def broken() -> Any:
        yield drawn(6, 4, 73)
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError if rank == 1 else DataError, match="disk"):
        objective.warm_up(broken() if rank == 1 else [drawn(6, 4, 73)])
dist.barrier()
dist.destroy_process_group()
