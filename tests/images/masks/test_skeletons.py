"""Skeletons are those of scikit-image, soft ones those of grey morphology, and gaps cost what they cut off."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.morphology import skeletonize

from assay.errors import MissingExtra, UsageError
from assay.images.masks import cldice, skeleton_recall, soft_cldice, soft_skeleton, tubed_skeleton


def blobs(seed: int, *shape: int) -> torch.Tensor:
    noise = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), (0, 0, *(2,) * (len(shape) - 2))))


def line() -> torch.Tensor:
    mask = torch.zeros(1, 1, 15, 40)
    mask[..., 6:9, 2:38] = 1
    return mask


def soft_skeleton_by_scipy(mask: np.ndarray, iterations: int) -> np.ndarray:
    cross = ndimage.generate_binary_structure(mask.ndim, 1)

    def left(m: np.ndarray) -> np.ndarray:
        opened = ndimage.grey_dilation(
            ndimage.grey_erosion(m, footprint=cross, mode="nearest"), size=(3,) * m.ndim, mode="nearest"
        )
        return np.maximum(m - opened, 0)

    skeleton = left(mask)
    for _ in range(iterations):
        mask = ndimage.grey_erosion(mask, footprint=cross, mode="nearest")
        skeleton = skeleton + np.maximum(left(mask) - skeleton * left(mask), 0)
    return skeleton


@pytest.mark.parametrize("places", [(20, 24), (8, 9, 10)])
def test_soft_skeletons_as_grey_morphology(places):
    masks = torch.sigmoid(20 * blobs(0, 2, 2, *places))
    got = soft_skeleton(masks, 4)
    for i in range(2):
        for c in range(2):
            expected = soft_skeleton_by_scipy(masks[i, c].numpy(), 4)
            np.testing.assert_allclose(got[i, c].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_soft_cldice_from_the_definition(smooth):
    p, t = torch.sigmoid(20 * blobs(0, 3, 2, 20, 24)), (blobs(1, 3, 2, 20, 24) > 0).double()
    expected = []
    for i in range(3):
        scores = []
        for c in range(2):
            a, b = p[i, c].numpy(), t[i, c].numpy()
            thin_a, thin_b = soft_skeleton_by_scipy(a, 3), soft_skeleton_by_scipy(b, 3)
            precision = ((thin_a * b).sum() + smooth) / (thin_a.sum() + smooth)
            recall = ((thin_b * a).sum() + smooth) / (thin_b.sum() + smooth)
            scores.append(2 * precision * recall / (precision + recall))
        expected.append(np.mean(scores))
    np.testing.assert_allclose(soft_cldice(p, t, iterations=3, smooth=smooth).numpy(), expected, atol=1e-12)


def test_soft_cldice_of_empty_masks():
    mask, empty = line().double(), torch.zeros(1, 1, 15, 40, dtype=torch.float64)
    assert float(soft_cldice(empty, empty)) == float(soft_cldice(empty, empty, smooth=0.0)) == 1.0
    assert float(soft_cldice(mask, mask, smooth=0.0)) == 1.0
    assert float(soft_cldice(empty, mask, smooth=0.0)) == float(soft_cldice(mask, empty, smooth=0.0)) == 0.0
    share = 1 / (1 + float(soft_skeleton(mask).sum()))
    assert float(soft_cldice(empty, mask)) == pytest.approx(2 * share / (1 + share))
    for p, t in ((empty, empty), (empty, mask), (mask, mask)):
        for smooth in (0.0, 1.0):
            p = p.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(soft_cldice(p, t, smooth=smooth).sum(), p)
            assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("places", [(40, 48), (12, 14, 16)])
def test_cldice_as_by_scikit_image(places):
    p, t = blobs(0, 3, 2, *places) > 0, (blobs(0, 3, 2, *places) + 0.4 * blobs(1, 3, 2, *places)) > 0
    expected = []
    for i in range(3):
        scores = []
        for c in range(2):
            a, b = p[i, c].numpy(), t[i, c].numpy()
            precision, recall = b[skeletonize(a) != 0].mean(), a[skeletonize(b) != 0].mean()
            scores.append(2 * precision * recall / (precision + recall))
        expected.append(np.mean(scores))
    np.testing.assert_allclose(cldice(p, t).numpy(), expected, atol=1e-6)


def test_a_gap_costs_its_length_and_width_nothing():
    target, wide = line(), torch.zeros(1, 1, 15, 40)
    wide[..., 4:11, 2:38] = 1
    assert float(cldice(wide, target)) == 1.0
    cut = target.clone()
    cut[..., 15:25] = 0
    thin = torch.from_numpy(skeletonize(target[0, 0].numpy() > 0))
    recall = 1 - float(thin[:, 15:25].sum() / thin.sum())
    assert float(cldice(cut, target)) == pytest.approx(2 * recall / (1 + recall))


def test_cldice_of_empty_masks_and_of_a_block_that_thinning_loses():
    mask, empty = line(), torch.zeros(1, 1, 15, 40)
    assert float(cldice(empty, empty)) == 1.0
    assert float(cldice(empty, empty, absent="zero")) == 0.0
    assert float(cldice(mask, empty)) == float(cldice(empty, mask)) == 0.0
    block = torch.zeros(1, 1, 7, 7, 7)
    block[..., 2:4, 2:4, 2:4] = 1
    assert not skeletonize(block[0, 0].numpy() > 0).any()
    assert float(cldice(block, block)) == 1.0
    assert float(cldice(torch.zeros_like(block), block)) == 0.0


def test_tubes_by_dilation_within_the_mask():
    masks = blobs(0, 2, 3, 40, 48) > 0.05
    got = tubed_skeleton(masks)
    alone = tubed_skeleton(masks, tube=1, classes="alone")
    for i in range(2):
        union = ndimage.binary_dilation(skeletonize(masks[i].any(0).numpy()), iterations=2)
        for c in range(3):
            mask = masks[i, c].numpy()
            np.testing.assert_array_equal(got[i, c].numpy(), union & mask)
            own = ndimage.binary_dilation(skeletonize(mask)) & mask
            np.testing.assert_array_equal(alone[i, c].numpy(), own)
    volumes = blobs(0, 1, 1, 12, 14, 16) > 0
    solid = (
        ndimage.binary_dilation(skeletonize(volumes[0, 0].numpy()) != 0, iterations=2) & volumes[0, 0].numpy()
    )
    np.testing.assert_array_equal(tubed_skeleton(volumes)[0, 0].numpy(), solid)


def test_skeleton_recall():
    p, skeleton = torch.sigmoid(20 * blobs(0, 3, 2, 40, 48)), tubed_skeleton(blobs(1, 3, 2, 40, 48) > 0)
    covered = (p * skeleton).sum((2, 3))
    torch.testing.assert_close(skeleton_recall(p, skeleton), (covered / skeleton.sum((2, 3))).mean(1))
    torch.testing.assert_close(
        skeleton_recall(p, skeleton, smooth=2.0), ((covered + 2) / (skeleton.sum((2, 3)) + 2)).mean(1)
    )
    empty = torch.zeros_like(p)
    assert bool((skeleton_recall(p, empty) == 1).all()) and bool(
        (skeleton_recall(empty, skeleton) == 0).all()
    )


def test_refused(monkeypatch):
    mask = line()
    with pytest.raises(UsageError, match="cldice has no gradient"):
        cldice.objective()
    for call, said in [
        (lambda: soft_cldice(mask, mask, iterations=-1), "iterations: expected a whole number"),
        (lambda: soft_cldice.objective(iterations=2.5)(mask, mask), "iterations"),
        (lambda: tubed_skeleton(mask, tube=-1), "tube: expected a whole number"),
        (lambda: tubed_skeleton(mask, classes="all"), "classes: expected 'together' or 'alone', got 'all'"),
        (lambda: tubed_skeleton(mask[0, 0]), "masks: expected"),
    ]:
        with pytest.raises(UsageError, match=said):
            call()
    found = builtins.__import__

    def without(name, *rest):
        if name.startswith("skimage"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"scikit-image.*assay\[masks\]"):
        cldice(mask, mask)


def test_a_threshold_that_no_probability_passes_is_refused():
    mask = torch.ones(1, 1, 4, 4)
    with pytest.raises(UsageError, match="threshold: expected"):
        cldice(mask, mask, threshold=127)


def test_soft_skeletons_of_truth_values_and_of_other_shapes():
    hard = line() > 0
    torch.testing.assert_close(soft_skeleton(hard, 3), soft_skeleton(line(), 3))
    for wrong in (hard[0], hard.numpy(), "mask", hard.to(torch.complex64)):
        with pytest.raises(UsageError, match=r"^masks: expected a tensor \(B, C, H, W\)"):
            soft_skeleton(wrong, 3)
