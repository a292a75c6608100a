"""Published ways to compute a number, kept apart from the measure they approximate: subsets and splits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ..checks import as_samples, sane
from ..errors import UsageError
from ..scale.kernels import polynomial
from ..scale.progress import tick
from .inception import inception_score
from .kernel import kernel_distance


@dataclass(frozen=True)
class OverParts:
    """What a protocol found on each part of the samples.

    Attributes:
        mean: over the parts; the printed value.
        std: over the parts, their number in the denominator. It says how much parts differ, not how sure the mean is.
        values: (parts,) float64.
    """

    mean: float
    std: float
    values: Tensor

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.std:.2g} over {len(self.values)} parts"


def kid_subsets(
    x: Any,
    y: Any,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
    generator: torch.Generator | None = None,
) -> OverParts:
    r"""Kernel distance over random subsets of both sides, the protocol behind printed KID values.

    $$ \frac{1}{S} \sum_s \mathrm{MMD}^2(X_s, Y_s), \qquad
       k(a, b) = (\gamma \langle a, b \rangle + c_0)^{\text{degree}} $$

    with X_s and Y_s drawn without replacement and the unbiased form within each.

    Args:
        x: real side, (n, d) features.
        y: generated side, (m, d) features.
        subsets: S.
        subset_size: samples a side in each.
        degree, gamma, coef0: of the polynomial kernel; gamma is 1 / d unless given.
        generator: for the subsets; the default always draws the same ones.

    Returns:
        Mean, spread and values. Its expectation is that of `kernel_distance`, which takes all pairs at once, varies
        less and has an interval: use this to compare with printed figures only.

    Raises:
        UsageError: a side of fewer than `subset_size` samples, fewer than two of them a subset, no subsets, or
            different numbers of features.

    Source: Binkowski et al. 2018, arXiv:1801.01401. What implementations do differently: torch-fidelity and
    torchmetrics take exactly this mean and spread, and refuse smaller sets as here. Code that goes back to the paper's
    own draws a subset with replacement where the set is larger, so that a sample may come twice. clean-fid and others
    lower the subset's size to the smaller set's without a word; its formula is the same in other brackets, and it
    prints the mean alone. Figures are often times 1000.
    """
    real, made = as_samples(x, "x").detach(), as_samples(y, "y").detach()
    if real.shape[1] != made.shape[1]:
        raise UsageError(
            f"x has {real.shape[1]} features and y has {made.shape[1]}; use one extractor for both"
        )
    if subsets < 1 or subset_size < 2:
        raise UsageError(f"expected subsets >= 1 and subset_size >= 2, got {subsets} and {subset_size}")
    for name, side in (("x", real), ("y", made)):
        if len(side) < subset_size:
            raise UsageError(
                f"{name}: has {len(side)} samples, fewer than subset_size={subset_size}; lower it, and say so beside "
                "the number, or use kernel_distance, which needs no subsets"
            )
        sane(side, name, "features")
    kernel = polynomial(degree, gamma, coef0, width=real.shape[1])
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    values = []
    for k in range(subsets):
        parts = [
            side[torch.randperm(len(side), generator=generator)[:subset_size].to(side.device)]
            for side in (real, made)
        ]
        values.append(kernel_distance(*parts, kernel=kernel).to(torch.float64))
        tick("subsets", k + 1, subsets)
    return _over(torch.stack(values))


def inception_score_splits(
    y: Any,
    *,
    splits: int = 10,
    split_size: int | None = None,
    shuffle: bool = True,
    generator: torch.Generator | None = None,
) -> OverParts:
    r"""Inception score of each of several consecutive parts of a set, the protocol behind printed values.

    $$ \frac{1}{S} \sum_s \exp\Big( \frac{1}{|s|} \sum_{i \in s} \mathrm{KL}(p_i \,\|\, \bar p_s) \Big) $$

    with part s of n samples the rows from floor(s n / S) to floor((s + 1) n / S).

    Args:
        y: (n, C) class probabilities, rows summing to 1 (`logits.softmax(1)`).
        splits: S.
        split_size: in place of `splits`, how many rows a part has; the last one has what is left.
        shuffle: whether the rows are put in random order first. Samples sorted by class need it: a part that holds
            few classes scores low.
        generator: for the order; the default always draws the same one.

    Returns:
        Mean, spread and values, each in [1, C]. A part's score is biased low by its size: `inception_score` is the
        score of the whole set, and its `estimate` is freed of the bias.

    Raises:
        UsageError: fewer samples than splits, or no splits.
        DataError: rows that are no probabilities.

    Source: Salimans et al. 2016, arXiv:1606.03498. What implementations do differently: the paper's code keeps the rows
    in order (`shuffle=False`); torch-fidelity shuffles by its own seed; torchmetrics shuffles by the global one, cuts
    parts of equal size with a smaller last one, and divides the spread by S - 1; guided-diffusion cuts parts of 5,000
    in order (`split_size=5000, shuffle=False`).
    """
    samples = as_samples(y, "y").detach()
    sane(samples, "y", "probabilities")
    n = len(samples)
    for option, given in (("splits", splits), ("split_size", 1 if split_size is None else split_size)):
        if given < 1 or (option == "splits" and split_size is None and given > n):
            raise UsageError(f"{option}: expected 1 to {n} (the samples there are), got {given}")
    if shuffle:
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        samples = samples[torch.randperm(n, generator=generator).to(samples.device)]
    edges = (
        [s * n // splits for s in range(splits + 1)] if split_size is None else [*range(0, n, split_size), n]
    )
    values = [inception_score(samples[a:b].to(torch.float64)) for a, b in pairwise(edges)]
    return _over(torch.stack(values))


def _over(values: Tensor) -> OverParts:
    values = values.cpu()
    return OverParts(float(values.mean()), float(values.std(correction=0)), values)
