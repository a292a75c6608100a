"""One rank of `test_sigmoid`: losses, gradients and what is kept equal the whole batch's, whatever the ranks hold."""

from __future__ import annotations

import math
import sys
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

import assay
from assay.batch_objective import batch_objective
from assay.embeddings.individual_temperatures import IndividualTemperatures
from assay.embeddings.info_nce import info_nce
from assay.embeddings.memory_bank import MemoryBank
from assay.embeddings.sigmoid import sigmoid_pair

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
CUTS = {1: [0, 24], 2: [0, 23, 24], 3: [0, 4, 23, 24], 4: [0, 1, 11, 12, 24]}[world]
MINE = slice(CUTS[rank], CUTS[rank + 1])


class Towers(torch.nn.Module):
    """Two encoders, a scale and a bias."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = torch.nn.Linear(6, 4).double()
        self.text = torch.nn.Linear(5, 4).double()
        self.log_scale = torch.nn.Parameter(torch.tensor(math.log(10), dtype=torch.float64))
        self.bias = torch.nn.Parameter(torch.tensor(-3.0, dtype=torch.float64))
        self.loss = sigmoid_pair.objective(log_scale=self.log_scale, bias=self.bias, **options)

    def forward(self, x: Tensor, y: Tensor, labels: Tensor | None) -> Tensor:
        return self.loss(self.image(x), self.text(y), labels)


draw = torch.Generator().manual_seed(1)
x = torch.randn(24, 6, dtype=torch.float64, generator=draw)
y = torch.randn(24, 5, dtype=torch.float64, generator=draw)
labels = torch.randint(0, 5, (24,), generator=draw)
beside = {
    "reference_a": torch.randn(7, 4, dtype=torch.float64, generator=draw),
    "reference_b": torch.randn(7, 4, dtype=torch.float64, generator=draw),
}
beside_labels = torch.randint(0, 5, (7,), generator=draw)


def slopes(model: torch.nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        found[name.removeprefix("module.")] = p.grad
    return found


for match, options in (
    (None, {}),
    (labels, {}),
    (None, beside),
    (labels, {**beside, "reference_labels": beside_labels}),
):
    whole = Towers(gradients="none", **options)
    expected = whole(x, y, match)
    expected.backward()
    own = None if match is None else match[MINE]
    shared = torch.nn.parallel.DistributedDataParallel(Towers(**options))
    summed = Towers(gradients="sum", **options)
    for model in (shared, summed):
        loss = model(x[MINE], y[MINE], own)
        assert abs(float((loss - expected).detach())) < 1e-12 * float(expected.detach())
        loss.backward()
    for p in summed.parameters():
        dist.all_reduce(p.grad)
    for model in (shared, summed):
        for name, slope in slopes(model).items():
            assert torch.allclose(slope, slopes(whole)[name], rtol=1e-9, atol=1e-12), name

# what is learned of the score alone has its whole gradient on every rank, with or without DDP
alone = Towers()
alone(x[MINE], y[MINE], None).backward()
whole = Towers(gradients="none")
whole(x, y, None).backward()
for learned in ("log_scale", "bias"):
    assert torch.allclose(getattr(alone, learned).grad, getattr(whole, learned).grad, rtol=1e-9)

with torch.no_grad():
    assert abs(float(alone(x[MINE], y[MINE], None) - whole(x, y, None))) < 1e-10

if world > 1:
    # frozen on one rank alone: the others' gradients still travel
    a = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(4, 3, dtype=torch.float64, requires_grad=rank != 0)
    sigmoid_pair.objective()(a, b).backward()
    assert (b.grad is None) == (rank == 0)
    loss = sigmoid_pair.objective()
    wrong = {
        "widths": (x[MINE][:, : 6 - rank], x[MINE][:, : 6 - rank]),
        "types": (x[MINE], x[MINE]) if rank else (x[MINE].float(), x[MINE].float()),
        "a number": (x[0, 0], x[0, 0]) if rank else (x[MINE], x[MINE]),
    }
    for value in wrong.values():
        with pytest.raises(assay.UsageError, match=r"rank 1|a: expected shape"):
            loss(*value)
    pair = dist.new_group(list(range(world))[-2:])
    if rank >= world - 2:
        # a group whose ranks are not numbered from 0
        part = sigmoid_pair.objective(group=pair)(x[MINE], x[MINE])
        first = CUTS[world - 2]
        assert abs(float(part - sigmoid_pair(x[first:], x[first:]))) < 1e-10

# no process ever holds the others' rows all at once
held: list[int] = []
real = dist.all_gather


def watched(parts: list[Tensor], tensor: Tensor, group: object = None) -> None:
    held.append(max(part.numel() for part in parts))
    real(parts, tensor, group=group)


dist.all_gather = watched
sigmoid_pair.objective()(x[MINE], x[MINE])
assert max(held, default=0) <= 3
dist.all_gather = real


class Trained(torch.nn.Module):
    """An encoder and a loss with a state."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = torch.nn.Linear(6, 4).double()
        self.loss = loss.double()

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        return self.loss(self.encoder(x), self.encoder(x.flip(1)), *more)


