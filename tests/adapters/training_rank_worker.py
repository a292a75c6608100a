"""One rank of a training: a model in DDP compared, then one that diverged; what each rank came to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from assay.adapters.during_training import ModelComparison
from assay.errors import DataError

HOW = {"n": 600, "value_range": (-1, 1), "features": "pixels:4", "measures": ["fd", "kd"], "workers": 1}


class Noted(nn.Linear):
    """A buffer, which DDP sends to all ranks at each forward pass, so that uneven shares of them would wait."""

    def __init__(self) -> None:
        super().__init__(4, 3 * 36)
        self.register_buffer("seen", torch.zeros(1))


def sample(model: nn.Module, k: int) -> Tensor:
    return torch.tanh(model(torch.randn(k, 4))).view(k, 3, 6, 6)


def main(rank: int, world: int, store: str, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(Noted())
    images = torch.randint(
        0, 256, (50, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    comparing = ModelComparison(sample, images, **HOW)
    comparing.prepare(model)
    said = [f"{comparing(model)['model', 'fd'].value!r}"]
    groups = len(dist.distributed_c10d._world.pg_map)
    with torch.no_grad():
        model.module.bias.fill_(torch.nan)
    try:
        comparing(model)
    except DataError as error:
        said.append(str(error).replace("rank 0: ", "").replace("rank 1: ", ""))
    said.append(str(len(dist.distributed_c10d._world.pg_map) - groups))
    dist.barrier()
    (folder / f"{rank}.txt").write_text("\n".join(said))
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
