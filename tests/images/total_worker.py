"""One rank of `test_total_processes`: weights learned and balanced by several processes are those of one."""

from __future__ import annotations

import sys
import warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from assay.total import Total, total

torch.set_num_threads(1)
warnings.filterwarnings("error")
rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=world)

generator = torch.Generator().manual_seed(0)
x, y = torch.rand(2, 4, 3, 16, 16, generator=generator)
share = len(x) // world
mine = slice(rank * share, (rank + 1) * share)


def learned(parts: tuple[str, ...] = ("l2", "l1")) -> Total:
    return total(dict.fromkeys(parts, 1.0), weighting="uncertainty")


def losses(images: Tensor, targets: Tensor) -> dict[str, Tensor]:
    return {"l1": (images - targets).abs().mean(), "l2": (images - targets).square().mean()}


def trained(module: nn.Module, rows: slice, elsewhere: bool) -> list[Tensor]:
    """The noise levels after some steps."""
    optimiser = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(4):
        optimiser.zero_grad()
        (module(losses(x[rows], y[rows])) if elsewhere else module(x[rows], y[rows])).backward()
        optimiser.step()
    return [each.detach() for each in module.parameters()]


for elsewhere in (False, True):
    expected = trained(learned(), slice(None), elsewhere)
    found = trained(DistributedDataParallel(learned()), mine, elsewhere)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)

mesh = dist.device_mesh.init_device_mesh("cpu", (world,))
sharded = trained(fully_shard(learned(), mesh=mesh), mine, True)
whole = [each.full_tensor() for each in sharded]  # type: ignore[attr-defined]
torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-6)

# every process has the same weights, of the mean of all processes' squared norms
balanced = total({"l2": 1.0, "ssim": 0.5}, weighting="gradients")
images = x[mine].clone().requires_grad_()
balanced(images, y[mine]).backward()
squares = []
for rows in (slice(r * share, (r + 1) * share) for r in range(world)):
    alone = x[rows].clone().requires_grad_()
    parts = losses(alone, y[rows])["l2"], total({"ssim": 1.0})(alone, y[rows])
    squares.append([torch.autograd.grad(part, alone)[0].square().sum().item() for part in parts])
l2, ssim = torch.tensor(squares).mean(0).sqrt().tolist()
torch.testing.assert_close(balanced.weighting.weights(), torch.tensor([1.0, 0.5 * l2 / ssim]))  # type: ignore[operator]
# and the same averages, which another number of processes may go on with
torch.testing.assert_close(balanced.weighting.kept("square_"), torch.tensor(squares).mean(0))  # type: ignore[operator]
dist.destroy_process_group()