@batch_objective(best="min", reference="none", samples=("a", "b"))
def nearness(a: Tensor, b: Tensor, *, reduction: str = "mean") -> Tensor:
    """Without options for a reference set."""
    each = (a @ b.T).logsumexp(1)
    return each.mean() if reduction == "mean" else each


def losses(gradients: str) -> dict[str, torch.nn.Module]:
    return {
        "a bank joined to the batch": MemoryBank(nearness.objective(gradients=gradients), 40, width=4),
        "a bank as reference set": MemoryBank(sigmoid_pair.objective(gradients=gradients), 40, width=4),
        "the same of another objective": MemoryBank(info_nce.objective(gradients=gradients), 40, width=4),
        "temperatures": IndividualTemperatures(30, rate=0.5, gradients=gradients),
    }


index = torch.arange(24) + 3
index[-1] = index[0]  # one sample on two ranks
for name, loss in losses("mean").items():
    alone = Trained(losses("none")[name])
    shared = torch.nn.parallel.DistributedDataParallel(Trained(loss))
    more = (index,) if name == "temperatures" else ()
    for step in range(3):
        rows = x.roll(step, 1)
        expected = alone(rows, *more)
        got = shared(rows[MINE], *(t[MINE] for t in more))
        assert abs(float((got - expected).detach())) < 1e-10, (name, step)
        for model, value in ((alone, expected), (shared, got)):
            model.zero_grad()
            value.backward()
        for p, q in zip(alone.parameters(), shared.parameters(), strict=True):
            assert p.grad is not None and q.grad is not None
            assert torch.allclose(p.grad, q.grad, rtol=1e-9, atol=1e-12), (name, step)
    for key, state in alone.loss.state_dict().items():
        mine = shared.module.loss.state_dict()[key]
        assert torch.allclose(mine, state, rtol=1e-9, atol=1e-12), (name, key)
        everyones = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(everyones, mine)
        assert all(torch.equal(other, mine) for other in everyones), (name, key)

if world > 1:
    bank, temperatures = losses("mean")["a bank as reference set"].double(), losses("mean")["temperatures"]
    rows = x[MINE][:, :4]
    with pytest.raises(assay.UsageError, match="features and the bank 4"):
        bank(x[MINE], x[MINE]) if rank == 1 else bank(rows, rows)
    with pytest.raises(assay.UsageError, match="index: 99 is no number"):
        temperatures(rows, rows, torch.full((len(rows),), 99 if rank == 1 else 1))
    with pytest.raises(assay.UsageError, match="a: expected shape"):
        temperatures(rows[0] if rank == 1 else rows, rows, index[MINE])
dist.barrier()
dist.destroy_process_group()
