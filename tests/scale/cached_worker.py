"""One rank of `test_cached_processes`: chunks over processes give the gradient of one process with the whole batch."""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils._python_dispatch import TorchDispatchMode

import assay
from assay.scale import gather
from assay.scale.cached.backward import CachedObjective, cached_backward

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
CUTS = {2: [0, 23, 24], 3: [0, 4, 23, 24]}[world]
MINE = slice(CUTS[rank], CUTS[rank + 1])
CHUNK = 3


def network(seed: int = 0, spare: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 4))
    layers.register_buffer("frozen", torch.ones(3))
    if spare:  # a parameter that no forward pass uses
        layers.register_parameter("spare", nn.Parameter(torch.ones(2)))
    return layers.double()


def pairs(a: Tensor, b: Tensor) -> Tensor:
    similar = a @ b.T
    return similar.logsumexp(1).mean() + similar.logsumexp(0).mean() - 2 * (a * b).sum(1).mean()


def alone(z: Tensor) -> Tensor:
    return pairs(z, z.tanh())


def gathered(*z: Tensor) -> Tensor:
    every = [gather(part) for part in z]
    return alone(*every) if len(every) == 1 else pairs(*every)


draw = torch.Generator().manual_seed(1)
x = torch.randn(24, 6, dtype=torch.float64, generator=draw)
y = torch.randn(24, 6, dtype=torch.float64, generator=draw)

one, two = network(), network(1)
expected = alone(one(x))
expected.backward()
single = [p.grad for p in one.parameters()]
one.zero_grad()
shared_loss = pairs(one(x), one(y))
shared_loss.backward()
shared = [p.grad for p in one.parameters()]
one.zero_grad()
tower_loss = pairs(one(x), two(y))
tower_loss.backward()
towers = [p.grad for p in (*one.parameters(), *two.parameters())]


def agrees(what: str, models: list[nn.Module], wanted: list[Tensor | None], times: float = 1.0) -> None:
    got = [p.grad for model in models for n, p in model.named_parameters() if not n.endswith("spare")]
    for grad, want in zip(got, wanted, strict=True):
        assert grad is not None and want is not None
        full = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
        assert torch.allclose(full, times * want, rtol=1e-10, atol=1e-13), (what, (full - want).abs().max())
    for model in models:
        model.zero_grad()


def near(a: Tensor, b: Tensor) -> None:
    assert not a.requires_grad or a.grad_fn is not None
    assert abs(float(a.detach()) - float(b.detach())) < 1e-11


class Counted:
    times = 0


def counting(counted, bucket):
    """A communication hook that counts the reductions."""
    counted.times += 1
    buffer = bucket.buffer().div_(world)
    return dist.all_reduce(buffer, async_op=True).get_future().then(lambda f: f.value()[0])


def averaged(model: nn.Module, **options: bool) -> tuple[DDP, Counted]:
    counted = Counted()
    ddp = DDP(model, **options)
    ddp.register_comm_hook(counted, counting)
    return ddp, counted


# DistributedDataParallel: one reduction, with the last chunk, however many chunks the ranks have
for options in ({}, {"find_unused_parameters": True}, {"gradient_as_bucket_view": True}):
    ddp, hook = averaged(network(spare="find_unused_parameters" in options), **options)
    for times in (1, 2, 3):
        near(cached_backward(ddp, x[MINE], gathered, CHUNK), expected)
        assert hook.times == times, (options, hook.times)
        agrees(f"ddp {options}", [ddp], single)
    with ddp.no_sync():
        cached_backward(ddp, x[MINE], gathered, CHUNK)
    assert hook.times == 3
    cached_backward(ddp, x[MINE], gathered, CHUNK)
    assert hook.times == 4
    agrees("ddp, accumulated", [ddp], single, 2.0)
    near(cached_backward([ddp, ddp], [x[MINE], y[MINE]], gathered, CHUNK), shared_loss)
    assert hook.times == 5
    agrees("ddp, shared", [ddp], shared)

(first, hook1), (second, hook2) = averaged(network()), averaged(network(1))
near(cached_backward([first, second], [x[MINE], y[MINE]], gathered, CHUNK), tower_loss)
assert (hook1.times, hook2.times) == (1, 1)
agrees("two ddp towers", [first, second], towers)


# a whole training module under DistributedDataParallel, as Lightning wraps it
class Training(nn.Module):
    def __init__(self, spare: bool) -> None:
        super().__init__()
        self.encoder = network(spare=spare)
        self.objective = CachedObjective(gathered, CHUNK)

    def forward(self, batch: Tensor) -> Tensor:
        return self.objective(self.encoder, batch)


for options in ({}, {"find_unused_parameters": True}):
    outer, hook = averaged(Training(bool(options)), **options)
    for times in (1, 2):
        loss = outer(x[MINE])
        loss.backward()
        near(loss, expected)
        assert hook.times == times
        agrees("ddp around the objective", [outer], single)

# fully_shard: ranks with fewer chunks keep the others company
mesh = dist.device_mesh.init_device_mesh("cpu", (world,))


def spread(seed: int = 0) -> nn.Module:
    model = network(seed)
    for layer in (model[0], model[3]):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


class Scatters(TorchDispatchMode):
    """Counts the reductions of sharded gradients."""

    times = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.times += "reduce_scatter" in str(func)
        return func(*args, **(kwargs or {}))


for defer in (False, True):
    model, other = spread(), spread(1)
    for times in (1.0, 2.0):
        with Scatters() as scatters:
            near(cached_backward(model, x[MINE], gathered, CHUNK, defer_reduction=defer), expected)
        longest = -(-max(b - a for a, b in pairwise(CUTS)) // CHUNK)
        assert scatters.times == 3 * (1 if defer else longest), scatters.times
        if times == 1:
            agrees("fsdp2", [model], single)
            cached_backward(model, x[MINE], gathered, CHUNK, defer_reduction=defer)
    agrees("fsdp2, accumulated", [model], single, 2.0)
    near(
        cached_backward([model, model], [x[MINE], y[MINE]], gathered, CHUNK, defer_reduction=defer),
        shared_loss,
    )
    agrees("fsdp2, shared", [model], shared)
    loss = CachedObjective(gathered, CHUNK, defer_reduction=defer)([model, other], [x[MINE], y[MINE]])
    loss.backward()
    near(loss, tower_loss)
    agrees("two fsdp2 towers", [model, other], towers)

# refused on every rank, without a wait
for wrong, chunk, match in (
    (x[MINE][: (0 if rank == 1 else None)], CHUNK, "no rows" if rank == 1 else "rank 1 refused"),
    (x[MINE], 24, "above the batch"),
):
    with pytest.raises(assay.UsageError, match=match):
        cached_backward(model, wrong, gathered, chunk)
with pytest.raises(assay.UsageError, match="static_graph"):
    cached_backward(DDP(network(), static_graph=True), x[MINE], gathered, CHUNK)
with pytest.raises(assay.UsageError, match="both wrapped"):
    cached_backward([first, first.module], [x[MINE], y[MINE]], gathered, CHUNK)
dist.barrier()
dist.destroy_process_group()
