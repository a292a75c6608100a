"""One rank of a torchmetrics synchronisation of a pair measure: shares of 5 and 2, what both found by rank 0."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

import assay
from assay.adapters import torchmetrics as adapt


def main(rank: int, world: int, store: str, sets: str, out: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    x, y = (z[:5] if rank == 0 else z[5:] for z in torch.load(sets, weights_only=True).values())
    metric = adapt(assay.ssim)
    metric.update(x, y)
    found: list[float | None] = [None] * world
    torch.distributed.all_gather_object(found, float(metric.compute()))
    if rank == 0:
        Path(out).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
