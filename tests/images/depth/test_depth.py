"""Depth errors equal their definitions over the measured places, also where nothing was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.images.depth import abs_rel, delta_accuracy, depth_rmse, silog

EVERY = [silog, abs_rel, depth_rmse, delta_accuracy, depth_rmse.with_options(of="log")]


def depths(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    truth = 1 + 9 * torch.rand(4, 1, 9, 11, dtype=torch.float64, generator=g)
    made = truth * torch.exp(0.3 * torch.randn(truth.shape, dtype=torch.float64, generator=g) + 0.1)
    truth[torch.rand(truth.shape, generator=g) < 0.3] = 0.0
    truth[0, 0, 0, 0] = -1.0
    return made.to(dtype), truth.to(dtype)


def test_definitions():
    made, truth = depths()
    for i in range(4):
        p, t = (m[i][truth[i] > 0].numpy() for m in (made, truth))
        g = np.log(p) - np.log(t)
        expected = {
            silog: 10 * np.sqrt((g**2).mean() - 0.85 * g.mean() ** 2),
            silog.with_options(variance_focus=1.0, scale=100.0): 100 * g.std(),
            abs_rel: (np.abs(p - t) / t).mean(),
            depth_rmse: np.sqrt(((p - t) ** 2).mean()),
            depth_rmse.with_options(of="log"): np.sqrt((g**2).mean()),
            delta_accuracy: (np.maximum(p / t, t / p) < 1.25).mean(),
            delta_accuracy.with_options(threshold=1.25**2): (np.maximum(p / t, t / p) < 1.25**2).mean(),
        }
        for measure, value in expected.items():
            assert float(measure(made, truth)[i]) == pytest.approx(value, abs=1e-12)


def test_limits_leave_measurements_out():
    made, truth = depths()
    cut = torch.where((truth > 2) & (truth < 8), truth, 0.0)
    for measure in EVERY:
        torch.testing.assert_close(measure(made, truth, min_depth=2.0, max_depth=8.0), measure(made, cut))


def test_a_measurement_at_a_limit_is_left_out():
    truth = torch.tensor([2.0, 3.0, 7.0, 8.0]).view(1, 1, 2, 2)
    made = truth + torch.tensor([20.0, 1.0, 3.0, 40.0]).view(1, 1, 2, 2)
    found = depth_rmse(made, truth, min_depth=2.0, max_depth=8.0)
    assert found.item() == pytest.approx(math.sqrt((1 + 9) / 2))


def test_a_depth_that_is_off_by_the_threshold_is_wrong():
    truth = torch.tensor([4.0, 5.0, 4.0, 8.0]).view(1, 1, 2, 2)
    made = torch.tensor([5.0, 4.0, 4.5, 8.0]).view(
        1, 1, 2, 2
    )  # the first two by 1.25 exactly, above and below
    assert delta_accuracy(made, truth, threshold=1.25).item() == 0.5


def test_the_error_is_blind_to_scale_with_the_whole_variance_only():
    made, truth = depths()
    torch.testing.assert_close(
        silog(3 * made, truth, variance_focus=1.0), silog(made, truth, variance_focus=1.0)
    )
    assert bool((silog(3 * made, truth) > silog(made, truth)).all())
    torch.testing.assert_close(
        silog(made, truth, variance_focus=0.0, scale=1.0), depth_rmse(made, truth, of="log")
    )
    off = silog(2 * truth.clamp(min=1), truth, variance_focus=1.0)
    torch.testing.assert_close(off, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)


def test_small_spreads_survive_single_precision():
    made, truth = depths(torch.float32)
    near = 50 * truth.clamp(min=1) * (1 + 1e-4 * (made - made.mean()) / made.std())
    narrow = silog(near, truth, variance_focus=1.0)
    wide = silog(near.double(), truth.double(), variance_focus=1.0)
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-3, atol=0)


@pytest.mark.parametrize("measure", [silog, abs_rel, depth_rmse, depth_rmse.with_options(of="log")])
def test_gradients_are_finite_and_holes_have_none(measure):
    made, truth = depths(torch.float32)
    truth[1] = made[1]  # exact
    truth[2] = 0.0  # nothing measured
    truth[3] = 0.5 * made[3]  # off by one factor
    made[0, 0, 3, 3], truth[0, 0, 3, 3] = 0.0, 2.0  # a prediction of nothing
    made, truth = made.requires_grad_(), truth.requires_grad_()
    values = measure(made, truth)
    assert values.isnan().tolist() == [False, False, True, False]
    for gradient in torch.autograd.grad(values.sum(), (made, truth)):
        assert bool(gradient.isfinite().all())
        assert not bool(gradient[truth <= 0].any()) and not bool(gradient[1:3].any())


@pytest.mark.parametrize("measure", EVERY)
def test_a_pair_without_a_measurement_is_refused_in_estimate(measure):
    made, truth = depths()
    truth[2] = 0.0
    assert measure(made, truth).isnan().tolist() == [False, False, True, False]
    with pytest.raises(DataError, match=r"1 of 4 pairs come out as NaN or infinity \(rows 2\)"):
        measure.estimate(made, truth)


def test_predictions_of_nothing():
    truth = torch.full((2, 1, 4, 4), 2.0)
    nothing = torch.zeros_like(truth)
    assert delta_accuracy(nothing, truth).tolist() == [0.0, 0.0]
    assert delta_accuracy(-truth, truth).tolist() == [0.0, 0.0]
    assert bool(silog(nothing, truth).isfinite().all()) and abs_rel(nothing, truth).tolist() == [1.0, 1.0]


def test_refused():
    made, truth = depths()
    with pytest.raises(UsageError, match="delta_accuracy has no gradient"):
        delta_accuracy.objective()
    for call, said in [
        (lambda: silog(made, truth, variance_focus=1.5), "variance_focus: expected a number in"),
        (lambda: silog(made, truth, scale=0), "scale: expected a number above 0"),
        (lambda: silog(made, truth, variance_focus=True), "variance_focus: expected a number in"),
        (lambda: silog(made, truth, variance_focus="1"), "variance_focus: expected a number in"),
        (lambda: silog(made, truth, scale=None), "scale: expected a number above 0"),
        (lambda: delta_accuracy(made, truth, threshold="1.25"), "threshold: expected a factor above 1"),
        (lambda: depth_rmse(made, truth, of="ln"), "of: expected 'depth' or 'log', got 'ln'"),
        (lambda: delta_accuracy(made, truth, threshold=1.0), "threshold: expected a factor above 1"),
        (
            lambda: abs_rel(made, truth, min_depth=8, max_depth=2),
            "expected 0 <= min_depth < max_depth, got 8 and 2",
        ),
        (lambda: abs_rel(made, truth, min_depth=math.nan), "min_depth: expected a depth"),
    ]:
        with pytest.raises(UsageError, match=said):
            call()
