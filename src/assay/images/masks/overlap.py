"""How much of the two masks is common to both?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs
from ...pairs import pair_measure
from ..option_values import is_number
from .class_mean import Absent, class_mean, safe_ratio, smoothing


def overlaps(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C) common mass, mass of the prediction and mass of the target of every class."""
    p, t = prediction.flatten(2), target.flatten(2)
    return (p * t).sum(2), p.sum(2), t.sum(2)


def _tversky(
    prediction: Tensor, target: Tensor, by_false_positive: float, by_false_negative: float, smooth: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C) indices and whether each class is in the prediction and in the target."""
    smooth = smoothing(smooth)
    common, predicted, wanted = overlaps(prediction, target)
    errors = by_false_positive * (predicted - common) + by_false_negative * (wanted - common)
    index = safe_ratio(common + smooth, common + errors + smooth, 1.0)
    # NaN is something
    return index, ~(predicted <= 0), ~(wanted <= 0)


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs],
    reference="Dice 1945, doi:10.2307/1932409; soft form and smoothing: Drozdzal et al. 2016, arXiv:1608.04117",
)
def dice(prediction: Tensor, target: Tensor, *, absent: Absent = "one", smooth: float = 0.0) -> Tensor:
    r"""Dice coefficient: twice the common mass over the sum of both, a class at a time, then the classes' mean.

    $$ D_c = \frac{2 \sum_u p_{cu} t_{cu} + s}{\sum_u p_{cu} + \sum_u t_{cu} + s}, \qquad
       D = \frac1C \sum_c D_c $$

    over the places u of one pair: exact on hard masks, where it is the F1 score of the places, and soft on
    probabilities. Pairs are never pooled.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: truth values, or probabilities in [0, 1].
            Classes may overlap. Leave out the channel of the background, or it is a class like the others.
        target: likewise.
        absent: what a class counts that is in neither mask (no mass at all):

            - "one": 1, right as far as it goes (MONAI with `ignore_empty=False`, DAVIS);
            - "zero": 0 (scikit-learn's `zero_division=0`);
            - "skip": nothing; the mean is over the classes that are in at least one of the masks (torchmetrics);
            - "skip_empty_target": the mean is over the classes of the target, so that inventing a class costs nothing
              (MONAI by default).

            A pair that has no class left to count has the value NaN and the gradient zero; `estimate` refuses it.
        smooth: s, in places. With a number above zero a class that is missing in the target has a gradient.

    Returns:
        (B,) in [0, 1]; higher is better. A class in one of the masks only scores 0 (with `smooth`, a little more).

    Raises:
        UsageError: members that are no masks of one shape, an unknown `absent`, `smooth` below 0.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.

    Complexity: three sums over both masks, and the memory of their product.

    FAQ:
        *Another package says something else.* Most differences are pooling: a Dice over the batch's summed places
        is not the mean of the images' Dices (large objects weigh more), and it has no value a sample. The rest is the
        convention for absent classes.

        *Is a perfect soft prediction 1?* Only a hard one. For probabilities the form has the products below as well:
        dice(p, p) = sum p^2 / sum p. To score the decision rather than the confidence, give `prediction > 0.5` or
        the one-hot classes of the argmax.

        *As a loss?* `dice.objective(smooth=1.0)` is minus the value: the usual Dice loss less 1. Where a class is
        absent from the target and `smooth` is 0 the value is 0 whatever the prediction, and so is the gradient.
    """
    index, predicted, wanted = _tversky(prediction, target, 0.5, 0.5, 0.5 * smoothing(smooth))
    return class_mean(index, predicted, wanted, absent)


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs],
    reference="Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x; soft form: Rahman and Wang 2016, ISVC",
)
def iou(prediction: Tensor, target: Tensor, *, absent: Absent = "one", smooth: float = 0.0) -> Tensor:
    r"""Intersection over union (Jaccard index), a class at a time, then the classes' mean.

    $$ J_c = \frac{\sum_u p_{cu} t_{cu} + s}{\sum_u p_{cu} + \sum_u t_{cu} - \sum_u p_{cu} t_{cu} + s} $$

    Exact on hard masks, soft on probabilities, and a pair at a time. J = D / (2 - D) of the same class's `dice`.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: truth values, or probabilities in [0, 1].
        target: likewise.
        absent: what a class counts that is in neither mask; as in `dice`.
        smooth: s, in places.

    Returns:
        (B,) in [0, 1]; higher is better. A class in one of the masks only scores 0.

    Raises:
        UsageError: members that are no masks of one shape, an unknown `absent`, `smooth` below 0.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.

    Complexity: three sums over both masks, and the memory of their product.

    FAQ:
        *Is this the mean IoU of a benchmark?* Of VOC and Cityscapes, no: those sum every class's places over the whole
        data set first and then divide. Here each pair has a value, so that there are intervals and worst files.

        *Is iou(p, p) 1 for probabilities?* Only for hard ones; see `dice`.
    """
    index, predicted, wanted = _tversky(prediction, target, 1.0, 1.0, smooth)
    return class_mean(index, predicted, wanted, absent)


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    reference="Tversky 1977, Psychological Review 84(4); for masks: Salehi et al. 2017, arXiv:1706.05721",
)
def tversky(
    prediction: Tensor,
    target: Tensor,
    *,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    absent: Absent = "one",
    smooth: float = 0.0,
) -> Tensor:
    r"""Tversky index: overlap with a price for each kind of error, a class at a time, then the classes' mean.

    $$ T_c = \frac{\sum p t + s}{\sum p t + \alpha \sum p (1 - t) + \beta \sum (1 - p) t + s} $$

    With alpha = beta = 1/2 it is `dice` (whose s counts twice), with alpha = beta = 1 `iou`.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: truth values, or probabilities in [0, 1].
        target: likewise.
        false_positives: alpha, the price of a place drawn too much.
        false_negatives: beta, the price of a place missed; above alpha for small objects.
        absent: what a class counts that is in neither mask; as in `dice`.
        smooth: s, in places.

    Returns:
        (B,) in [0, 1]; higher is better. A class in one of the masks only scores 0.

    Raises:
        UsageError: members that are no masks of one shape, a price not above 0, an unknown `absent`.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.

    FAQ:
        *Which of the two is alpha?* Salehi et al. write alpha for false positives; Abraham and Khan (2018) write it for
        false negatives. Hence names.
    """
    _prices(false_positives, false_negatives)
    index, predicted, wanted = _tversky(prediction, target, false_positives, false_negatives, smooth)
    return class_mean(index, predicted, wanted, absent)


@pair_measure(
    domain="masks",
    best="min",
    lower=0.0,
    upper=1.0,
    reference="Abraham and Khan 2018, arXiv:1810.07842",
)
def focal_tversky(
    prediction: Tensor,
    target: Tensor,
    *,
    gamma: float = 4 / 3,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    absent: Absent = "one",
    smooth: float = 0.0,
) -> Tensor:
    r"""Focal Tversky loss: classes that are already good pull less, or more, than the rest.

    $$ L = \frac1C \sum_c (1 - T_c)^{1 / \gamma} $$

    with the `tversky` index T. Above 1, gamma flattens the loss of bad classes and steepens it near the goal.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: truth values, or probabilities in [0, 1].
        target: likewise.
        gamma: above 0; 4/3 in the paper, which looks at 1 to 3.
        false_positives, false_negatives: prices; as in `tversky`.
        absent: what a class counts that is in neither mask; as in `dice`, "one" for a perfect class (here 0).
        smooth: s, in places.

    Returns:
        (B,) in [0, 1]; lower is better. The root is steep near 0, yet where a class is perfect the gradient is 0.

    Raises:
        UsageError: members that are no masks of one shape, gamma or a price not above 0, an unknown `absent`.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.
    """
    _prices(false_positives, false_negatives)
    if not is_number(gamma) or not 0 < gamma < math.inf:
        raise UsageError(f"gamma: expected a number above 0, such as 4 / 3, got {gamma!r}")
    index, predicted, wanted = _tversky(prediction, target, false_positives, false_negatives, smooth)
    short = (1.0 - index).clamp(min=0.0)
    some = short != 0
    loss = torch.where(some, torch.where(some, short, 1.0) ** (1.0 / gamma), 0.0)
    return class_mean(loss, predicted, wanted, absent, perfect=0.0)


def _prices(false_positives: float, false_negatives: float) -> None:
    for name, price in (("false_positives", false_positives), ("false_negatives", false_negatives)):
        if not is_number(price) or not 0 < price < math.inf:
            raise UsageError(f"{name}: expected a price above 0, such as 0.5, got {price!r}")
