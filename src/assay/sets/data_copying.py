"""Does a generator return its training set? Generated samples against held-out ones, by how near they come to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples
from ..errors import UsageError
from ..laws import rotation_invariant, scales_with, translation_invariant
from ..measure import measure
from ..scale.nearest import nearest
from ..scale.partition import cell_of, centres_of
from ..statistics import Neighbours

RANKED = "distances to the training set enter by their ranks, which are piecewise constant in the samples"


@measure(
    statistic=Neighbours,
    best="max",
    lower=-0.5,
    upper=0.5,
    laws=[translation_invariant, rotation_invariant, scales_with(0)],
    differentiable=False,
    unbiased=True,
    given=("x",),
    exceptions={
        "compiled_agrees": "distances to the training set are ranked by value",
        "gradient_is_right": RANKED,
    },
    reference="Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675",
)
def data_copying(
    x: Neighbours, y: Neighbours, held_out: Neighbours, *, cells: int = 1, fewest: int = 20
) -> Tensor:
    r"""How much rather a held-out sample than a generated one comes nearer to the training set: below 0 is copying.

    $$ \sum_\pi p_\pi \Big( \Pr\big[ L(y) > L(h) \big] + \tfrac12 \Pr\big[ L(y) = L(h) \big] - \tfrac12 \Big),
       \qquad L(z) = \min_{x_i \in \pi} |z - x_i| $$

    over the pairs of a generated sample y and a held-out one h in one cell of a partition of the training set, the
    cells weighted by their share p of the held-out samples. It is the effect that the test statistic C_T of the source
    tests: `data_copying_test` gives C_T itself. C_T is a z-score and grows with the root of the number of samples, for
    one and the same generator; this does not, so it has an interval and compares across sample sizes.

    Args:
        x: training set, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        held_out: real samples the generator was not trained on, (k, d) features or `Neighbours`.
        cells: of the partition, k-means on the training set. 1 compares globally; copying in one place and straying in
            another then cancel.
        fewest: cells with fewer generated samples are left out of the mean, unless there is one cell only.

    Returns:
        A scalar in [-1/2, 1/2]. -1/2: every generated sample is nearer to the training set than every held-out one is,
        as exact copies are. 0: as near as new data. Above 0: farther away, which is underfitting and no merit; higher
        is better up to 0 only.

    Raises:
        UsageError: fewer different training samples than cells, or no cell with `fewest` generated samples and a
            held-out one.

    The interval of `estimate` is for this training set: generated and held-out samples are drawn again, the training
    set is the one that the generator saw. Per cell the value is an unbiased U-statistic, its influences exact.

    Complexity: O((m + k) n d) time, O((n + m + k) d) memory; a partition adds O(n d cells) a round.

    FAQ:
        *How does it relate to `authenticity` and `overfitting_gap`?* All three ask whether a generator returns its
        training set. `authenticity` needs no held-out set and pays with a level that depends on the data: new samples
        reach 1/3 in one dimension and more in others. This is calibrated by held-out samples, 0 for any data, but looks
        at ranks: a tenth of exact copies moves it by 0.05. `overfitting_gap` weighs by how near: copies count
        without bound, samples that are merely somewhat near hardly.
        *Does it see everything wrong?* No: a generator of one excellent new image passes. Read it beside `coverage`.
    """
    total, weight = x.counts.new_zeros(()), x.counts.new_zeros(())
    for cell in _cells(x, y, held_out, cells, fewest):
        total = total + cell.held * cell.effect
        weight = weight + cell.held
    return total / weight


@dataclass(frozen=True)
class DataCopyingTest:
    """What the three-sample test says.

    Attributes:
        statistic: C_T, the mean of the cells' z-scores under their shares. Far below 0 the generator copies, far above
            it underfits.
        p_value: how likely a value this low or lower is for new samples of the held-out set's distribution.
        cells: (K,) z-score of each cell that counts, float64.
        shares: (K,) of the held-out samples in these cells, summing to 1.
    """

    statistic: float
    p_value: float
    cells: Tensor
    shares: Tensor

    def __str__(self) -> str:
        where = f" over {len(self.cells)} cells" if len(self.cells) > 1 else ""
        return f"C_T {self.statistic:.4g}{where}, p = {self.p_value:.3g} of copying by chance"


def data_copying_test(x: Any, y: Any, held_out: Any, *, cells: int = 1, fewest: int = 20) -> DataCopyingTest:
    r"""The three-sample test for data copying, C_T of Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675.

    $$ C_T = \sum_\pi p_\pi Z_\pi, \qquad
       Z_\pi = \frac{U_\pi - m_\pi k_\pi / 2}{\sqrt{m_\pi k_\pi (m_\pi + k_\pi + 1) / 12}} $$

    with U the number of pairs of a cell, among its m generated and k held-out samples, in which the generated one is
    farther from the cell's training samples (Mann and Whitney's statistic).

    Args:
        x: training set, (n, d) features or `Neighbours`.
        y: generated side, (m, d) features or `Neighbours`.
        held_out: real samples the generator was not trained on, (k, d) features or `Neighbours`.
        cells: of the partition, k-means on the training set; 1 is the global test.
        fewest: cells with fewer generated samples are left out, unless there is one cell only; the authors' 20.

    Returns:
        C_T, its one-sided p-value for copying and what each cell says. Without copying or underfitting each Z is
        standard normal, and C_T of one cell too; of several its standard deviation is the root of the sum of p^2,
        which the p-value takes into account.

    Raises:
        UsageError: as `data_copying`.

    The authors' code takes 1/2 off the mean of U for continuity (their Z is higher by 1/2 over the denominator), draws
    the k-means start at random, and refuses a partition with a cell without held-out samples, which here has share 0.
    """
    sides = [_as_neighbours(s, name) for s, name in ((x, "x"), (y, "y"), (held_out, "held_out"))]
    widths = [side.width for side in sides]
    if len(set(widths)) > 1:
        raise UsageError(
            f"x, y and held_out have {widths[0]}, {widths[1]} and {widths[2]} features; use one extractor for all"
        )
    found = _cells(sides[0], sides[1], sides[2], cells, fewest)
    held = torch.stack([cell.held for cell in found])
    shares = held / held.sum()
    z = torch.stack(
        [c.effect * torch.sqrt(12 * c.made * c.held / (c.made + c.held + 1)) for c in found]
    ).detach()
    statistic = float(shares @ z)
    spread = float(shares.square().sum().sqrt())
    return DataCopyingTest(statistic, 0.5 * math.erfc(-statistic / spread / math.sqrt(2)), z, shares)


@dataclass(frozen=True)
class _Cell:
    """Scalars of one cell: the effect, and the counts of held-out and generated samples in it."""

    effect: Tensor
    held: Tensor
    made: Tensor


def _cells(x: Neighbours, y: Neighbours, held_out: Neighbours, cells: int, fewest: int) -> list[_Cell]:
    if cells == 1:
        near_y, near_held = (side.nearest_in(x).squared[:, 0] for side in (y, held_out))
        return [_Cell(_effect(near_y, y.counts, near_held, held_out.counts), held_out.weight, y.weight)]
    centres = centres_of(x.features, x.counts.detach(), cells)
    labels = [cell_of(side.features, centres) for side in (x, y, held_out)]
    found = []
    for cell in range(cells):
        of_x, of_y, of_held = ((label == cell).nonzero()[:, 0] for label in labels)
        made, held = y.counts[of_y].sum(), held_out.counts[of_held].sum()
        if not len(of_x) or not len(of_held) or float(made.detach()) < max(fewest, 1e-9):
            continue
        near_y, near_held = (
            nearest(side.features[rows], x.features[of_x], 1).squared[:, 0]
            for side, rows in ((y, of_y), (held_out, of_held))
        )
        effect = _effect(near_y, y.counts[of_y], near_held, held_out.counts[of_held])
        found.append(_Cell(effect, held, made))
    if not found:
        raise UsageError(
            f"cells={cells}: no cell has {fewest} generated samples and a held-out one; lower cells or fewest, or add "
            "samples"
        )
    return found


def _effect(near_y: Tensor, counts_y: Tensor, near_held: Tensor, counts_held: Tensor) -> Tensor:
    """Pr[near_y > near_held] + Pr[equal] / 2 - 1/2 over all counted pairs, differentiable in the counts."""
    ordered, order = near_held.sort()
    near_y = near_y.contiguous()
    below = torch.cat([counts_held.new_zeros(1), counts_held[order].cumsum(0)])
    nearer = below[torch.searchsorted(ordered, near_y)]
    nearer_or_equal = below[torch.searchsorted(ordered, near_y, right=True)]
    pairs = counts_y @ (0.5 * (nearer + nearer_or_equal))
    return pairs / (counts_y.sum() * counts_held.sum()) - 0.5


def _as_neighbours(value: Any, name: str) -> Neighbours:
    return value if isinstance(value, Neighbours) else Neighbours.of(as_samples(value, name))
