"""One rank of `test_gather`: the loss, and the parameters' gradient under DDP and FSDP2, equal the whole batch's."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.fsdp import fully_shard

import assay
from assay.scale import gather

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)
CUTS = {1: [0, 24], 2: [0, 23, 24], 3: [0, 4, 23, 24], 4: [0, 1, 11, 12, 24]}[world]
MINE = slice(CUTS[rank], CUTS[rank + 1])


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    return layers.double()


def loss_of(z: Tensor, labels: Tensor) -> Tensor:
    """Every row with every other: no mean over rows splits into the ranks' means."""
    similar = z @ z.T - 1e3 * torch.eye(len(z), dtype=z.dtype)
    same = (labels[:, None] == labels[None, :]).double()
    return similar.logsumexp(1).sum() - (similar.sigmoid() * same).mean() + z.pow(3).mean()


draw = torch.Generator().manual_seed(1)
x = torch.randn(24, 6, dtype=torch.float64, generator=draw)
labels = torch.randint(0, 3, (24,), generator=draw)

whole = network()
expected = loss_of(whole(x), labels)
expected.backward()
slopes = {name: p.grad for name, p in whole.named_parameters()}


def agrees(model: torch.nn.Module, what: str, factor: float = 1.0) -> None:
    for name, p in model.named_parameters():
        grad = p.grad
        assert grad is not None
        full = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
        want = slopes[name.removeprefix("module.")]
        assert want is not None
        assert torch.allclose(factor * full, want, rtol=1e-9, atol=1e-12), (what, name)


everyones = gather(labels[MINE])
assert torch.equal(everyones, labels)

# "mean": what DDP and FSDP average
models: dict[str, torch.nn.Module] = {"ddp": torch.nn.parallel.DistributedDataParallel(network())}
if world > 1:
    sharded = network()
    mesh = dist.device_mesh.init_device_mesh("cpu", (world,))
    for layer in sharded:
        if isinstance(layer, torch.nn.Linear):
            fully_shard(layer, mesh=mesh)
    models["fsdp2"] = fully_shard(sharded, mesh=mesh)
for what, model in models.items():
    loss = loss_of(gather(model(x[MINE])), gather(labels[MINE]))
    assert abs(float(loss.detach() - expected.detach())) < 1e-10
    loss.backward()
    agrees(model, what)

# "sum": what a caller adds up
summed = network()
loss_of(gather(summed(x[MINE]), gradients="sum"), labels).backward()
for p in summed.parameters():
    dist.all_reduce(p.grad)
agrees(summed, "sum")

with torch.no_grad():
    assert not gather(whole(x[MINE])).requires_grad

with pytest.raises(assay.UsageError, match=r"gradients: .*'none'"):
    gather(x[MINE], gradients="none")  # type: ignore[arg-type]

if world > 1:
    wrong = {
        "widths": x[MINE][:, : 6 - rank],
        "types": x[MINE] if rank else x[MINE].float(),
        "a rank without rows": x[MINE][: (0 if rank == 1 else None)],
        "a number": x[0, 0] if rank else x[MINE],
    }
    for value in wrong.values():
        with pytest.raises(assay.UsageError, match=r"rank 0: .*rank 1: "):
            gather(value)
    with pytest.raises(assay.UsageError, match="expected a tensor"):
        gather(x[MINE] if rank else x[MINE].tolist())
    # the others' share of a second derivative is on their processes
    leaf = x[MINE].clone().requires_grad_()
    (first,) = torch.autograd.grad(loss_of(gather(leaf), labels), leaf, create_graph=True)
    with pytest.raises(assay.UsageError, match="no second derivative"):
        first.square().sum().backward()
    pair = dist.new_group([0, 1])
    if rank < 2:
        assert len(gather(x[MINE], group=pair)) == CUTS[2]
dist.barrier()
dist.destroy_process_group()
