"""Overlaps equal counts of places by sets, in every convention for classes that are absent."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score

from assay.errors import DataError, UsageError
from assay.images.masks import dice, focal_tversky, iou, tversky


def hard(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def soft(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# pair 0: class 0 right, class 1 in neither; pair 1: class 0 half right, class 1 invented; pair 2: nothing anywhere;
# pair 3: class 0 missed, class 1 in neither
def cases() -> tuple[torch.Tensor, torch.Tensor]:
    p = torch.zeros(4, 2, 4, 4, dtype=torch.bool)
    t = p.clone()
    p[0, 0, :2] = t[0, 0, :2] = True
    p[1, 0, :2] = t[1, 0, 1:3] = p[1, 1, 0, 0] = True
    t[3, 0, 0] = True
    return p, t


@pytest.mark.parametrize("places", [(9, 13), (5, 6, 7)])
def test_hard_masks_as_scikit_learn(places):
    p, t = hard(0, 4, 3, *places), hard(1, 4, 3, *places)
    for i in range(4):
        rows = t[i].flatten(1).T.numpy(), p[i].flatten(1).T.numpy()
        assert float(dice(p, t)[i]) == pytest.approx(f1_score(*rows, average="macro"), abs=1e-6)
        assert float(iou(p, t)[i]) == pytest.approx(jaccard_score(*rows, average="macro"), abs=1e-6)


@pytest.mark.parametrize(
    "absent,expected",
    [
        ("one", [1.0, 0.25, 1.0, 0.5]),  # MONAI 1.6.1, compute_dice(ignore_empty=False), classes averaged
        ("zero", [0.5, 0.25, 0.0, 0.0]),  # scikit-learn 1.9.1, f1_score(average="macro", zero_division=0)
        ("skip", [1.0, 0.25, math.nan, 0.0]),  # torchmetrics 1.9.0, dice_score(average="macro")
        (
            "skip_empty_target",
            [1.0, 0.5, math.nan, 0.0],
        ),  # MONAI 1.6.1, compute_dice, nanmean over the classes
    ],
)
def test_absent_classes(absent, expected):
    p, t = cases()
    torch.testing.assert_close(dice(p, t, absent=absent), torch.tensor(expected), equal_nan=True)
    assert bool(
        (iou(p, t, absent=absent) <= dice(p, t, absent=absent))
        .logical_or(torch.tensor(expected).isnan())
        .all()
    )
    loss = focal_tversky(p, t, absent=absent)
    index = tversky(p, t, absent=absent)
    # right, absent and invented classes: 0 and 1 have the loss 1 and 0
    for i in (0, 2, 3):
        torch.testing.assert_close(loss[i], 1 - index[i], equal_nan=True)


@pytest.mark.parametrize("absent", ["one", "zero", "skip", "skip_empty_target"])
@pytest.mark.parametrize("measure", [dice, iou, tversky, focal_tversky])
def test_gradients_are_finite_where_nothing_is(measure, absent):
    p, t = (m.double().requires_grad_() for m in cases())
    (gradient, other) = torch.autograd.grad(measure(p, t, absent=absent).sum(), (p, t))
    assert bool(gradient.isfinite().all()) and bool(other.isfinite().all())
    if absent.startswith("skip"):
        assert not bool(gradient[2].any())


def test_a_pair_without_a_class_is_refused_in_estimate():
    p, t = cases()
    with pytest.raises(DataError, match=r"dice: 1 of 4 pairs come out as NaN .*2"):
        dice.estimate(p, t, absent="skip")
    assert dice.estimate(p, t).value == pytest.approx(0.6875)


def test_probabilities_and_their_relations():
    p, t = soft(0, 3, 2, 8, 8), soft(1, 3, 2, 8, 8)
    s = 0.3
    common, both = (p * t).sum((2, 3)), (p + t).sum((2, 3))
    torch.testing.assert_close(dice(p, t, smooth=s), ((2 * common + s) / (both + s)).mean(1))
    torch.testing.assert_close(iou(p, t, smooth=s), ((common + s) / (both - common + s)).mean(1))
    torch.testing.assert_close(tversky(p, t, false_positives=0.5, false_negatives=0.5), dice(p, t))
    torch.testing.assert_close(tversky(p, t, false_positives=1.0, false_negatives=1.0), iou(p, t))
    lost, found = ((1 - p) * t).sum((2, 3)), (p * (1 - t)).sum((2, 3))
    index = common / (common + 0.3 * found + 0.7 * lost)
    torch.testing.assert_close(tversky(p, t), index.mean(1))
    torch.testing.assert_close(focal_tversky(p, t), ((1 - index) ** 0.75).mean(1))
    torch.testing.assert_close(focal_tversky(p, t, gamma=1.0), 1 - tversky(p, t))


def test_a_perfect_soft_mask_is_not_one():
    p = soft(0, 2, 1, 8, 8)
    torch.testing.assert_close(dice(p, p), (p.square().sum((1, 2, 3)) / p.sum((1, 2, 3))))
    assert bool((dice(p > 0.5, p > 0.5) == 1).all())


def test_smoothing_gives_absent_classes_a_gradient():
    p = soft(0, 1, 1, 8, 8).requires_grad_()
    t = torch.zeros(1, 1, 8, 8)
    assert not bool(torch.autograd.grad(dice(p, t).sum(), p)[0].any())
    assert bool((torch.autograd.grad(dice(p, t, smooth=1.0).sum(), p)[0] < 0).all())


def test_pairs_are_not_pooled():
    p, t = torch.zeros(2, 1, 10, 10), torch.zeros(2, 1, 10, 10)
    p[0], t[0] = 1.0, 1.0  # large and right
    t[1, 0, 0, 0] = 1.0  # small and missed
    assert dice(p, t).tolist() == [1.0, 0.0]


def test_wrong_options():
    p = hard(0, 2, 1, 4, 4)
    for call, said in [
        (
            lambda: dice(p, p, absent="nan"),
            "absent: expected one of 'one', 'zero', 'skip', 'skip_empty_target', got 'nan'",
        ),
        (lambda: iou(p, p, smooth=-1.0), "smooth: expected a number of places"),
        (lambda: tversky(p, p, false_positives=0.0), "false_positives: expected a price above 0"),
        (lambda: focal_tversky(p, p, gamma=0.0), "gamma: expected a number above 0"),
        (lambda: tversky(p, p, false_negatives=True), "false_negatives: expected a price above 0"),
        (lambda: tversky(p, p, false_positives="0.3"), "false_positives: expected a price above 0"),
        (lambda: focal_tversky(p, p, gamma=None), "gamma: expected a number above 0"),
        (lambda: focal_tversky(p, p, gamma=True), "gamma: expected a number above 0"),
        (lambda: dice.objective(absent="no")(p.float(), p), "absent"),
    ]:
        with pytest.raises(UsageError, match=said):
            call()


@pytest.mark.parametrize("absent", ["one", "zero", "skip", "skip_empty_target"])
@pytest.mark.parametrize("measure", [dice, iou, tversky, focal_tversky])
def test_nan_is_not_taken_for_a_perfect_mask(measure, absent):
    """A network that gives NaN must be seen in the loss, which looks at no values."""
    target = hard(1, 1, 2, 6, 6)
    broken = target.float()
    broken[0, 1, 2, 3] = math.nan
    assert measure(broken, target, absent=absent).isnan().all()
    assert measure(target, broken, absent=absent).isnan().all()
    if absent != "skip_empty_target":
        assert measure(broken, torch.zeros_like(broken), absent=absent).isnan().all()
