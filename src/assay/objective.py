"""A measure as something to minimise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .arguments import reference_of
from .checks import as_samples
from .errors import UsageError
from .population import Memory, population_of
from .scale.gather import gather
from .scale.precision import full_precision
from .warm_up import check_population, warm_up

if TYPE_CHECKING:
    from .set_measure import Measure

Gradients = Literal["mean", "sum", "none"]


class Objective(torch.nn.Module):
    """The value of a batch against a fixed reference, to be minimised; minus the value where the best is the maximum.

    The fixed sides' tensors are buffers: they move with `.to(device)` and live in the state dict. What can be computed
    of the reference alone is computed once. Only shapes are checked, so that a step compiles and never waits for a
    GPU's values; `check` looks at the values on request.

    With a population, the statistic covers earlier batches too. It advances in training mode only (`train()`, which is
    where a module starts): a call in `eval()` mode gives the value with that batch and forgets it, and every call in
    training mode remembers its batch, with or without gradient. Call it once a batch, outside activation
    checkpointing, which would call it again.
    """

    def __init__(
        self,
        measure: Measure,
        reference: Any = None,
        held_out: Any = None,
        *,
        population: int | None = None,
        memory: Memory = "queue",
        gradients: Gradients = "mean",
        group: Any = None,
    ) -> None:
        super().__init__()
        self.measure = measure
        count = len(measure.sides)
        if count > 1 and reference is None:
            raise UsageError(
                f"{measure.name}.objective: needs reference= (the real side), as features or a statistic"
            )
        if count == 1 and reference is not None:
            raise UsageError(f"{measure.name}.objective: takes no reference; it is a measure of one set")
        if (count > 2) != (held_out is not None):
            raise UsageError(
                f"{measure.name}.objective: needs held_out= (the third side), as features or a statistic"
                if count > 2
                else f"{measure.name}.objective: takes no held_out set; its sides are {', '.join(measure.sides)}"
            )
        if gradients not in ("mean", "sum", "none"):
            raise UsageError(
                'gradients: expected "mean" (DDP, FSDP), "sum" or "none" (this process alone), '
                f"got {gradients!r}"
            )
        self.gradients: Gradients = gradients
        self.group = group
        self._names: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, Any] = {}
        for side, value in (("reference", reference), ("held_out", held_out)):
            if value is not None:
                tensors = reference_of(measure, value, side).tensors()
                self._names[side] = tuple(tensors)
                for name, tensor in tensors.items():
                    self.register_buffer(f"{side}_{name}", tensor.detach().clone())
        self._refresh()
        self.population = (
            None if population is None else population_of(measure.statistic, population, memory, measure.name)
        )

    def _buffers_of(self, side: str) -> dict[str, Tensor]:
        return {name: getattr(self, f"{side}_{name}") for name in self._names[side]}

    def _refresh(self) -> None:
        for side in self._names:
            kept: Any = self.measure.statistic.from_tensors(self._buffers_of(side))  # type: ignore[attr-defined]
            prepare = getattr(kept, "prepare", None)
            self._kept[side] = kept if prepare is None else prepare()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Moved: what is derived of the reference is derived again. Cast: the reference keeps its precision."""
        exact = {f"{s}_{name}": t for s in self._names for name, t in self._buffers_of(s).items()}
        out: Any = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in exact.items():
            after = getattr(self, name)
            if after.dtype != before.dtype:
                setattr(self, name, before.to(after.device))
        self._refresh()
        return out

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._refresh()

    def forward(self, batch: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss, a scalar of the batch's precision; with several processes the same on every one.

        Args:
            batch: (n, d) features of the generated side, with gradient; this process's share of the batch.
            weights: (n,) counts; not with a population, which counts every sample once.
        """
        if self.gradients != "none":
            batch = gather(batch, gradients=self.gradients, group=self.group)
            if weights is not None:
                weights = gather(weights, gradients=self.gradients, group=self.group)
        sides = self.measure.sides
        sets: list[Any] = list(self._kept.values())
        if self.population is None:
            keywords = {} if weights is None else {f"weights_{sides[:2][-1]}": weights}
            sets.insert(1, batch)  # after the real side, where there is one
            value = self.measure(*sets, **keywords)
        else:
            if weights is not None:
                raise UsageError("weights: a population counts every sample once; leave them out")
            samples = as_samples(batch, sides[:2][-1])
            with full_precision(samples.device):
                joined = self.population.joined_by(samples)
            sets.insert(1, joined)
            value = self.measure(*sets)
            value = value.to(torch.float64 if samples.dtype == torch.float64 else torch.float32)
            if self.training:
                self.population.keep(samples, joined)
        return value if self.measure.best == "min" else -value

    def warm_up(
        self, batches: Iterable[Any], features: Callable[[Any], Tensor] | None = None, *, quiet: bool = False
    ) -> int:
        """Fill the population, so that the first step already measures all of it; what was remembered is replaced.

        Every process reads its own batches until its share of the population is reached, or they end; all processes
        call it.

        Args:
            batches: feature batches (n, d), or whatever `features` makes such of. An endless iterable will do.
            features: from one item to (n, d) features, called without gradient; ``lambda z: network(generator(z))``.
            quiet: no lines about its progress on stderr, which come after two seconds.

        Returns:
            How many samples the population now holds, over all processes.

        Raises:
            UsageError: without a population, a wrong shape, widths that differ between batches or processes.
            DataError: NaN or infinity, with the rows; no samples at all. On every process, whichever met it.
        """
        if self.population is None:
            raise UsageError("warm_up: this objective has no population; make it with population=")
        group = self.group if self.gradients != "none" else False
        return warm_up(
            self.population,
            batches,
            features,
            width=self._width(),
            domain=self.measure.domain,
            group=group,
            quiet=quiet,
        )

    def check(self, batch: Tensor | None = None) -> None:
        """Look at the values, which a step does not: of the population, and of this process's batch where one is given.

        All processes call it.

        Raises:
            DataError: NaN or infinity on any process, with the rows, on every process.
            UsageError: processes whose batches or populations differ in width.
        """
        group = self.group if self.gradients != "none" else False
        check_population(self.population, batch, width=self._width(), domain=self.measure.domain, group=group)

    def _width(self) -> int | None:
        return next((kept.width for kept in self._kept.values()), None)

    def extra_repr(self) -> str:
        return self.measure.name
