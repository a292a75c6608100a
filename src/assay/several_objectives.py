"""Several distances minimised at once, each in its own feature space and on its own scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from .checks import nearest_name
from .errors import UsageError


def several_objectives(
    objectives: Mapping[str, torch.nn.Module], *, divide_by: Literal["value"] | Mapping[str, Any] = "value"
) -> SeveralObjectives:
    r"""The sum of several objectives, each divided by a number of its own, so that no space's units outweigh another's.

    $$ L = \sum_r \frac{D_r}{f_r} \qquad\text{or}\qquad L = \sum_r \frac{D_r}{|\operatorname{sg}(D_r)|} $$

    with D_r the distance in feature space r, f_r its floor and sg a value without gradient.

    Args:
        objectives: name of the feature space -> objective: of `Measure.objective`, `bounded_frechet_objective`, or any
            module from features to a scalar.
        divide_by: "value", each by its own current size, so that every space pulls equally in relative terms whatever
            is left of its distance; or the floors by name: what real data reach against real data in that space, as
            numbers, or `assay.compare`'s floors.

    Returns:
        `SeveralObjectives`, a module called with a dictionary of features.

    Raises:
        UsageError: no objectives, a floor missing, unknown or not above zero.

    With floors, L over the number of spaces k is the FDr^k of Yang et al. 2026 (arXiv:2604.28190): the mean of the
    ratios of the generated images' distance to that of held-out real images. With "value", L itself is always k (or
    minus k) and says nothing; the parts do. The training loss of that paper is this one, up to a small number that it
    adds to the denominator.

    FAQ:
        *Which one?* "value" follows relative progress: a space that is nearly done pulls as hard as one that is far
        off, and without bound as its distance goes to zero. Unbiased kernel distances cross zero near agreement: take
        floors there.
    """
    return SeveralObjectives(objectives, divide_by)


class SeveralObjectives(torch.nn.Module):
    """Made by `several_objectives`.

    Attributes:
        parts: name -> each objective's own value at the last call, undivided and without gradient.
    """

    def __init__(
        self,
        objectives: Mapping[str, torch.nn.Module],
        divide_by: Literal["value"] | Mapping[str, Any] = "value",
    ) -> None:
        super().__init__()
        if not objectives:
            raise UsageError("objectives: needs at least one, as a dictionary by feature space")
        for name, objective in objectives.items():
            if not isinstance(name, str) or not name or "." in name or hasattr(torch.nn.ModuleDict, name):
                raise UsageError(
                    "objectives: a name without a dot is needed (they name modules), that a ModuleDict has not got "
                    f"already, got {name!r}"
                )
            if not isinstance(objective, torch.nn.Module):
                raise UsageError(
                    f"objectives: expected a torch.nn.Module for {name!r}, such as of Measure.objective, got "
                    f"{type(objective).__name__}"
                )
        self.objectives = torch.nn.ModuleDict(dict(objectives))
        self.floors = None if divide_by == "value" else _floors(divide_by, list(objectives))
        self.parts: dict[str, Tensor] = {}

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """The loss, a scalar.

        Args:
            features: name of the feature space -> (n, d) features of the batch in it; exactly the objectives' names.
        """
        missing = [name for name in self.objectives if name not in features]
        surplus = [name for name in features if name not in self.objectives]
        if missing or surplus:
            raise UsageError(
                f"features: expected {', '.join(map(repr, self.objectives))}, got "
                f"{', '.join(map(repr, features)) or 'nothing'}"
            )
        loss: Tensor | None = None
        parts = {}
        for name, objective in self.objectives.items():
            value = objective(features[name])
            parts[name] = value.detach()
            part = value / _size_of(parts[name]) if self.floors is None else value / self.floors[name]
            loss = part if loss is None else loss + part
        self.parts = parts
        assert loss is not None
        return loss

    def extra_repr(self) -> str:
        if self.floors is None:
            return "divided by value"
        return "divided by " + ", ".join(f"{name} {floor:g}" for name, floor in self.floors.items())


def _floors(given: Any, names: list[str]) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise UsageError(
            f'divide_by: expected "value" or a dictionary of floors by feature space, got {given!r}'
        )
    for name in given:
        if name not in names:
            raise UsageError(f"divide_by: {name!r} is none of the objectives{nearest_name(str(name), names)}")
    floors = {}
    for name in names:
        if name not in given:
            raise UsageError(f"divide_by: no floor for {name!r}")
        value: Any = getattr(given[name], "value", given[name])
        try:
            floor = float(value)
        except (TypeError, ValueError):
            floor = float("nan")
        if not 0 < floor < float("inf"):
            raise UsageError(f"divide_by: the floor of {name!r} must be above zero and finite, got {value!r}")
        floors[name] = floor
    return floors


def _size_of(value: Tensor) -> Tensor:
    size = value.abs()
    return torch.where(size > 0, size, 1.0)
