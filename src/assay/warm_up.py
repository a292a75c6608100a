"""A population filled, and its values looked at, on all processes together: what one meets, all raise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from math import ceil
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .checks import as_samples, finite, sane
from .errors import DataError, UsageError
from .population import Fading, Queue
from .scale.agreement import told_by_all
from .scale.gather import gather, several_processes
from .scale.processes import all_reduce
from .scale.progress import tick

QUIET_FOR = 2.0  # seconds that need no word
BETWEEN_LINES = 10.0


def warm_up(
    population: Queue | Fading,
    batches: Iterable[Any],
    features: Callable[[Any], Tensor] | None,
    *,
    width: int | None,
    domain: str,
    group: Any,
    quiet: bool,
) -> int:
    """See `Objective.warm_up`; `group` is a process group, None for all processes, False for this one alone."""
    processes = dist.get_world_size(group) if shared(group) else 1
    share = ceil(population.size / processes)
    parts: list[Tensor] = []
    kept: Any = None
    told, error, seen = _Told(population.size, processes, quiet), None, 0
    try:
        for item in batches:
            with torch.no_grad():
                samples = as_samples(item if features is None else features(item), "batches").detach()
            sane(samples, "batches", domain)
            if width not in (None, samples.shape[1]):
                raise UsageError(f"batches: {samples.shape[1]} features, expected {width} as before")
            width = samples.shape[1]
            samples = samples[: share - seen]
            seen += len(samples)
            if isinstance(population, Queue):
                parts.append(samples)
            else:
                one = population.statistic.of(samples)
                kept = one if kept is None else kept.merge(one)
            told.at(seen * processes)
            if seen >= share:
                break
        if seen == 0:
            raise DataError("batches: no samples to warm up with")
    except Exception as caught:
        error = caught
    agree(error, width, group)
    if isinstance(population, Queue):
        mine = torch.cat(parts)
        return fill(population, gather(mine, group=group) if shared(group) else mine)
    return _fill_with(population, all_reduce(kept, group) if shared(group) else kept)


def fill(population: Queue | Fading, samples: Tensor) -> int:
    """Make a population remember these samples and nothing else; how many they are to it."""
    if isinstance(population, Queue):
        population.fill(samples)
        return population.filled
    return _fill_with(population, population.statistic.of(samples[-population.size :]))


def _fill_with(population: Fading, statistic: Any) -> int:
    weight = float(statistic.weight)
    surplus = population.size / weight  # below 1 where the processes' shares were rounded up
    population.fill(statistic.scaled(surplus) if surplus < 1 else statistic, min(weight, population.size))
    return round(population.weight)


def check_population(
    population: Queue | Fading | None, batch: Tensor | None, *, width: int | None, domain: str, group: Any
) -> None:
    """See `Objective.check`."""
    error: Exception | None = None
    try:
        if batch is not None:
            samples = as_samples(batch, "batch").detach()
            sane(samples, "batch", domain)
            if width not in (None, samples.shape[1]):
                raise UsageError(f"batch: {samples.shape[1]} features, expected {width}")
            width = samples.shape[1]
        if isinstance(population, Queue) and population.filled:
            finite(population.samples(), "population")
        elif isinstance(population, Fading) and population.width is not None:
            for name, tensor in population.kept().tensors().items():
                if not bool(torch.isfinite(tensor).all()):
                    raise DataError(
                        f"population: its {name} holds NaN or infinity, which stays there; warm it up again"
                    )
        if population is not None and population.width is not None:
            width = population.width
    except Exception as caught:
        error = caught
    agree(error, width, group)


def shared(group: Any) -> bool:
    """Whether other processes take part; `group` False means that they do not."""
    return group is not False and several_processes(group)


def agree(error: Exception | None, width: int | None, group: Any) -> None:
    """All processes come here; where one brings an error, or the widths differ, all raise."""
    if not shared(group):
        if error is not None:
            raise error
        return
    widths = told_by_all(error, width, group)
    if len({seen for seen in widths if seen is not None}) > 1:
        shown = ", ".join(f"rank {rank} has {seen}" for rank, seen in enumerate(widths))
        raise UsageError(f"the processes' features differ in width: {shown}; use one extractor on all")


class _Told:
    """Lines on stderr, from the first process: none in the first two seconds, then one every ten."""

    def __init__(self, total: int, processes: int, quiet: bool) -> None:
        self.total = total
        first = processes == 1 or dist.get_rank() == 0
        self._next = time.monotonic() + QUIET_FOR if first and not quiet else float("inf")

    def at(self, done: int) -> None:
        done = min(done, self.total)
        tick("population", done, self.total)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + BETWEEN_LINES
            print(f"population: {done:,} of {self.total:,} samples", file=sys.stderr, flush=True)
