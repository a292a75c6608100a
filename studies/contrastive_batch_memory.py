"""What does one step take? Its memory and its time, each way in a process of its own.

    python studies/contrastive_batch_memory.py cached tiled 4096 64

prints JSON. Memory is the largest of the resident set (on a GPU: of what is allocated) during a whole step, the views
of the batch included, above what the process holds before: the images, the encoder and the optimizer's state. Linux.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from contrastive_batch_training import Encoder, Way, add_gradient, two_views

WARM = 32
IMAGES = 2048  # drawn from again and again: what they show is the same to memory and time
PROCESSES, TIMED = 2, 1


def resident(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM the largest since it was reset."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) * 1024


def peak_of(step: Callable[[], Any], device: torch.device) -> int:
    """Bytes that a step takes at most, above what is held before it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL("libc.so.6").malloc_trim(
        0
    )  # what was freed before is given back, and counted when it is used again
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def seconds_of(step: Callable[[], Any], device: torch.device) -> float:
    """Of the processor that this process had; of the clock on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    step()
    return time.process_time() - start


def measured(way: Way, device: torch.device) -> dict[str, float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 28, 28), dtype=torch.uint8).to(device)
    encoder = Encoder().to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-3)

    def step(way: Way = way) -> None:
        rows = torch.arange(way.batch, device=device) % IMAGES
        optimizer.zero_grad(set_to_none=False)
        add_gradient(way, encoder, two_views(images[rows], generator))
        optimizer.step()

    small = Way(way.backward, way.loss, WARM, WARM // 2 if way.chunk else 0)
    for _ in range(2):
        step(small)
    peak = peak_of(step, device)
    if device.type == "cuda":
        step()
    seconds = min(seconds_of(step, device) for _ in range(TIMED))
    return {"bytes": peak, "seconds": seconds}


def in_processes(way: Way, device: str) -> dict[str, Any]:
    """Medians over several fresh processes of one thread, one after another."""
    command = [sys.executable, __file__, way.backward, way.loss, str(way.batch), str(way.chunk), device]
    found = []
    for _ in range(PROCESSES):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        if done.returncode:
            raise SystemExit(f"a step of {way} did not end well:\n{done.stderr}")
        found.append(json.loads(done.stdout))
    peaks = sorted(one["bytes"] for one in found)
    return {
        "bytes": statistics.median(peaks), "smallest": peaks[0], "largest": peaks[-1],
        "seconds": min(one["seconds"] for one in found),
    }  # fmt: skip


def main() -> None:
    backward, loss, batch, chunk, *device = sys.argv[1:]
    torch.set_num_threads(1)
    way = Way(backward, loss, int(batch), int(chunk))  # type: ignore[arg-type]
    print(json.dumps(measured(way, torch.device(device[0] if device else "cpu"))))


if __name__ == "__main__":
    main()
