"""One rank of a torchmetrics synchronisation: uneven batches, values written by rank 0."""

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
    x, y = torch.load(sets, weights_only=True).values()
    values = {}
    for measure in (assay.frechet_distance, assay.kernel_distance):
        metric = adapt(measure)
        metric.update(x[rank * 25 : rank * 25 + 25 if rank + 1 < world else None], real=True)
        for batch in y[rank::world].split(11 + 5 * rank):
            metric.update(batch)
        values[measure.name] = float(metric.compute())
    if rank == 0:
        Path(out).write_text(json.dumps(values))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
