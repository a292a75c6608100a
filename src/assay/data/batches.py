"""How does a set of images pass by, in order and in constant memory?"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.data.decode import UnreadableImage
from assay.data.names import shown
from assay.data.source import ImageSource, Unreadable, UnreadableImages
from assay.errors import DataError, UsageError

Transform = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Batch:
    """indices: (B,) int64, which images of the source these are, ascending; images: (B, C, H, W) float32."""

    indices: Tensor
    images: Tensor


def batches(
    source: ImageSource,
    *,
    transform: Transform,
    batch_size: int = 64,
    workers: int | None = None,
    prefetch: int | None = None,
    skip: Callable[[Unreadable], None] | None = None,
    progress: Progress | None = None,
) -> Generator[Batch, None, None]:
    """Every image once, in the order of `source.names`, decoded and transformed ahead by threads.

    transform: uint8 (H, W, 3) -> float32 (C, H', W'), called in the threads; one size for all of the pass.
    batch_size: images a batch; only the last batch is smaller.
    workers: threads (decoding and resizing leave Python's lock); by default one a core, at most 8.
    prefetch: images decoded ahead at most, by default two batches: this bounds the memory.
    skip: called with each image that cannot be read, in order. Without it such an image makes the pass fail:
        no further batch comes, the rest is only decoded, and then one `UnreadableImages` names them all.
    progress: called as progress(done, total) in images, after the batch was used.

    Closing the generator, or an exception where it is used, ends the threads before it returns.
    Raises `DataError` where images come to different sizes; `UsageError` for a batch_size, workers or
    prefetch below 1. Errors of `transform` itself pass through.
    """
    workers = threads_for_decoding() if workers is None else workers
    prefetch = 2 * batch_size if prefetch is None else prefetch
    for argument, value in {"batch_size": batch_size, "workers": workers, "prefetch": prefetch}.items():
        if value < 1:
            raise UsageError(f"{argument} must be at least 1, not {value}")
    return _batches(source, transform, batch_size, workers, prefetch, skip, progress or _no_progress)


def _batches(
    source: ImageSource,
    transform: Transform,
    batch_size: int,
    workers: int,
    prefetch: int,
    skip: Callable[[Unreadable], None] | None,
    progress: Progress,
) -> Generator[Batch, None, None]:
    bad: list[Unreadable] = []
    indices: list[int] = []
    images: list[NDArray[np.float32]] = []
    first: tuple[str, tuple[int, ...]] | None = None
    done = told = 0
    with closing(_in_order(source, transform, workers, prefetch)) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            if isinstance(outcome, Unreadable):
                if skip is not None:
                    skip(outcome)
                else:
                    bad.append(outcome)
                    indices, images = [], []
            elif not bad:
                name = source.names[done - 1]
                first = (name, outcome.shape) if first is None else first
                if outcome.shape != first[1]:
                    raise different_sizes(*first, name, outcome.shape)
                indices.append(done - 1)
                images.append(outcome)
            if len(images) == batch_size:
                yield Batch(torch.tensor(indices), torch.from_numpy(np.stack(images)))
                indices, images = [], []
            if not images and done - told >= batch_size:
                progress(done, len(source))
                told = done
    if bad:
        raise UnreadableImages(source, bad)
    if images:
        yield Batch(torch.tensor(indices), torch.from_numpy(np.stack(images)))
    if told < done:
        progress(done, len(source))


def _in_order(
    source: ImageSource, transform: Transform, workers: int, prefetch: int
) -> Generator[NDArray[np.float32] | Unreadable, None, None]:
    def read(index: int) -> NDArray[np.float32] | Unreadable:
        try:
            image = source.decode(index)
        except UnreadableImage as error:
            # Not the exception itself: its traceback would keep the frames, and their pixels, alive.
            return Unreadable(error.name, error.reason)
        return transform(image)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="assay-decode")
    waiting: deque[Future[NDArray[np.float32] | Unreadable]] = deque()
    try:
        for index in range(len(source)):
            waiting.append(pool.submit(read, index))
            if len(waiting) >= prefetch:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def different_sizes(name: str, shape: tuple[int, ...], other: str, other_shape: tuple[int, ...]) -> DataError:
    """The error for two images whose shapes (C, H, W) are not one."""
    size, other_size = (" x ".join(str(side) for side in each[-2:]) for each in (shape, other_shape))
    return DataError(
        f"images of different sizes cannot be compared as they are: {shown(name)} is {size}, "
        f"{shown(other)} is {other_size} (height x width); "
        "resize them, or use features that do, such as pixels:32"
    )


def _no_progress(done: int, total: int) -> None:
    pass


def threads_for_decoding() -> int:
    """One a core, at most 8; the processes that share a machine under torchrun share its cores."""
    affinity = getattr(os, "sched_getaffinity", None)  # a container's share, where the system tells
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    beside = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, min(8, cores // max(1, int(beside) if beside.isdecimal() else 1)))
