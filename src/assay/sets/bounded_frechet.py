"""The Fréchet distance as an objective whose eigenproblem is not paid at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..objective import Gradients, Objective
from ..population import Memory, lasting
from ..scale.gather import gather
from ..scale.precision import full_precision
from ..statistics import Moments
from ..statistics.linalg import one_sided_coupling
from ..statistics.moving_moments import MovingMoments
from .frechet import frechet_distance

GROWN = 1.1  # times the samples that a map was made for: then a new one is due, as each batch moves few samples much
SMALLEST = 1e-6  # of the mean singular value: below it a direction is too empty for a map to be made of it


def bounded_frechet_objective(
    reference: Any,
    *,
    population: int,
    refresh: int = 16,
    tolerance: float | None = None,
    memory: Memory = "queue",
    gradients: Gradients = "mean",
    group: Any = None,
) -> BoundedFrechetObjective:
    r"""A lower bound of the Fréchet distance to minimise, whose gap is measured each time it is closed.

    With covariances C of the reference x and the population y, for every symmetric positive definite T (d, d)

    $$ L_T = |m_x - m_y|^2 + \operatorname{tr} C_x + \operatorname{tr} C_y
           - \operatorname{tr}(T C_y) - \operatorname{tr}(T^{-1} C_x) \;\le\; d^2(x, y), $$

    with equality where T is the optimal map from y's Gaussian to x's. A step with a kept T costs a product of the
    batch with T; every `refresh` steps T is made anew from one symmetric eigenproblem. Its gradient by C_y is 1 - T,
    which is that of the distance at the time of the refresh.

    *Why it is a bound.* tr(T C_y) + tr(T^-1 C_x) is |T^(1/2) C_y^(1/2)|^2 + |T^(-1/2) C_x^(1/2)|^2 in the Frobenius
    norm, at least twice the product of the two norms, hence at least twice the inner product of
    T^(1/2) C_y^(1/2) V with T^(-1/2) C_x^(1/2) for any orthogonal V. T cancels there: tr(V^T C_y^(1/2) C_x^(1/2)),
    whose maximum over V is the sum of the singular values of C_y^(1/2) C_x^(1/2), the trace of
    (C_x^(1/2) C_y C_x^(1/2))^(1/2).

    Args:
        reference: the real side, (n, d) features or `Moments`.
        population: how many samples the generated side's moments are of; see `Measure.objective`.
        refresh: the most steps between two eigenproblems. While the population fills there are more: another whenever
            it has grown by a tenth.
        tolerance: the largest gap wanted, as a share of the distance. The number of steps to the next refresh, never
            above `refresh`, is then set at each refresh from the gap that the last ones left. It is an extrapolation:
            `gap` says what it came to.
        memory, gradients, group: as for `Measure.objective`.

    Returns:
        `BoundedFrechetObjective`.

    Raises:
        UsageError: a refresh below 1, a tolerance not above zero, and what `Measure.objective` refuses.

    Complexity: O(B d^2) a step, and one O(d^3) every `refresh` steps; (d, d) memory three times.

    FAQ:
        *Singular covariances?* In a direction the population has not got, the best T is infinite. The singular values
        that T is made of are raised to 1e-6 of their mean, which keeps the bound and loosens it by at most 1e-6 of the
        distance's trace term; where the reference has not got a direction, T is made on its range. While the
        population or the reference has no more samples than features every step is exact.

        *Is the stale gradient any good?* It is the exact gradient of a bound that touched the distance at the last
        refresh. With a population of many batches the covariance moves little in between.
    """
    return BoundedFrechetObjective(
        reference,
        population=population,
        refresh=refresh,
        tolerance=tolerance,
        memory=memory,
        gradients=gradients,
        group=group,
    )


class BoundedFrechetObjective(torch.nn.Module):
    """Made by `bounded_frechet_objective`; called with a batch (n, d) it gives the loss, the bound, a scalar.

    Attributes:
        gap: distance minus bound at the last refresh, just before the map was replaced: how much too low the value had
            become; None before the second refresh. A tensor, on the device.
        relative_gap: the gap as a share of the distance.
        refreshes: how many eigenproblems were solved.
    """

    def __init__(
        self,
        reference: Any,
        *,
        population: int,
        refresh: int,
        tolerance: float | None,
        memory: Memory,
        gradients: Gradients,
        group: Any,
    ) -> None:
        super().__init__()
        if isinstance(refresh, bool) or not isinstance(refresh, int) or refresh < 1:
            raise UsageError(f"refresh: expected a whole number of steps of at least 1, got {refresh!r}")
        if tolerance is not None and not 0 < tolerance < float("inf"):
            raise UsageError(f"tolerance: expected a share of the distance above zero, got {tolerance!r}")
        self.exact: Objective = frechet_distance.objective(
            reference=reference, population=population, memory=memory, gradients=gradients, group=group
        )
        self.refresh, self.tolerance = refresh, tolerance
        self.gap: Tensor | None = None
        self.relative_gap: Tensor | None = None
        self.refreshes = 0
        self._map: Tensor | None = None  # T by scatters: derivative of the trace term by y's scatter
        self._rest = torch.zeros((), dtype=torch.float64)  # tr(T^-1 S_x), fixed with the map
        self._age, self._interval = 0, refresh if tolerance is None else 1
        self._made_for = 0.0  # the population's weight when the map was made

    @property
    def population(self) -> Any:
        """The memory of earlier batches."""
        return self.exact.population

    def forward(self, batch: Tensor) -> Tensor:
        """The loss, a scalar of the batch's precision; with several processes the same on every one.

        Args:
            batch: (n, d) features of the generated side, with gradient; this process's share of the batch.
        """
        if self.exact.gradients != "none":
            batch = gather(batch, gradients=self.exact.gradients, group=self.exact.group)
        batch = as_samples(batch, "y")
        x: Moments = self.exact._kept["reference"]
        if batch.shape[1] != x.width:
            raise UsageError(
                f"the sides differ in their number of features: x has {x.width}, y has {batch.shape[1]}; "
                "use one extractor for all"
            )
        with full_precision(batch.device):
            y: Moments = self.population.joined_by(batch)
            value = self._value(x, y, len(batch))
            if self.training:
                self.population.keep(batch, y)
        return value.to(torch.float64 if batch.dtype == torch.float64 else torch.float32)

    def _value(self, x: Moments, y: Moments, rows: int) -> Tensor:
        if x.scatter is None or y.scatter is None:
            if self.training:
                self._map = None
            exact: Tensor = frechet_distance.function(x, y)
            return exact
        weight = min(self.population.weight + rows, self.population.size)
        due = self._age >= self._interval or weight > GROWN * self._made_for
        if self._map is not None and not due:
            self._age += self.training
            return _bound(x, y, self._map, self._rest)
        return self._refreshed(x, y, weight)

    def _refreshed(self, x: Moments, y: Moments, weight: float) -> Tensor:
        """The bound by the best map there is now, which is remembered in training mode."""
        assert y.scatter is not None
        with torch.no_grad():
            f = x.root()
            trace, v, rest = one_sided_coupling(f, y.scatter, SMALLEST)
            q = f.mT @ v
            best = q @ q.mT
            if self.training and self._map is not None:
                scale = ((x.weight - 1) * (y.weight - 1)).rsqrt()
                shift = (x.mean - y.mean).square().sum() + x.variance_sum() + y.variance_sum()
                distance = shift - 2 * trace * scale
                self.gap = distance - _bound(x, y, self._map, self._rest)
                self.relative_gap = self.gap / distance
                if self.tolerance is not None:
                    self._interval = self._next_interval(float(self.relative_gap))
        if self.training:
            self._map, self._rest = lasting(best), lasting(rest)
            self._age, self._made_for = 1, weight
            self.refreshes += 1
        return _bound(x, y, best, rest)

    def _next_interval(self, relative: float) -> int:
        """How many steps may pass: the gap grows between linearly and quadratically with them, taken at the worse."""
        assert self.tolerance is not None
        room = self.tolerance / max(relative, 1e-3 * self.tolerance)
        return int(min(self.refresh, max(1.0, self._age * (room if room < 1 else room**0.5))))

    def warm_up(
        self, batches: Iterable[Any], features: Callable[[Any], Tensor] | None = None, *, quiet: bool = False
    ) -> int:
        """As `Objective.warm_up`; the next step refreshes the map."""
        self._map = None
        return self.exact.warm_up(batches, features, quiet=quiet)

    def check(self, batch: Tensor | None = None) -> None:
        """As `Objective.check`."""
        self.exact.check(batch)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name in ("_map", "_rest", "gap", "relative_gap"):
            tensor = getattr(self, name)
            if tensor is not None:
                setattr(self, name, tensor.to(fn(tensor).device))
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "map"] = torch.zeros(0, 0) if self._map is None else self._map.clone()
        destination[prefix + "rest"] = self._rest.clone()
        destination[prefix + "age"] = torch.tensor(
            [self._age, self._interval, self._made_for], dtype=torch.float64
        )

    def _load_from_state_dict(
        self, state: Any, prefix: str, _meta: Any, strict: bool, missing: Any, *_: Any
    ) -> None:
        names = [prefix + name for name in ("map", "rest", "age")]
        absent = [name for name in names if name not in state]
        if absent:
            missing.extend(absent if strict else [])
            return
        made, rest, age = (state[name] for name in names)
        device = self.exact._kept["reference"].mean.device
        self._map = made.to(device, copy=True) if made.numel() else None
        self._rest = rest.to(device, copy=True)
        self._age, self._interval, self._made_for = int(age[0]), int(age[1]), float(age[2])

    def extra_repr(self) -> str:
        return f"a new map every {self.refresh} steps"


def _bound(x: Moments, y: Moments, made: Tensor, rest: Tensor) -> Tensor:
    """The bound by a map of scatters: scatters are weight - 1 times covariances, and the scale moves to the end.

    With S = (W - 1) C on both sides, T' = sqrt((W_y - 1) / (W_x - 1)) T is the map of the scatters, and the pair of
    traces is that of the scatters over sqrt((W_x - 1) (W_y - 1)): any T' gives a T.
    """
    assert y.scatter is not None
    if isinstance(y, MovingMoments):
        moving = ((y.moving @ made) * y.moving).sum(1) @ y.signs
        through = torch.dot(made.reshape(-1), y.scatter.detach().reshape(-1)) + (moving - moving.detach())
    else:
        through = torch.dot(made.reshape(-1), y.scatter.reshape(-1))
    scale = ((x.weight - 1) * (y.weight - 1)).rsqrt()
    shift = (x.mean - y.mean).square().sum()
    return shift + x.variance_sum() + y.variance_sum() - (through + rest) * scale
