"""Which samples, beside the current batch, an objective's statistic covers: the last N, or all with fading counts.

Both memories answer three questions: the statistic of what is remembered together with a batch (`joined_by`), what is
remembered once that batch belongs to it (`keep`), and how much that weighs (`weight`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import UsageError
from .scale.scaled_gradient import scaled_gradient
from .statistics import Moments
from .statistics.moving_moments import moved

Memory = Literal["queue", "ema"]


def population_of(statistic: type, size: int, memory: str, name: str) -> Queue | Fading:
    """The memory that an objective asks for.

    Raises:
        UsageError: a size that is no whole number of at least 1, an unknown memory, or one the statistic cannot have.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"population: expected a whole number of samples of at least 1, got {size!r}")
    if memory == "queue":
        return Queue(statistic, size)
    if memory != "ema":
        raise UsageError(
            f'memory: expected "queue" (the last samples) or "ema" (fading counts), got {memory!r}'
        )
    if not hasattr(statistic, "scaled"):
        raise UsageError(
            f'memory="ema": {name} needs {statistic.__name__}, which has no summary of bounded size whose counts could '
            'fade; use memory="queue"'
        )
    return Fading(statistic, size)


class Queue(torch.nn.Module):
    """The last `size` samples, each counted once.

    Moments of more samples than features are kept beside the samples and changed by what comes and what goes, in
    O(B d^2) a step. What goes is subtracted, so that rounding would add up for ever, and what is not a number would
    stay for ever: a second sum therefore starts anew at every turn of the queue, only adds, and replaces the first one
    when the turn is complete. Any other statistic is made of all samples at every step.
    """

    rows: Tensor

    def __init__(self, statistic: type, size: int) -> None:
        super().__init__()
        self.statistic: Any = statistic
        self.size = size
        self.register_buffer("rows", torch.zeros(0, 0), persistent=False)  # a ring once it is full
        self.filled = 0
        self._next = 0  # where the next sample goes
        self._sums: Moments | None = None  # of all rows
        self._turn: Moments | None = None  # of those that came since the turn began
        self._turned = 0  # how many these are

    @property
    def weight(self) -> float:
        return float(self.filled)

    @property
    def width(self) -> int | None:
        """The number of features, None before the first sample."""
        return self.rows.shape[1] if self.filled else None

    def samples(self) -> Tensor:
        """(filled, d), the oldest first."""
        rows = self.rows[: self.filled]
        return torch.cat([rows[self._next :], rows[: self._next]]) if self.filled == self.size else rows

    def joined_by(self, batch: Tensor) -> Any:
        """The statistic of the last `size` samples, the batch the newest; its gradient scaled by their number a row."""
        _fits(self, batch)
        n = len(batch)
        out = max(0, self.filled + n - self.size)
        total = self.filled + n - out
        batch = scaled_gradient(batch, total / n)
        if out == self.filled:  # nobody older stays
            return self.statistic.of(batch)
        if self.statistic is not Moments or total < batch.shape[1]:
            dtype = torch.promote_types(self.rows.dtype, batch.dtype)
            return self.statistic.of(torch.cat([self.samples()[out:].to(dtype), batch.to(dtype)]))
        if self._sums is None:
            self._sums = _dense(Moments.of(self.rows[: self.filled]))
        return moved(self._sums, batch, self._oldest(out))

    def keep(self, batch: Tensor, joined: Any) -> None:
        """Remember a batch, given what `joined_by` made of it."""
        batch = batch.detach()
        n, d = batch.shape
        dtype = torch.promote_types(self.rows.dtype, batch.dtype) if self.filled else batch.dtype
        if self.rows.shape != (self.size, d) or self.rows.dtype != dtype:
            rows = _zeros(batch, (self.size, d), dtype)
            if self.filled:
                rows[: self.filled] = self.rows[: self.filled]
            self.rows = rows
        out = max(0, self.filled + n - self.size)
        if self._sums is not None:
            self._follow(batch, out, joined)
        end = self._next + n
        first = min(end, self.size) - self._next
        self.rows[self._next : self._next + first] = batch[:first].to(dtype)
        self.rows[: n - first] = batch[first:].to(dtype)
        self._next = end % self.size
        self.filled = min(self.size, self.filled + n)

    def fill(self, samples: Tensor) -> None:
        """Remember these samples and nothing else, the newest last."""
        samples = samples.detach()[-self.size :]
        self.rows = _zeros(samples, (self.size, samples.shape[1]) if len(samples) else (0, 0), samples.dtype)
        self.rows[: len(samples)] = samples
        self.filled, self._next = len(samples), len(samples) % self.size
        self._forget_sums()

    def _oldest(self, count: int) -> Tensor:
        start = self._next if self.filled == self.size else 0
        index = torch.arange(start, start + count, device=self.rows.device) % self.size
        return self.rows[index]

    def _follow(self, batch: Tensor, out: int, joined: Moments) -> None:
        """The sums with the batch and without the oldest `out`; replaced by the turn's own when that is complete."""
        gone = self._oldest(out)
        self._sums = _dense(joined) if out < self.filled else None
        if self.filled < self.size or self._sums is None:  # nothing was taken out yet, or all is new
            self._turn, self._turned = None, 0
            return
        over = max(0, self._turned + len(batch) - self.size)
        oldest_of_turn = gone[len(gone) - over :]
        if self._turn is None:
            self._turn = _dense(Moments.of(batch))
        else:
            self._turn = _dense(moved(self._turn, batch, oldest_of_turn))
        self._turned += len(batch)
        if self._turned >= self.size:
            self._sums, self._turn, self._turned = self._turn, None, 0

    def _forget_sums(self) -> None:
        self._sums, self._turn, self._turned = None, None, 0

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.rows = _moved_only(fn, self.rows)
        self._forget_sums()
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "samples"] = self.samples().clone()

    def _load_from_state_dict(
        self, state: Any, prefix: str, _meta: Any, strict: bool, missing: Any, *_: Any
    ) -> None:
        samples = state.get(prefix + "samples")
        if samples is not None:
            self.fill(samples.to(self.rows.device))
        elif strict:
            missing.append(prefix + "samples")

    def extra_repr(self) -> str:
        return f"the last {self.size:,} samples, {self.filled:,} seen"


