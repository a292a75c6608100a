"""Is the network of vessels, roads or cracks connected as it should be? By true skeletons of hard masks."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ...errors import MissingExtra, UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from .class_mean import Absent, checked_threshold, class_mean, safe_ratio, smoothing

Classes = Literal["together", "alone"]


def _thinned(mask: Any) -> Any:
    """One mask's skeleton as truth values; of one that thinning makes vanish, a block of 2 x 2 x 2, the mask."""
    try:
        from skimage import morphology
    except ImportError:
        raise MissingExtra("scikit-image", "masks", "a skeleton of a mask") from None
    skeletonize: Any = morphology.skeletonize
    thin = skeletonize(mask) != 0
    return thin if thin.any() else mask


def skeletons(masks: Tensor) -> Tensor:
    """(B, C, *places) truth values -> their skeletons, on the processor: thinning in 2-D, Lee's in 3-D."""
    hard = masks.detach().cpu().numpy()
    flat = hard.reshape(-1, *hard.shape[2:])
    thin = np.stack([_thinned(mask) if mask.any() else mask for mask in flat])
    return torch.from_numpy(thin.reshape(hard.shape)).to(masks.device)


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    differentiable=False,
    reference="Shit et al. 2021, arXiv:2003.07311; skeletons: Zhang and Suen 1984 (2-D), Lee et al. 1994 (3-D)",
)
def cldice(prediction: Tensor, target: Tensor, *, threshold: float = 0.5, absent: Absent = "one") -> Tensor:
    r"""Centreline Dice: does each mask's skeleton lie within the other mask? A class at a time, then the classes' mean.

    $$ \mathrm{clDice} = \frac{2 T_p T_s}{T_p + T_s}, \qquad T_p = \frac{|S_p \cap t|}{|S_p|}, \qquad
       T_s = \frac{|S_t \cap p|}{|S_t|} $$

    A gap costs the whole skeleton it cuts out, however thin the vessel; a vessel drawn too wide costs nothing.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class.
        target: likewise.
        threshold: places above it belong to the mask, for probabilities.
        absent: what a class counts that is in neither mask; as in `dice`.

    Returns:
        (B,) in [0, 1]; higher is better. A class in one of the masks only scores 0.

    Raises:
        MissingExtra: without scikit-image: the extra "masks".
        UsageError: members that are no masks of one shape, a threshold outside [0, 1). `objective` too:
            `soft_cldice` is the form to train with.
        DataError: in `estimate`: values outside [0, 1], NaN, or a pair without a class to count.

    Complexity: one thinning a mask, on the processor.

    FAQ:
        *Other packages?* The paper's repository has the same value, and NaN where a mask is empty; its names for the
        two shares are exchanged, which the harmonic mean does not see.

        *A mask whose skeleton is empty?* Thinning in 3-D makes a block of 2 x 2 x 2 vanish. Its skeleton is then the
        block itself.
    """
    threshold = checked_threshold(threshold)
    p, t = prediction > threshold, target > threshold
    thin_p, thin_t = skeletons(p), skeletons(t)
    dtype = prediction.dtype

    def mass(places: Tensor) -> Tensor:
        return places.flatten(2).sum(2).to(dtype)

    precision = safe_ratio(mass(thin_p & t), mass(thin_p), 1.0)
    recall = safe_ratio(mass(thin_t & p), mass(thin_t), 1.0)
    score = safe_ratio(2 * precision * recall, precision + recall, 0.0)
    return class_mean(score, p.flatten(2).any(2), t.flatten(2).any(2), absent)


def tubed_skeleton(masks: Any, *, tube: int = 2, classes: Classes = "together") -> Tensor:
    """A tube around the skeleton of each target mask, within the mask: what `skeleton_recall` wants to see covered.

    Args:
        masks: (B, C, H, W) or (B, C, D, H, W) target masks, above 0 where the class is.
        tube: dilations of the skeleton by a place and its next neighbours along the axes.
        classes: "together" thins the union of all classes and then deals the tube out to them, as published: leave
            out the channel of the background. "alone" thins every class by itself.

    Returns:
        (B, C, *places) truth values. Make them once a target, in the data loader.

    Raises:
        MissingExtra: without scikit-image: the extra "masks".
        UsageError: other shapes, a negative tube, an unknown `classes`.
    """
    masks = torch.as_tensor(masks)
    if masks.ndim not in (4, 5) or 0 in masks.shape:
        raise UsageError(f"masks: expected (B, C, H, W) or (B, C, D, H, W), got {tuple(masks.shape)}")
    if isinstance(tube, bool) or not isinstance(tube, int) or tube < 0:
        raise UsageError(f"tube: expected a whole number of dilations, 0 or more, got {tube!r}")
    if classes not in get_args(Classes):
        raise UsageError(f"classes: expected 'together' or 'alone', got {classes!r}")
    hard: Tensor = masks > 0
    wide = skeletons(hard.any(1, keepdim=True) if classes == "together" else hard)
    for _ in range(tube):
        before = wide
        for axis in range(2, wide.ndim):
            rest = wide.shape[axis] - 1
            wide = wide.clone()
            wide.narrow(axis, 0, rest).logical_or_(before.narrow(axis, 1, rest))
            wide.narrow(axis, 1, rest).logical_or_(before.narrow(axis, 0, rest))
    return wide & hard


@pair_measure(
    domain="masks",
    best="max",
    lower=0.0,
    upper=1.0,
    reference="Kirchhoff et al. 2024, arXiv:2404.03010",
)
def skeleton_recall(prediction: Tensor, skeleton: Tensor, *, smooth: float = 0.0) -> Tensor:
    r"""Skeleton recall: which share of the target's tubed skeleton is covered, a class at a time, then their mean.

    $$ R_c = \frac{\sum_u p_{cu} s_{cu} + \epsilon}{\sum_u s_{cu} + \epsilon} $$

    Linear in the prediction: no skeleton of it is needed, so it costs next to nothing, in 3-D too. It asks for
    connections and says nothing of places drawn too much; train with it beside `dice`.

    Args:
        prediction: (B, C, H, W) or (B, C, D, H, W), one channel a class: probabilities in [0, 1] or truth values.
        skeleton: `tubed_skeleton(target)`, not the target itself: that would be plain recall.
        smooth: epsilon, in places; 1e-5 in the paper's trainer.

    Returns:
        (B,) in [0, 1]; higher is better. A class without a skeleton scores 1: there is nothing to cover.

    Raises:
        UsageError: members that are no masks of one shape, `smooth` below 0.
        DataError: in `estimate`: values outside [0, 1] or NaN.
    """
    smooth = smoothing(smooth)
    p, s = prediction.flatten(2), skeleton.flatten(2)
    covered = (p[:, :, None, :] @ s[:, :, :, None])[..., 0, 0] + smooth
    return safe_ratio(covered, s.sum(2) + smooth, 1.0).mean(1)
