"""Sinkhorn divergence: what does it cost to move one set onto the other, blurred and freed of the blur's bias?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UsageError
from ..laws import rotation_invariant, translation_invariant, zero_on_equal
from ..measure import measure
from ..scale.transport.entropic import Transport, entropic_transport
from ..statistics import Samples

RELATIVE_BLUR = {1: 0.05, 2: 0.2}  # of the reference's spread, by p: some 25 times less than the costs


@dataclass(frozen=True)
class TransportOptions:
    """The options of `sinkhorn_divergence` and its relatives, checked; see there."""

    blur: float | None
    p: int
    reach: float | None
    scaling: float
    tolerance: float | None
    iterations: int

    def __post_init__(self) -> None:
        if self.p not in (1, 2):
            raise UsageError(f"p: expected 1 (the distance) or 2 (half its square), got {self.p!r}")
        for name in ("blur", "reach", "tolerance"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value > 0):
                raise UsageError(f"{name}: expected a number above zero or None, got {value!r}")
        if not 0 < self.scaling < 1:
            raise UsageError(f"scaling: expected a number between 0 and 1, got {self.scaling!r}")
        if self.iterations < 0:
            raise UsageError(f"iterations: expected 0 or more, got {self.iterations!r}")

    def epsilon(self, reference: Samples) -> Tensor:
        """The regularisation, blur^p, a float64 scalar."""
        if self.blur is not None:
            return torch.full_like(reference.weight, float(self.blur) ** self.p)
        squared: Tensor = (RELATIVE_BLUR[self.p] * spread(reference.features[None], shares(reference)))[
            0
        ] ** self.p
        return squared

    def cost(self, x: Samples, y: Samples | None, epsilon: Tensor) -> Transport:
        """Transport between two sets, or of one with itself."""
        return entropic_transport(
            x.features[None],
            None if y is None else y.features[None],
            shares(x),
            None if y is None else shares(y),
            epsilon[None],
            p=self.p,
            reach=math.inf if self.reach is None else float(self.reach) ** self.p,
            scaling=self.scaling,
            tolerance=self.tolerance,
            iterations=self.iterations,
        )

    def within(self, side: Samples, epsilon: Tensor, *, own: bool) -> Tensor:
        """Transport of a set with itself, kept where it depends on this set alone."""

        def compute() -> Tensor:
            return self.cost(side, None, epsilon).value[0]

        return side.once(("transport within", self), compute) if own or self.blur is not None else compute()


def shares(side: Samples) -> Tensor:
    """(1, n) weights that sum to 1."""
    return (side.counts / side.weight)[None]


def spread(samples: Tensor, weights: Tensor) -> Tensor:
    """(B,) root mean squared distance from the mean, float64, of (B, n, d) under weights (B, n) that sum to 1."""
    start = (
        samples.detach().to(torch.float64).mean(1, keepdim=True)
    )  # moved first: squares of an offset drown the rest
    moved = samples.to(torch.float64) - start
    mean = (weights[..., None] * moved).sum(1, keepdim=True)
    squared = (weights * (moved - mean).square().sum(2)).sum(1)
    return torch.where(squared > 0, torch.where(squared > 0, squared, 1.0).sqrt(), 0.0)


@measure(
    statistic=Samples,
    best="min",
    lower=0.0,
    laws=[zero_on_equal, translation_invariant, rotation_invariant],
    degenerate=True,
    caveat="with a blur well below the spread the sample-size bias falls slowly, and half-splits find a part of it: "
    "the interval may lie above the population's value; compare equal numbers of samples, or use permutation_test",
    reference="Genevay et al. 2018, arXiv:1706.00292; Feydy et al. 2019, arXiv:1810.08278; unbalanced: Sejourne et al. "
    "2019, arXiv:1910.12958",
)
def sinkhorn_divergence(
    x: Samples,
    y: Samples,
    *,
    blur: float | None = None,
    p: int = 2,
    reach: float | None = None,
    scaling: float = 0.5,
    tolerance: float | None = None,
    iterations: int = 2000,
) -> Tensor:
    r"""Entropic optimal transport between two sets, less half of what each costs with itself.

    $$ S_\varepsilon(x, y) = \mathrm{OT}_\varepsilon(x, y) - \tfrac12 \mathrm{OT}_\varepsilon(x, x)
       - \tfrac12 \mathrm{OT}_\varepsilon(y, y), \qquad
       \mathrm{OT}_\varepsilon = \min_P \langle P, C \rangle + \varepsilon \, \mathrm{KL}(P \,\|\, a b^\top) $$

    with $C_{ij} = |x_i - y_j|^2 / 2$ (`p=2`) or $|x_i - y_j|$ (`p=1`), $\varepsilon$ = blur^p, and plans P whose
    marginals are the sets' shares a and b. It lies between the cost of optimal transport (blur to 0: half the squared
    2-Wasserstein distance, or the 1-Wasserstein distance) and a kernel distance with the kernel -C (blur to infinity:
    half the squared distance of the means, or half the energy distance).

    With `reach` the marginals are not prescribed: + rho (KL(P 1 | a) + KL(P^T 1 | b)), rho = reach^p, so that what is
    farther than about `reach` is left out rather than carried. Counts are normalised: both sets have the mass 1
    however many samples they hold, and the unbalanced divergence's term for unequal masses is zero.

    Args:
        x: real side, (n, d) features or `Samples`.
        y: generated side, (m, d) features or `Samples`.
        blur: the length below which differences are not looked at, in units of the features; by default 0.2 of the
            real side's spread (0.05 with `p=1`), the root of the mean squared distance from its mean.
        p: of the cost, 2 or 1.
        reach: the length beyond which samples are rather left unmatched; None matches all.
        scaling: the blur shrinks by this factor from one annealing step to the next.
        tolerance: of the plan's marginals, sum_i |(P 1)_i - a_i| + sum_j |(P^T 1)_j - b_j|; by default 3e-4 in
            float32 and 1e-9 in float64, and 1e-3 is taken where the iterations end before. The value is off by about
            its square. `math.inf` takes what the annealing alone gives.
        iterations: at most so many after the annealing.

    Returns:
        A scalar, at least 0, 0 where the sets are equal; lower is better. In units of the cost. Gradients by samples
        and by weights are the envelope theorem's, from the converged potentials.

    Raises:
        UsageError: an option out of its range, different numbers of features, or a real side whose samples are all
            equal and no `blur` given.
        DataError: no convergence (by how much, and what to do), or NaN in the samples.

    With a blur well below the spread samples of one distribution are apart as in optimal transport: the value is biased
    upward by far more than the order 1 / n that `estimate` corrects (normal samples in 4 dimensions, 200 a side, by
    default: 0.33 for equal distributions, corrected 0.16, and no interval held 0). Its interval is for the population
    only where the blur is about the spread or above. Compare candidates at equal numbers of samples;
    `permutation_test` asks whether two sets differ at all, at any blur.

    Complexity: O((n^2 + m^2 + n m) d) time a pass, some 15 to 100 passes by the ratio of spread to blur; O((n + m) d)
    memory (up to 2^22 costs are held where all fit), forward and backward; nothing all-pairs is ever held beyond.
    Each pass asks whether it was the last: on a GPU it waits for the answer.

    FAQ:
        *Which blur?* The default scales with the data and does not follow the candidate, so candidates compare, and
        a training signal has one ruler. It makes x and y unequal partners: exchanging them moves the ruler. A number
        as `blur` makes the divergence symmetric. Smaller comes closer to optimal transport, is noisier in the
        samples and takes more passes.

        *And geomloss?* `blur`, `p`, `reach` and `scaling` mean what they mean there. There the annealing is all; the
        same is had by `tolerance=math.inf`. geomloss takes 0.05 as the default blur, for data in the unit cube.

        *And POT?* Its `reg` is blur^2 for half squared distances: `ot.dist(x, y) / 2`; for `ot.dist(x, y)` itself it is
        2 blur^2, and the value is twice this one.
    """
    options = TransportOptions(blur, p, reach, scaling, tolerance, iterations)
    epsilon = options.epsilon(x)
    across = options.cost(x, y, epsilon).value[0]
    return across - 0.5 * (options.within(x, epsilon, own=True) + options.within(y, epsilon, own=False))
