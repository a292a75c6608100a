"""A contrastive encoder on batches that do not fit in memory, on any number of processes.

    python examples/contrastive_torchrun.py
    torchrun --nproc_per_node 2 examples/contrastive_torchrun.py

Both print the same losses: the loss is of the whole batch, whoever holds its images, and so is the gradient. A batch
goes through the encoder 32 images at a time; the memory of its activations is that of 32.
"""

from __future__ import annotations

import argparse
import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from assay.embeddings import info_nce
from assay.scale import CachedObjective
from small_generator import real_images


class Encoder(nn.Module):
    """(k, 1, 28, 28) images -> (k, 32) embeddings. Group norm: batch norm would make a chunk another batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.GroupNorm(4, 16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 32),
        )

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.layers(images)
        return embeddings


def two_views(images: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image shifted by up to three pixels, twice, and noise."""

    def view() -> Tensor:
        down, right = torch.randint(-3, 4, (2, len(images)), generator=draw)
        moved = [torch.roll(i, (int(d), int(r)), (1, 2)) for i, d, r in zip(images, down, right, strict=True)]
        return torch.stack(moved) + 0.1 * torch.randn(images.shape, generator=draw)

    return view(), view()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a contrastive encoder, by torchrun or alone.")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=256, help="images a step, over all processes")
    args = parser.parse_args()
    torch.manual_seed(0)
    model: nn.Module = Encoder()
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        dist.init_process_group("gloo")
        model = DistributedDataParallel(model)
    objective = CachedObjective(info_nce.objective(temperature=0.2, negatives="both"), chunk_size=32)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images, draw = real_images(512), torch.Generator().manual_seed(1)
    for step in range(args.steps):
        # every process draws the whole batch and keeps its share; with a DataLoader, a DistributedSampler deals
        batch = images[torch.randperm(len(images), generator=draw)[: args.batch]]
        mine = [view[rank::world] for view in two_views(batch, draw)]
        optimizer.zero_grad()
        loss = objective([model, model], mine)  # the same module twice: two views through one encoder
        loss.backward()
        optimizer.step()
        if rank == 0:
            print(f"step {step}: {loss.item():.4f}", flush=True)
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
