"""`assay.total`: several objectives as one module that says what each part was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from . import images
from .checks import nearest_name
from .errors import UsageError
from .pair_metric import PairObjective
from .pairs import PairMeasure
from .weighting import BalancedGradients, FixedWeights, LossKind, UncertaintyWeights, checked_weights

Weighting = Literal["fixed", "uncertainty", "gradients"]
PartGiven = float | tuple[PairMeasure | nn.Module | Callable[..., Tensor], float]

# short names, as people write them
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "l1": "mean_absolute_error",
        "mae": "mean_absolute_error",
        "l2": "mean_squared_error",
        "mse": "mean_squared_error",
    }
)


def total(
    parts: Mapping[str, PartGiven],
    *,
    weighting: Weighting = "fixed",
    kinds: Mapping[str, LossKind] = MappingProxyType({}),
) -> Total:
    r"""Several objectives as one module to minimise, which logs its parts.

    ::

        loss = assay.total({"l1": 1.0, "ssim": 0.5})
        loss(restored, target).backward()
        loss.log()            # {"total": ..., "l1": ..., "ssim": ..., "weight/l1": 1.0, "weight/ssim": 0.5}

    Args:
        parts: by name, in order: a weight for a measure of `assay.images` ("l1", "l2", "ssim", "total_variation", ...)
            with its own defaults; or (what to minimise, weight), where that is a pair measure with options bound, an
            `.objective()`, or any module or function -> scalar. A pair measure takes as many of the members as it has:
            `total_variation` the image alone.
        weighting: "fixed"; "uncertainty", learned noise levels (its parameters belong to the optimiser, with a learning
            rate of their own and no weight decay); or "gradients", every part pulling at the first member with the
            strength of its weight, as compared with the first part (of float16 images give `.float()`).
        kinds: of "uncertainty": which parts are the log likelihood of a classification (cross-entropies); the others
            are regressions (squared and absolute errors).

    Returns:
        A module: called with the members, it gives the loss, a scalar. What it has learned or averaged is in its state
        dict, by the order of the parts; fixed weights are not. `combine` takes losses that were computed elsewhere.

    Raises:
        UsageError: an unknown measure, weighting or kind, a weight that is not above 0, "uncertainty" over a measure
            that is not bounded in its best direction (psnr), a measure without a gradient.

    Complexity: its parts'; "gradients" runs each part's backward pass to the image twice.

    FAQ:
        *Higher is better?* A measure whose best is the maximum enters as what it lacks of its upper bound, 1 - ssim;
        psnr, which has none, as minus its value. The log shows the measures' own values.
    """
    if weighting not in get_args(Weighting):
        raise UsageError(
            f"weighting: expected one of {', '.join(map(repr, get_args(Weighting)))}, got {weighting!r}"
        )
    if not isinstance(parts, Mapping):
        raise UsageError(f"parts: expected a weight by name, {{'l1': 1.0, 'ssim': 0.5}}, got {parts!r}")
    for name in parts:
        if not isinstance(name, str) or name == "total" or name.startswith("weight/"):
            raise UsageError(
                f"parts: {name!r} cannot name a part: the log has 'total' and 'weight/NAME' of its own; rename it"
            )
    made = {name: _part(name, given) for name, given in parts.items()}
    weights = checked_weights(list(parts), [g[1] if isinstance(g, tuple) else g for g in parts.values()])
    if kinds and weighting != "uncertainty":
        raise UsageError(
            f"kinds: only weighting='uncertainty' tells kinds of losses apart, got weighting={weighting!r}"
        )
    for name, kind in kinds.items():
        if name not in made:
            raise UsageError(
                f"kinds: there is no part {name!r}{nearest_name(name, made)}; parts: {', '.join(made)}"
            )
        if kind not in get_args(LossKind):
            raise UsageError(f"kinds: {name}: expected 'regression' or 'classification', got {kind!r}")
    how: nn.Module
    if weighting == "uncertainty":
        for name, part in made.items():
            if isinstance(part, PairObjective) and not _above_zero(part.measure):
                raise UsageError(
                    f"weighting: 'uncertainty' needs losses above 0; {name} is not bounded in its best direction (of "
                    "psnr, minimise the squared error in its place)"
                )
        how = UncertaintyWeights(weights, [kinds.get(name, "regression") for name in made])
    else:
        how = FixedWeights(weights) if weighting == "fixed" else BalancedGradients(weights)
    return Total(made, how)


class Total(nn.Module):
    """Several objectives as one; made by `total`."""

    def __init__(self, parts: Mapping[str, nn.Module], weighting: nn.Module) -> None:
        super().__init__()
        # a module's name in a ModuleDict may hold no dot
        self.names = tuple(parts)
        self.objectives = nn.ModuleList(parts.values())
        self.weighting = weighting
        self._values: tuple[Tensor, ...] = ()

    def forward(self, *members: Tensor) -> Tensor:
        """The loss of (generated or restored, target, ...), a scalar."""
        values, losses = [], []
        for objective in self.objectives:
            if not isinstance(objective, PairObjective):
                values.append(objective(*members))
                losses.append(values[-1])
                continue
            value = objective.measure(*members[: len(objective.measure.members)]).mean()
            values.append(value)
            losses.append(_loss(objective.measure, value))
        return self._together(values, losses, members[0] if members else None)

    def combine(self, losses: Mapping[str, Tensor], *, shared: Tensor | None = None) -> Tensor:
        """The loss from one scalar a part, computed elsewhere (tasks with inputs of their own).

        Args:
            losses: by the parts' names, to be minimised.
            shared: of "gradients": what all of them depend on.

        Raises:
            UsageError: other names than the parts', or what is no scalar.
        """
        if set(losses) != set(self.names):
            raise UsageError(
                f"losses: expected the parts {', '.join(self.names)}, got {', '.join(losses) or 'none'}"
            )
        given = [losses[name] for name in self.names]
        return self._together(given, given, shared)

    def log(self) -> dict[str, float]:
        """What the last call found: total, each part's own value, and each part's weight; waits for a GPU."""
        weights = self.weighting.weights()  # type: ignore[operator]
        found = dict(zip(("total", *self.names), self._values, strict=False))
        found.update({f"weight/{name}": w for name, w in zip(self.names, weights, strict=True)})
        return {name: float(value) for name, value in found.items()}

    def extra_repr(self) -> str:
        return ", ".join(self.names)

    def _together(self, values: list[Tensor], losses: list[Tensor], shared: Tensor | None) -> Tensor:
        for name, loss in zip(self.names, losses, strict=True):
            if not isinstance(loss, Tensor) or loss.ndim != 0:
                shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise UsageError(f"{name}: expected a scalar loss, got {shape}; take its .mean()")
        wide = torch.float64 if any(loss.dtype == torch.float64 for loss in losses) else torch.float32
        found: Tensor = self.weighting([loss.to(wide) for loss in losses], shared)
        self._values = (found.detach(), *(v.detach() for v in values))
        return found


class _Function(nn.Module):
    """A plain function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *members: Any) -> Tensor:
        return self.function(*members)


