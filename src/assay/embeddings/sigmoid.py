"""Is each pair of an image and a text a match, asked of every pair on its own?"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ..batch_laws import (
    ignores_length,
    only_equality_of_labels_counts,
    rotation_invariant,
    symmetric,
)
from ..batch_objective import batch_objective
from ..scale.contrast.pair_softplus import row_softplus, sum_softplus
from .sigmoid_blocks import as_score, blocks_of
from .sigmoid_ring import sigmoid_pair_over_processes

LOG_10 = math.log(10)


@batch_objective(
    best="min",
    reference="Zhai et al. 2023, Sigmoid Loss for Language Image Pre-Training, arXiv:2303.15343",
    samples=("a", "b"),
    labels=("labels",),
    over_processes=sigmoid_pair_over_processes,
    lower=0.0,
    laws=[ignores_length, rotation_invariant, symmetric, only_equality_of_labels_counts],
)
def sigmoid_pair(
    a: Tensor,
    b: Tensor,
    labels: Tensor | None = None,
    *,
    log_scale: float | Tensor = LOG_10,
    bias: float | Tensor = -10.0,
    normalise: bool = True,
    reference_a: Tensor | None = None,
    reference_b: Tensor | None = None,
    reference_labels: Tensor | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    r"""Every pair of an a and a b as a match or not, each decided on its own (SigLIP).

    $$ L = -\frac{1}{B} \sum_{i=1}^B \sum_{j=1}^B \log \sigma\big( z_{ij} (t\, \hat a_i \cdot \hat b_j + \beta) \big),
    \qquad t = e^{\text{log scale}} $$

    with  $\hat a = a / |a|$,  $z_{ij} = 1$  for a positive pair and  $-1$  for any other. Positive are the pairs i = j,
    or, with labels, all pairs of equal labels. No pair's value depends on another pair: nothing is normalised over the
    batch, and blocks of pairs are summed wherever they are.

    Args:
        a: (B, d) embeddings of one side, images say.
        b: (B, d) of the other; row i belongs to row i of `a`.
        labels: (B,) whole numbers: pairs of equal labels are positive, among them those i = j.
        log_scale: the logarithm of t; a tensor () with gradient to learn it. The paper starts at log 10.
        bias:  $\beta$,  likewise; the paper starts at -10, which takes almost every pair for a negative, as it is.
        normalise: whether rows are brought to unit length first; False for rows that are already.
        reference_a: (M, d) rows beside `a`, met by every row of `b`, and no anchors: a queue, hard negatives.
        reference_b: (M', d) rows beside `b`, met by every row of `a`.
        reference_labels: (M,) labels of the reference rows, needed where there are `labels`. Without labels every
            reference row is a negative.
        reduction: "mean" over the anchors, or "none": (B,) the sum of anchor i's pairs, whose mean is the loss.

    Returns:
        A scalar, at least 0; smaller is better. Its sum over pairs is divided by B, not by B^2.

    Raises:
        UsageError: rows, labels or reference rows of wrong shapes, widths or devices; labels for the batch or for the
            reference rows alone; `log_scale` or `bias` that is not one number.

    Complexity: O(B (B + M) d) time and O((B + M) d) memory: no B x B matrix is formed. With "mean" a tile of pairs is
    visited once, for the value and the gradient; with "none" again in the backward pass. Over processes
    (`.objective()`) rows are not gathered: each process's rows of `b` travel round all processes, B_local d of memory.

    FAQ:
        *Which pairs count?* All B^2, and with reference sets B M' + M B more; positives are among them.
        *What is a good value?* With log_scale log 10, bias -10 and unrelated rows of many dimensions about 10, all of
        it from the positives; it grows with B where negatives are not told apart.
        *A row of zeros?* Has no direction: it stays zero and its score is the bias.
        *Not the paper's pseudo-code at bias 0?* The same formula; only the start differs, and from 0 the first steps
        are spent on undoing B - 1 negatives an anchor.
    """
    scale, shift = as_score(log_scale, bias, a)
    blocks = blocks_of(a, b, labels, reference_a, reference_b, reference_labels, normalise=normalise)
    reduce = row_softplus if reduction == "none" else sum_softplus
    total = torch.stack([reduce(block.x, block.y, scale, shift, block.positives) for block in blocks]).sum(0)
    return (total if reduction == "none" else total / len(a)).to(a.dtype)