class Fading(torch.nn.Module):
    """All samples so far, their counts multiplied by  1 - B / size  at every batch of B: the weight grows to `size`.

    What is kept is one statistic; its size does not depend on `size`.
    """

    def __init__(self, statistic: type, size: int) -> None:
        super().__init__()
        self.statistic: Any = statistic
        self.size = size
        self._kept: Any = None
        self.weight = 0.0

    @property
    def width(self) -> int | None:
        """The number of features, None before the first sample."""
        return None if self._kept is None else self._kept.width

    def kept(self) -> Any:
        """The statistic of everything so far, None before the first sample."""
        return self._kept

    def joined_by(self, batch: Tensor) -> Any:
        """The faded statistic with the batch added; its gradient scaled by the whole weight a row."""
        _fits(self, batch)
        n = len(batch)
        faded = 1 - n / self.size
        total = self.weight * faded + n
        batch = scaled_gradient(batch, total / n)
        if self._kept is None or faded == 0:
            return self.statistic.of(batch)
        kept = self._kept.scaled(faded)
        if isinstance(kept, Moments) and kept.scatter is not None:
            return moved(kept, batch)
        return kept.merge(self.statistic.of(batch))

    def keep(self, batch: Tensor, joined: Any) -> None:
        """Remember a batch, given what `joined_by` made of it."""
        self.weight = self.weight * (1 - len(batch) / self.size) + len(batch)
        self.fill(joined, self.weight)

    def fill(self, statistic: Any, weight: float) -> None:
        """Remember what this statistic is of and nothing else."""
        tensors = {name: lasting(tensor) for name, tensor in statistic.tensors().items()}
        self._kept, self.weight = self.statistic.from_tensors(tensors), weight

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        if self._kept is not None:
            tensors = {name: _moved_only(fn, tensor) for name, tensor in self._kept.tensors().items()}
            self._kept = self.statistic.from_tensors(tensors)
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._kept is not None:
            destination.update({f"{prefix}{name}": t.clone() for name, t in self._kept.tensors().items()})
        destination[prefix + "kept_weight"] = torch.tensor(self.weight, dtype=torch.float64)

    def _load_from_state_dict(
        self, state: Any, prefix: str, _meta: Any, strict: bool, missing: Any, *_: Any
    ) -> None:
        own = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
        weight = own.pop("kept_weight", None)
        if weight is None:
            if strict:
                missing.append(prefix + "kept_weight")
            return
        self._kept, self.weight = None, 0.0
        if own:
            self.fill(
                self.statistic.from_tensors({name: t.clone() for name, t in own.items()}), float(weight)
            )

    def extra_repr(self) -> str:
        return f"fading to the weight of {self.size:,} samples, {self.weight:,.0f} so far"


def _fits(population: Queue | Fading, batch: Tensor) -> None:
    if len(batch) > population.size:
        raise UsageError(
            f"population: {population.size:,} samples are fewer than the batch's {len(batch):,} (over all processes); "
            "take a population of at least the batch"
        )
    if population.width not in (None, batch.shape[1]):
        raise UsageError(
            f"batch: has {batch.shape[1]} features, the population's samples have {population.width}; use one extractor"
        )


def _dense(moments: Moments) -> Moments:
    """Without gradient, and with a scatter."""
    scatter = moments.scatter if moments.scatter is not None else moments.dense_scatter()
    return Moments(lasting(moments.weight), lasting(moments.mean), scatter=lasting(scatter))


def lasting(tensor: Tensor) -> Tensor:
    """Without gradient, and fit for training also where it was made in inference mode."""
    if not tensor.is_inference():
        return tensor.detach()
    with torch.inference_mode(False):
        return tensor.clone()


def _zeros(like: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    if not torch.is_inference_mode_enabled():
        return like.new_zeros(shape, dtype=dtype)
    with torch.inference_mode(False):  # training writes to it
        return like.new_zeros(shape, dtype=dtype)


def _moved_only(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    """Taken to where fn takes it, its precision kept: a model that is cast leaves its population exact."""
    after = fn(tensor)
    return after if after.dtype == tensor.dtype else tensor.to(after.device)