def _part(name: str, given: Any) -> nn.Module:
    """What one entry of `parts` minimises."""
    if not isinstance(given, tuple):
        found = getattr(images, ALIASES.get(name, name), None)
        if not isinstance(found, PairMeasure):
            known = sorted(n for n in (*images.__all__, *ALIASES) if _is_image_pair(n))
            raise UsageError(
                f"parts: {name!r} is no measure of assay.images{nearest_name(name, known)}; give {name!r}: "
                "(objective, weight) for one of your own"
            )
        return found.objective()
    if len(given) != 2 or not (isinstance(given[0], (PairMeasure, nn.Module)) or callable(given[0])):
        raise UsageError(f"parts: {name}: expected a weight or (objective, weight), got {given!r}")
    what = given[0]
    if isinstance(what, PairMeasure):
        return what.objective()
    return what if isinstance(what, nn.Module) else _Function(what)


def _is_image_pair(name: str) -> bool:
    found = getattr(images, ALIASES.get(name, name), None)
    return isinstance(found, PairMeasure) and found.domain == "images" and found.differentiable


def _above_zero(measure: PairMeasure) -> bool:
    """Whether what is minimised cannot fall below 0."""
    return measure.upper is not None if measure.best == "max" else measure.lower is not None


def _loss(measure: PairMeasure, value: Tensor) -> Tensor:
    if measure.best == "min":
        return value
    return -value if measure.upper is None else measure.upper - value
