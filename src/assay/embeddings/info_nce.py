"""Is each row closest to its partner? The contrastive cross entropy over a batch of pairs, NT-Xent included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ..batch_laws import rotation_invariant, symmetric
from ..batch_objective import batch_objective
from ..errors import UsageError
from ..scale.contrast.pair_weights import PairWeights, WeightBlock
from ..scale.contrast.softmax_tiles import log_partition_within, log_partitions, row_log_partition
from .reference_rows import as_reference
from .scaled_rows import Temperature, scaled_rows

Negatives = Literal["cross", "both"]


@batch_objective(
    best="min",
    lower=0.0,
    samples=("a", "b"),
    laws=[symmetric, rotation_invariant],
    reference="van den Oord et al. 2018, arXiv:1807.03748; Chen et al. 2020 (NT-Xent), arXiv:2002.05709; "
    "Radford et al. 2021 (both directions), arXiv:2103.00020",
)
def info_nce(
    a: Tensor,
    b: Tensor,
    *,
    temperature: Temperature = 0.1,
    negatives: Negatives = "cross",
    symmetric: bool = True,
    weights: Tensor | WeightBlock | None = None,
    normalise: bool = True,
    reference_a: Tensor | None = None,
    reference_b: Tensor | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    r"""How surprised a softmax over similarities is by each row's partner: row i of a and row i of b are one sample.

    With similarities  $s(x, y) = x^\top y / (|x| |y|)$  and temperature t, an anchor x with the partner p among the
    candidates C costs

    $$ -\log \frac{e^{s(x, p) / t}}{\sum_{c \in C} w_c\, e^{s(x, c) / t}}, \qquad w_p = 1 $$

    | negatives | anchors | candidates of $a_i$ (partner included) | known as |
    |---|---|---|---|
    | "cross" | every $a_i$ and every $b_i$ | $b_1, \dots, b_N$ | CLIP's loss |
    | "cross", `symmetric=False` | every $a_i$ | $b_1, \dots, b_N$ | InfoNCE |
    | "both" | every $a_i$ and every $b_i$ | all $a_j$ and $b_j$ but $a_i$ itself | NT-Xent, SimCLR |

    and the mean is over the anchors.

    Args:
        a, b: (N, d) embeddings of two views, or of two modalities.
        temperature: t above zero, a number or a scalar tensor, which then has a gradient
            (`LearnableTemperature`, an `nn.Parameter`).
        negatives: whose rows an anchor is held against, as in the table.
        symmetric: whether the rows of b are anchors too; always so for "both".
        weights: $w_{ij}$, not below zero, of sample j as a negative of anchor i: a matrix (N, N), which may have a
            gradient, or a function of two tensors of sample numbers (r,), (c,) that gives the block (r, c), so that
            nothing of size N x N is held. 1 is the plain loss, 0 leaves j out, 2 counts it twice. The diagonal is not
            read.
        normalise: whether similarities are cosines; False takes the products of the rows as they are.
        reference_a: (M, d) rows beside a: further negatives of every row of b, and no anchors (a queue, a memory bank,
            mined negatives). With "both", of every row.
        reference_b: (M', d) rows beside b, further negatives of every row of a.
        reduction: "mean", or "none" for the value a pair, (N,): the mean over its anchors.

    Returns:
        A scalar of at least 0 (but for rounding in the similarities), smaller is better; log N where all embeddings
        are equal ("cross").

    Raises:
        UsageError: rows that do not fit together, a temperature that is not above zero, weights of another shape.

    Complexity: O(N^2 d) time, O(N d) memory; every tile of similarities is formed once forward and once backward, for
    both directions ("both" visits each pair of rows once). Second derivatives are not available.

    FAQ:
        *Which equals what?* "both" is lightly's `NTXentLoss` and, with labels 0..N-1 twice, pytorch-metric-learning's;
        "cross" is open_clip's `ClipLoss` with `temperature=1 / logit_scale`.
        *A row of zeros?* Has no direction: its similarities are 0, and so is its gradient.
        *Does a learnable temperature cost anything?* No pass over pairs. On a GPU its value is waited for, because how
        sums are kept from overflowing depends on it.
        *Several processes?* `info_nce.objective()` gathers the batch; `weights` are then of the whole batch.
    """
    if negatives not in ("cross", "both"):
        raise UsageError(f'negatives: expected "cross" or "both", got {negatives!r}')
    if negatives == "both" and not symmetric:
        raise UsageError(
            'symmetric=False is for negatives="cross": with "both", rows of a and b are anchors alike'
        )
    beside_a, beside_b = (
        as_reference(rows, name, a)
        for name, rows in (("reference_a", reference_a), ("reference_b", reference_b))
    )
    if beside_a is not None and not symmetric:
        raise UsageError(
            "reference_a: with symmetric=False no row of b is an anchor, which it would be held against"
        )
    given = [rows for rows in (beside_a, beside_b) if rows is not None]
    (x, y, *beside), bound = scaled_rows((a, b, *given), temperature, normalise)
    pairs = None if weights is None else PairWeights(_weights(weights, a), len(a))
    if negatives == "both":
        z = torch.cat([x, y])
        within = log_partition_within(z, bound=bound, weights=pairs)
        for further in beside:
            within = torch.logaddexp(within, row_log_partition(z, further, bound=bound))
        rows, columns = within.chunk(2)
        x, y = z.chunk(2)  # the parts of what is held anyway
    elif symmetric:
        rows, columns = log_partitions(x, y, bound=bound, weights=pairs)
    else:
        rows = columns = row_log_partition(x, y, bound=bound, weights=pairs)
    if negatives == "cross" and beside_b is not None:
        rows = torch.logaddexp(rows, row_log_partition(x, beside[-1], bound=bound))
    if negatives == "cross" and beside_a is not None:
        columns = torch.logaddexp(columns, row_log_partition(y, beside[0], bound=bound))
    if not symmetric:
        columns = rows
    values: Tensor = (rows + columns) / 2 - torch.linalg.vecdot(x, y)
    return values.mean() if reduction == "mean" else values


def _weights(weights: Tensor | Callable[[Tensor, Tensor], Tensor], like: Tensor) -> Tensor | WeightBlock:
    if not isinstance(weights, Tensor):
        if not callable(weights):
            raise UsageError(f"weights: expected a matrix or a function, got {type(weights).__name__}")
        return weights
    n = len(like)
    if weights.shape != (n, n):
        raise UsageError(f"weights: expected the shape ({n}, {n}), got {tuple(weights.shape)}")
    if weights.device != like.device:
        raise UsageError(f"weights are on {weights.device} and the embeddings on {like.device}; move one")
    return weights if weights.is_floating_point() else weights.to(like.dtype)
