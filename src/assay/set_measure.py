"""A measure of sets: value, estimate, influence, metric and objective of one plain function of statistics."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from .arguments import known, sampled_of, sort_keywords, statistics_of, take_groups
from .checks import as_samples
from .contrast import influences
from .declaration import found_again, shown_as
from .errors import UsageError
from .estimate import Estimate, estimate_all
from .objective import Objective
from .permutation import PermutationTest, permutation_test
from .scale.precision import full_precision
from .stream import Metric

Law = Callable[..., None]
Domain = Literal["features", "probabilities"]


@dataclass(frozen=True, eq=False)
class Measure:
    """A function of weighted samples that answers four questions; made by `measure`.

    Call it with features (n, d) or statistics, the real side first::

        frechet_distance(x, y, weights_y=counts)      # a scalar tensor, differentiable

    The value has the samples' precision (float32 for narrower ones); from statistics alone it is float64.
    """

    name: str
    function: Callable[..., Tensor] = field(repr=False)
    statistic: type
    sides: tuple[str, ...]
    options: Mapping[str, Any]
    best: Literal["min", "max"]
    lower: float | None
    upper: float | None
    laws: tuple[Law, ...] = field(repr=False)
    reference: str = field(repr=False)
    differentiable: bool
    spread: Literal["influences", "half-samples"]
    unbiased: bool | Callable[..., bool] = field(repr=False)
    degenerate: bool = field(repr=False)
    halves: bool = field(repr=False)
    given: tuple[str, ...] = field(repr=False)
    enough: Callable[[int], int] | None = field(repr=False)
    domain: Domain
    exceptions: Mapping[str, str] = field(repr=False)
    null: Callable[..., Tensor] | None = field(repr=False)
    caveat: str = field(repr=False)

    def __post_init__(self) -> None:
        shown_as(self, self.function)

    def __call__(self, *sets: Any, **keywords: Any) -> Tensor:
        """The value, a scalar.

        Args:
            sets: one a side, in order: features (n, d) as a tensor or array, or the measure's statistic.
            keywords: `weights_x`, `weights_y` and so on by the sides' names (counts), and the measure's options.

        Raises:
            UsageError: a wrong shape, width, dtype or option; an empty set.
        """
        weights, options = sort_keywords(self, keywords)
        statistics, dtype = statistics_of(self, sets, weights)
        with full_precision(statistics[0].weight.device):
            value = self.function(*statistics, **{**self.options, **options})
        return value if dtype is None else value.to(dtype)

    def __reduce__(self) -> Any:
        return found_again, (self.function.__module__, self.function.__qualname__, dict(self.options))

    def with_options(self, **options: Any) -> Measure:
        """The same measure with other defaults: ``precision.with_options(nearest_k=3)``."""
        known(self, options)
        return replace(self, options=MappingProxyType({**self.options, **options})) if options else self

    def estimate(
        self,
        *sets: Any,
        level: float = 0.95,
        paired: bool = False,
        splits: int = 1,
        half_samples: int = 50,
        generator: torch.Generator | None = None,
        **keywords: Any,
    ) -> Estimate:
        """Value, bias-corrected value, standard error and interval for the population's value.

        Args:
            sets: features (n, d) a side; a side given as a statistic is treated as exact.
            level: the interval's coverage.
            paired: row i of x and row i of y come from one unit (an image and its reconstruction); a held-out set is
                never part of a pair.
            splits: random half-splits that the bias is estimated from (two more evaluations each).
            half_samples: how many half-samples the spread of a measure that is not smooth is read from.
            generator: for the splits; the default always draws the same ones.
            keywords: `weights_x`, `clusters_x` (n,) labels of samples that belong together, likewise for y; options.

        Raises:
            UsageError: as the call, or where no side is given as samples.
            DataError: NaN or infinity in the samples, with the rows.
        """
        groups, rest = take_groups(keywords, self.sides)
        weights, options = sort_keywords(self, rest)
        sampled = sampled_of(self, sets, weights, groups)
        return estimate_all(
            [self.with_options(**options)],
            sampled,
            level=level,
            paired=self.sides[:2] if paired else (),
            splits=splits,
            half_samples=half_samples,
            generator=generator,
        )[0][0]

    def influence(self, *sets: Any, of: str, **keywords: Any) -> Tensor:
        """What each sample of one side does to the value, (n,) float64; sums to zero under the weights.

        Leaving sample i out changes the value by about ``-influence[i] / (W - 1)``.

        Args:
            sets: as in the call, the side asked about as samples.
            of: "x" or "y", or the name of the held-out side.
            keywords: weights and options.

        Raises:
            UsageError: an unknown side, a side given as a statistic, or a measure that does not vary smoothly with
                the weights of that side.
        """
        weights, options = sort_keywords(self, keywords)
        if of not in self.sides:
            raise UsageError(f"of: expected one of {', '.join(map(repr, self.sides))}, got {of!r}")
        return influences(self.with_options(**options), sampled_of(self, sets, weights, {}), of)

    def metric(self, *, reference: Any = None, held_out: Any = None, **options: Any) -> Metric[Tensor]:
        """An accumulator: `update(batch)`, `compute()`, `corrected()`, `merge(other)`, `reset()`.

        Args:
            reference: the real side, as features or a statistic; without it, `update_reference(batch)` streams it.
            held_out: the third side of a measure of three sets; without it, `update_held_out(batch)` streams it.
            options: the measure's options.
        """
        known(self, options)
        return Metric([self], options, (reference, held_out), operator.itemgetter(0))

    def objective(
        self,
        *,
        reference: Any = None,
        held_out: Any = None,
        population: int | None = None,
        memory: Literal["queue", "ema"] = "queue",
        gradients: Literal["mean", "sum", "none"] = "mean",
        group: Any = None,
        **options: Any,
    ) -> Objective:
        r"""A module to minimise: the value (minus it where the best is the maximum) of a batch against a reference.

        Without `population` the batch is the whole set. With one of N samples, the value is that of the statistic of
        the last N, the batch of B the newest of them. The gradient flows through the batch alone and is scaled by what
        the population weighs for each of its samples,

        $$ g_i = \frac{W}{B} \frac{\partial T}{\partial x_i} \qquad W \le N, $$

        so that the step does not shrink as N grows: the plain derivative is about B/N of that of a batch on its own.

        Args:
            reference: the real side, as features or a statistic; not for measures of one set. Its tensors are the
                module's buffers.
            held_out: the third side of a measure of three sets, likewise.
            population: N, at least the batch over all processes.
            memory: "queue" holds the last N samples exactly, (N, d). "ema" multiplies the older samples' counts by
                beta = 1 - B/N at every batch, so that their weight grows to N and W/B to 1/(1 - beta); it holds one
                statistic, and is for those of bounded size (moments).
            gradients: with several processes the batch is gathered, and every process gives the same loss. "mean"
                where parameters' gradients are then averaged (DDP, FSDP), "sum" where they are summed, "none" to leave
                this process to itself.
            group: the process group, by default all processes.
            options: the measure's options.

        Raises:
            UsageError: for a measure without a gradient, such as one that is piecewise constant in the samples; a
                population or memory it cannot have. When called: a batch larger than the population.

        Complexity: for moments O(B d^2) a step beside the measure's own O(d^3), whatever N is. For any other
        statistic what the measure costs on N samples: a kernel distance O((N + n) N d).

        FAQ:
            *Which N?* As many samples as the value is worth reporting for: for the Fréchet distance several times
            the number of features, 50,000 for 2048. A larger one is staler: at a learning rate that changes samples
            quickly, old batches no longer look like new ones.

            *Why does the value jump in the first steps?* It is the value of the few samples seen so far, with their
            bias. `warm_up` fills the population first.
        """
        known(self, options)
        if not self.differentiable:
            why = self.exceptions.get(
                "gradient_is_right",
                "it is piecewise constant in the samples, and the gradient zero almost everywhere",
            )
            raise UsageError(
                f"{self.name} has no gradient to minimise along ({why}); use kernel_distance or frechet_distance as "
                "the objective"
            )
        return Objective(
            self.with_options(**options),
            reference,
            held_out,
            population=population,
            memory=memory,
            gradients=gradients,
            group=group,
        )

    def permutation_test(
        self,
        x: Any,
        y: Any,
        *,
        permutations: int = 1000,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> PermutationTest:
        """Could both sets have come from one distribution? The value against its spread under random relabelling.

        Args:
            x, y: features (n, d), (m, d).
            permutations: how many relabellings.
            generator: for them; the default always draws the same ones.
            options: the measure's options.

        Returns:
            The value, the p-value (never below 1 / (permutations + 1)) and the relabelled values.
        """
        known(self, options)
        if len(self.sides) != 2:
            count = "one set" if len(self.sides) == 1 else "three sets"
            raise UsageError(
                f"permutation_test: {self.name} takes {count}; only the labels of two can be exchanged"
            )
        return permutation_test(
            self.with_options(**options), as_samples(x, "x"), as_samples(y, "y"), permutations, generator
        )

    def is_unbiased(self) -> bool:
        """Whether, under the current options, the value needs no bias correction."""
        return self.unbiased(**self.options) if callable(self.unbiased) else self.unbiased
