"""A measure as something to minimise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .arguments import reference_of
from .errors import UsageError

if TYPE_CHECKING:
    from .measure import Measure


class Objective(torch.nn.Module):
    """The value of a batch against a fixed reference, to be minimised; minus the value where the best is the maximum.

    The fixed sides' tensors are buffers: they move with `.to(device)` and live in the state dict. What can be computed
    of the reference alone is computed once. Only shapes are checked, so that a step compiles and never waits for a
    GPU's values.
    """

    def __init__(self, measure: Measure, reference: Any = None, held_out: Any = None) -> None:
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
        self._names: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, Any] = {}
        for side, value in (("reference", reference), ("held_out", held_out)):
            if value is not None:
                tensors = reference_of(measure, value, side).tensors()
                self._names[side] = tuple(tensors)
                for name, tensor in tensors.items():
                    self.register_buffer(f"{side}_{name}", tensor.detach().clone())
        self._refresh()

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
        """The loss, a scalar of the batch's precision.

        Args:
            batch: (n, d) features of the generated side, with gradient.
            weights: (n,) counts.
        """
        sides = self.measure.sides
        keywords = {} if weights is None else {f"weights_{sides[:2][-1]}": weights}
        sets: list[Any] = list(self._kept.values())
        sets.insert(1, batch)  # after the real side, where there is one
        value = self.measure(*sets, **keywords)
        return value if self.measure.best == "min" else -value

    def extra_repr(self) -> str:
        return self.measure.name
