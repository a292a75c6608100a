"""Into which cell of a partition of a set does a sample fall?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import UsageError
from .nearest import nearest
from .tiles import spans

ROUNDS = 100  # of reassignment; cells hardly change after a few
ROWS = 4096


def centres_of(samples: Tensor, counts: Tensor, cells: int) -> Tensor:
    """Centres (cells, d) float64 of a k-means partition of counted samples, the same for any order of them.

    It starts from halving, again and again, the cell of the largest scatter at its mean, along the feature that
    varies most in it (Su and Dy 2007); then every sample goes to its nearest centre and every centre to its
    samples' mean until nothing changes. Nothing is drawn at random.

    Args:
        samples: (n, d).
        counts: (n,) above zero.
        cells: how many.

    Raises:
        UsageError: a number of cells that is no whole number of at least 1, or fewer different samples than cells.
    """
    if isinstance(cells, bool) or int(cells) != cells or cells < 1:
        raise UsageError(f"cells: expected a whole number of at least 1, got {cells!r}")
    label = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
    scatter = [_scatter(samples, counts)]
    for new in range(1, cells):
        widest = max(range(new), key=lambda cell: float(scatter[cell].sum()))
        rows = (label == widest).nonzero()[:, 0]
        if float(scatter[widest].sum()) <= 0:
            raise UsageError(f"cells={cells} needs as many different samples, got {new}: lower cells")
        values = samples[rows, int(scatter[widest].argmax())].to(torch.float64)
        above = rows[values > (counts[rows] @ values) / counts[rows].sum()]
        label[above] = new
        scatter[widest] = _scatter(samples[label == widest], counts[label == widest])
        scatter.append(_scatter(samples[above], counts[above]))
    for _ in range(ROUNDS):
        centres = _means(samples, counts, label, cells)
        again = cell_of(samples, centres)
        # a cell that would be left without samples keeps those it has
        if bool((again == label).all()) or int((torch.bincount(again, minlength=cells) == 0).sum()):
            break
        label = again
    return _means(samples, counts, label, cells)


def cell_of(samples: Tensor, centres: Tensor) -> Tensor:
    """(n,) the nearest centre of each sample."""
    return nearest(samples, centres, 1).index[:, 0]


def _means(samples: Tensor, counts: Tensor, label: Tensor, cells: int) -> Tensor:
    sums = torch.zeros(cells, samples.shape[1], dtype=torch.float64, device=samples.device)
    totals = torch.zeros(cells, dtype=torch.float64, device=samples.device)
    for a, b in spans(len(samples), ROWS):
        sums.index_add_(0, label[a:b], samples[a:b].to(torch.float64) * counts[a:b, None])
        totals.index_add_(0, label[a:b], counts[a:b])
    return sums / totals[:, None]


def _scatter(samples: Tensor, counts: Tensor) -> Tensor:
    """(d,) sum of w (x - mean)^2; exactly zero where all samples are equal."""
    one = torch.zeros(len(samples), dtype=torch.int64, device=samples.device)
    # from the first sample on, so that equal samples have no rounding between them
    origin = samples[0].to(torch.float64)
    total = counts.sum()
    first = second = torch.zeros(samples.shape[1], dtype=torch.float64, device=samples.device)
    for a, b in spans(len(one), ROWS):
        moved = samples[a:b].to(torch.float64) - origin
        first = first + counts[a:b] @ moved
    mean = first / total
    for a, b in spans(len(one), ROWS):
        second = second + counts[a:b] @ (samples[a:b].to(torch.float64) - origin - mean).square()
    return second
