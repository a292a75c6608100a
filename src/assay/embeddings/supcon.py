"""Is each row close to all of its class? The supervised contrastive loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..batch_laws import only_equality_of_labels_counts, rotation_invariant
from ..batch_objective import batch_objective
from ..errors import UsageError
from ..scale.contrast.softmax_tiles import log_partition_within, row_log_partition
from .class_sums import class_sums
from .reference_rows import as_reference, as_reference_labels
from .scaled_rows import Temperature, scaled_rows


def has_positives(
    z: Tensor, labels: Tensor, other: Tensor | None = None, labels_other: Tensor | None = None
) -> Tensor:
    """(N,) which rows have another row of their class to be close to: the anchors of `supcon` without a reference."""
    theirs = labels if labels_other is None else labels_other
    known, index = torch.unique(torch.cat([labels, theirs]), return_inverse=True)
    count = torch.bincount(index[len(labels) :], minlength=len(known))
    return count[index[: len(labels)]] > (1 if other is None else 0)


@batch_objective(
    best="min",
    samples=("z", "other"),
    labels=("labels", "labels_other"),
    aligned=(("z", "labels"), ("other", "labels_other")),
    anchors=has_positives,
    laws=[rotation_invariant, only_equality_of_labels_counts],
    reference="Khosla et al. 2020, arXiv:2004.11362 (the mean outside the logarithm)",
)
def supcon(
    z: Tensor,
    labels: Tensor,
    other: Tensor | None = None,
    labels_other: Tensor | None = None,
    *,
    temperature: Temperature = 0.1,
    normalise: bool = True,
    reference_z: Tensor | None = None,
    reference_labels: Tensor | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    r"""How surprised a softmax over similarities is by the members of each row's own class.

    With  $s_{ij} = z_i^\top z_j / (|z_i| |z_j| t)$  and P(i) the other rows of the class of i,

    $$ L = \frac{1}{|\{i : P(i) \neq \emptyset\}|} \sum_{i : P(i) \neq \emptyset} \frac{-1}{|P(i)|} \sum_{p \in P(i)}
       \log \frac{e^{s_{ip}}}{\sum_{j \neq i} e^{s_{ij}}} $$

    A row alone in its class is no anchor: it has no positive, so its value is 0 and it does not count in the mean; it
    stays a negative of the others. Several views of a sample are rows with one label:
    ``supcon(z.flatten(0, 1), labels.repeat_interleave(views))``.

    With `other`, anchors are the rows of z, and both positives and negatives the rows of `other` alone: another
    modality (one direction; average two calls for both), a teacher, or prototypes. Rows that are candidates beside
    the batch's own, a memory bank, are `reference_z`.

    Args:
        z: (N, d) embeddings.
        labels: (N,) classes, whole numbers.
        other: (M, d) embeddings to be held against instead of z itself.
        labels_other: (M,) their classes; those of z unless given, which needs M = N.
        temperature: t above zero, a number or a scalar tensor, which then has a gradient.
        normalise: whether similarities are cosines; False takes the products of the rows as they are.
        reference_z: (K, d) rows to be held against as well, and no anchors.
        reference_labels: (K,) their classes.
        reduction: "mean", or "none" for the value an anchor, (N,), 0 for rows that are none.

    Returns:
        A scalar, smaller is better; 0 where no row has a positive. At least log |P(i)| averaged over the anchors: a
        softmax cannot be sure of several.

    Raises:
        UsageError: rows that do not fit together, both `other` and `reference_z`, a temperature that is not above
            zero.

    Complexity: O(N^2 d) time, O(N d) memory: the positives are summed by class, not one by one.

    FAQ:
        *Which equals what?* pytorch-metric-learning's `SupConLoss`, with `other` its `ref_emb`. With two rows a class
        it is `info_nce(..., negatives="both")`.
        *With class sizes n_c, unit embeddings equal within classes and orthogonal between them?* An anchor's value is
        $\log((n_c - 1) e^{1/t} + n - n_c) - 1/t$  (Kini et al. 2023, arXiv:2306.07960).
        *Why is it not 0 at its best?* The positives share the softmax: the bound is the logarithm of their number.
    """
    theirs = _labels_of(other, labels, labels_other)
    beside = as_reference(reference_z, "reference_z", z)
    beside_labels = as_reference_labels(reference_labels, labels, {"reference_z": beside})
    if other is not None and beside is not None:
        raise UsageError(
            "reference_z: with other, the candidates are not rows of one batch with z; append reference_z to other, "
            "and its labels to labels_other"
        )
    given = [rows for rows in (other, beside) if rows is not None]
    (x, *rest), bound = scaled_rows((z, *given), temperature, normalise)
    y = x if other is None else rest[0]
    own = other is None
    partition = log_partition_within(x, bound=bound) if own else row_log_partition(x, y, bound=bound)
    sums, count = class_sums(y, theirs, labels)
    positives = torch.linalg.vecdot(x, sums).to(torch.float64)
    if own:
        positives, count = positives - torch.linalg.vecdot(x, x), count - 1
    if beside_labels is not None:
        partition = torch.logaddexp(partition, row_log_partition(x, rest[-1], bound=bound))
        sums, further = class_sums(rest[-1], beside_labels, labels)
        positives, count = positives + torch.linalg.vecdot(x, sums), count + further
    anchor = count > 0
    # a row without another has no partition either; both are kept out of the gradient as well
    values = torch.where(anchor, partition, 0.0) - torch.where(anchor, positives, 0.0) / count.clamp_min(1)
    return values.sum() / anchor.sum().clamp_min(1) if reduction == "mean" else values


def _labels_of(other: Tensor | None, labels: Tensor, labels_other: Tensor | None) -> Tensor:
    if other is None:
        if labels_other is not None:
            raise UsageError("labels_other is given without the rows it labels: pass other, or leave it out")
        return labels
    if labels_other is None:
        if len(other) != len(labels):
            raise UsageError(
                f"other has {len(other)} rows and labels {len(labels)}: pass labels_other, one label a row of other"
            )
        return labels
    return labels_other
