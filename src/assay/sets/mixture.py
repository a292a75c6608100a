"""A Gaussian around every generated sample, as wide as a training set wants it: a density that other samples may judge.

The density is that of Jiralerspong et al. 2023, arXiv:2302.04440, with the start, the base measure and the constants of
the authors' code. They follow its gradient for fifty steps of Adam; here its maximum is sought by expectation
maximisation, which has a closed form, needs no step size, and never lowers the likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..scale.progress import tick
from ..scale.tiles import spans

START = 1e-3  # added to the squared distance that a variance starts from, so that a copy's is not zero
NARROWEST, WIDEST = -40.0, 40.0  # bounds of a log variance
BASE = 0.81  # a training sample's squared distance to the mean counts so much in the base measure
SETTLED = 1e-10  # log variances that move by less are at their optimum
BLOCK = 2**22  # distances at once
KEPT = 2**26  # distances kept for all rounds, 512 MiB; more are computed again in each

# blocks of rows (slice) and their squared distances (rows, m), from the first row on; may be asked for again
Blocks = Callable[[], Iterator[tuple[slice, Tensor]]]


def fitted_log_variances(x: Tensor, counts_x: Tensor, y: Tensor, counts_y: Tensor, steps: int) -> Tensor:
    r"""(m,) log variances of isotropic Gaussians around y under which the samples x are likely.

    $$ \max_{\sigma, \sigma_0} \sum_i u_i \log \Big( \sum_j \tfrac{v_j}{V} N(x_i; y_j, \sigma_j^2 I) + b(x_i) \Big),
       \qquad b(x) = (2 \pi \sigma_0^2)^{-d/2} \exp \frac{-0.81 |x - \bar x|^2}{2 \sigma_0^2} $$

    The base measure b takes care of training samples that no generated one is near: without it, one such sample would
    widen every Gaussian. It is used in the fit only.

    Args:
        x: (n, d) training samples, float64.
        counts_x: (n,) u, above zero.
        y: (m, d) generated samples, float64.
        counts_y: (m,) v, above zero.
        steps: at most so many rounds; fewer where nothing moves any more.
    """
    d = x.shape[1]
    to_mean = BASE * (x - counts_x @ x / counts_x.sum()).square().sum(1)
    blocks = distances(x, y)
    least = torch.full((len(y),), torch.inf, dtype=torch.float64, device=x.device)
    for _, squared in blocks():
        least = torch.minimum(least, squared.amin(0))
    # the base measure is one more column, of weight 1
    logs = torch.cat([torch.log((least + START) / d), x.new_zeros(1)])
    shares = torch.cat([torch.log(counts_y / counts_y.sum()), x.new_zeros(1)])
    for step in range(steps):
        new = _next(blocks, to_mean, counts_x, logs, shares, d)
        moved = float((new - logs).abs().max())
        logs = new
        tick("fitting widths", step + 1, steps)
        if moved <= SETTLED:
            break
    return logs[:-1]


def log_density(z: Tensor, y: Tensor, counts_y: Tensor, log_variances: Tensor) -> Tensor:
    """(k,) log of  sum_j v_j / V N(z; y_j, sigma_j^2 I), without the base measure."""
    shares = torch.log(counts_y / counts_y.sum())
    out = z.new_empty(len(z))
    for rows, squared in distances(z, y)():
        out[rows] = _log_normal(squared, log_variances, z.shape[1]).add_(shares).logsumexp(1)
    return out


def distances(x: Tensor, y: Tensor) -> Blocks:
    """Squared distances block by block, kept where they are few; small ones by subtraction, so that copies are at 0."""
    blocks = spans(len(x), max(1, BLOCK // len(y)))
    kept: list[Tensor] | None = [] if len(x) * len(y) <= KEPT else None

    def each() -> Iterator[tuple[slice, Tensor]]:
        for k, (a, b) in enumerate(blocks):
            if kept is not None and k < len(kept):
                yield slice(a, b), kept[k]
                continue
            squared = _squared(x[a:b], y)
            if kept is not None:
                kept.append(squared)
            yield slice(a, b), squared

    return each


def _squared(x: Tensor, y: Tensor) -> Tensor:
    norms = x.square().sum(1)[:, None] + y.square().sum(1)[None, :]
    squared = norms - 2 * (x @ y.T)
    i, j = (squared < 1e-6 * norms).nonzero(as_tuple=True)
    for a, b in spans(len(i), max(1, BLOCK // x.shape[1])):
        squared[i[a:b], j[a:b]] = (x[i[a:b]] - y[j[a:b]]).square().sum(1)
    return squared.clamp_min_(0)


def _log_normal(squared: Tensor, log_variances: Tensor, d: int) -> Tensor:
    return squared * (-0.5 * torch.exp(-log_variances)) - 0.5 * d * (log_variances + math.log(2 * math.pi))


def _next(blocks: Blocks, to_mean: Tensor, counts: Tensor, logs: Tensor, shares: Tensor, d: int) -> Tensor:
    """One round: every variance becomes the mean squared distance of the samples it answers for, over d."""
    # sums over samples are taken relative to the largest term so far: a Gaussian that answers for next to nothing
    # still has a definite optimum, which sums of underflown terms would lose
    top = torch.full_like(logs, -torch.inf)
    total, spread = torch.zeros_like(logs), torch.zeros_like(logs)
    for rows, near in blocks():
        squared = torch.cat([near, to_mean[rows, None]], 1)
        terms = _log_normal(squared, logs, d).add_(shares)
        terms -= terms.logsumexp(1, keepdim=True)
        terms += counts[rows, None].log()
        high = torch.maximum(top, terms.amax(0))
        carried = torch.exp(top - high)
        terms = torch.exp(terms - high)
        total = total * carried + terms.sum(0)
        spread = spread * carried + (terms * squared).sum(0)
        top = high
    return torch.log(spread / (d * total)).clamp(NARROWEST, WIDEST)
