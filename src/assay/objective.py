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

    The reference's tensors are buffers: they move with `.to(device)` and live in the state dict. What can be computed
    of the reference alone is computed once. Only shapes are checked, so that a step compiles and never waits for a
    GPU's values.
    """

    def __init__(self, measure: Measure, reference: Any = None) -> None:
        super().__init__()
        self.measure = measure
        two = len(measure.sides) > 1
        if two and reference is None:
            raise UsageError(
                f"{measure.name}.objective: needs reference= (the real side), as features or a statistic"
            )
        if not two and reference is not None:
            raise UsageError(f"{measure.name}.objective: takes no reference; it is a measure of one set")
        self._names: tuple[str, ...] = ()
        self._kept: Any = None
        if two:
            tensors = reference_of(measure, reference).tensors()
            self._names = tuple(tensors)
            for name, tensor in tensors.items():
                self.register_buffer(f"reference_{name}", tensor.detach().clone())
            self._refresh()

    def _refresh(self) -> None:
        tensors = {name: getattr(self, f"reference_{name}") for name in self._names}
        self._kept = self.measure.statistic.from_tensors(tensors)  # type: ignore[attr-defined]
        prepare = getattr(self._kept, "prepare", None)
        if prepare is not None:
            self._kept = prepare()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Moved: what is derived of the reference is derived again. Cast: the reference keeps its precision."""
        exact = {name: getattr(self, f"reference_{name}") for name in self._names}
        out: Any = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in exact.items():
            after = getattr(self, f"reference_{name}")
            if after.dtype != before.dtype:
                setattr(self, f"reference_{name}", before.to(after.device))
        if self._names:
            self._refresh()
        return out

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if self._names:
            self._refresh()

    def forward(self, batch: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss, a scalar of the batch's precision.

        Args:
            batch: (n, d) features of the generated side, with gradient.
            weights: (n,) counts.
        """
        keywords = {} if weights is None else {f"weights_{self.measure.sides[-1]}": weights}
        sets = (self._kept, batch) if self._names else (batch,)
        value = self.measure(*sets, **keywords)
        return value if self.measure.best == "min" else -value

    def extra_repr(self) -> str:
        return self.measure.name
