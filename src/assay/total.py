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
from .measure_by_name import usual_name
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

# what the state holds of a part that has a state, before its name
OBJECTIVE = "objective_"


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
        A module: called with the members, or with losses by name that were computed elsewhere, it gives the loss, a
        scalar. What it has learned or averaged is in its state dict, by the names of the parts, whatever their order;
        fixed weights are not.

    Raises:
        UsageError: an unknown measure, weighting or kind, a name with a dot, a weight that is not above 0,
            "uncertainty" over a measure that is not bounded in its best direction (psnr), a measure without a gradient.

    Complexity: its parts'; "gradients" runs each part's backward pass to the image twice.

    FAQ:
        *Higher is better?* A measure whose best is the maximum enters as what it lacks of its upper bound, 1 - ssim;
        psnr, which has none, as minus its value. The log shows the measures' own values.

        *Several processes?* The parameters of "uncertainty" need their gradients averaged like any others: wrap the
        module in `DistributedDataParallel` and call the wrapper. "gradients" averages over all processes by itself, and
        has no parameters to wrap. The log of each process is of its own losses.
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
        if "." in name:
            raise UsageError(
                f"parts: {name!r} cannot name a part: a dot divides the names of a state dict; rename it"
            )
    made = {name: _part(name, given) for name, given in parts.items()}
    weights = checked_weights({name: g[1] if isinstance(g, tuple) else g for name, g in parts.items()})
    if not isinstance(kinds, Mapping):
        raise UsageError(f"kinds: expected a kind by name, {{'classes': 'classification'}}, got {kinds!r}")
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
        how = UncertaintyWeights(weights, {name: kinds.get(name, "regression") for name in made})
    else:
        how = FixedWeights(weights) if weighting == "fixed" else BalancedGradients(weights)
    return Total(made, how)


class Total(nn.Module):
    """Several objectives as one; made by `total`."""

    def __init__(self, parts: Mapping[str, nn.Module], weighting: nn.Module) -> None:
        super().__init__()
        self.names = tuple(parts)
        # an optimiser knows its parameters by their order, and that is not to depend on the order of the parts
        for name in sorted(parts):
            self.add_module(OBJECTIVE + name, parts[name])
        self.weighting = weighting
        self._values: tuple[Tensor, ...] = ()
        self._weights: Tensor | None = None

    def forward(self, *given: Tensor | Mapping[str, Tensor], shared: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Args:
            given: the members (generated or restored, target, ...); or one mapping, a scalar loss a part that was
                computed elsewhere (tasks with inputs of their own), to be minimised, by the parts' names.
            shared: of "gradients" and losses computed elsewhere: what all of them depend on.

        Raises:
            UsageError: losses of other names than the parts', or what is no scalar; `shared` beside members.
        """
        if len(given) == 1 and isinstance(given[0], Mapping):
            losses = _ordered(given[0], self.names)
            return self._together(losses, losses, shared)
        if shared is not None:
            raise UsageError(
                "shared: with members it is the first of them; only losses computed elsewhere need it said"
            )
        return self._of_members(given)

    def log(self) -> dict[str, float]:
        """What the last call found: total, each part's own value and its weight then; waits for a GPU."""
        weights = self.weighting.weights() if self._weights is None else self._weights  # type: ignore[operator]
        found = dict(zip(("total", *self.names), self._values, strict=False))
        found.update({f"weight/{name}": w for name, w in zip(self.names, weights, strict=True)})
        return {name: float(value) for name, value in found.items()}

    def extra_repr(self) -> str:
        return ", ".join(self.names)

    def _of_members(self, members: Any) -> Tensor:
        values, losses = [], []
        for name in self.names:
            objective = self.get_submodule(OBJECTIVE + name)
            if not isinstance(objective, PairObjective):
                values.append(objective(*members))
                losses.append(values[-1])
                continue
            value = objective.measure(*members[: len(objective.measure.members)]).mean()
            values.append(value)
            losses.append(_loss(objective.measure, value))
        return self._together(values, losses, members[0] if members else None)

    def _together(self, values: list[Tensor], losses: list[Tensor], shared: Tensor | None) -> Tensor:
        for name, loss in zip(self.names, losses, strict=True):
            if not isinstance(loss, Tensor) or loss.ndim != 0:
                shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
                raise UsageError(f"{name}: expected a scalar loss, got {shape}; take its .mean()")
        wide = torch.float64 if any(loss.dtype == torch.float64 for loss in losses) else torch.float32
        found: Tensor = self.weighting([loss.to(wide) for loss in losses], shared)
        self._values = (found.detach(), *(v.detach() for v in values))
        # of this call: an optimiser's step may come before the log
        self._weights = self.weighting.weights()  # type: ignore[operator]
        return found


def _ordered(losses: Mapping[str, Tensor], names: tuple[str, ...]) -> list[Tensor]:
    if set(losses) != set(names):
        raise UsageError(
            f"losses: expected the parts {', '.join(names)}, got {', '.join(map(str, losses)) or 'none'}"
        )
    return [losses[name] for name in names]


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
                f"parts: {name!r} is no measure of assay.images{nearest_name(usual_name(name), known)}; give {name!r}: "
                "(objective, weight) for one of your own"
            )
        return found.objective()
    if len(given) != 2 or not (isinstance(given[0], (PairMeasure, nn.Module)) or callable(given[0])):
        raise UsageError(f"parts: {name}: expected a weight or (objective, weight), got {given!r}")
    what = given[0]
    if isinstance(what, type):
        raise UsageError(f"parts: {name}: {what.__name__} is a class; give one made of it, {what.__name__}()")
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
