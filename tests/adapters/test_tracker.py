"""The best value and its step, over a restart too; and what streaming metrics look like."""

from __future__ import annotations

import importlib.util
import math

import pytest
import torch

import assay
from assay.errors import DataError, UsageError
from assay.tracker import Best, Tracker

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib"
)


def draw(n: int, shift: float, seed: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed)) + shift


REAL = draw(60, 0.0, 0)
SHIFTS = (2.0, 0.4, 0.1, 0.9)


def tracked(measure, **how) -> Tracker:
    tracker = Tracker(measure.metric(reference=REAL), **how)
    for epoch, shift in enumerate(SHIFTS):
        for batch in draw(50, shift, epoch).split(20):
            tracker.update(batch)
        tracker.compute(10 * epoch)
        tracker.reset()
    return tracker


def test_lower_is_better_finds_the_lowest_and_its_step():
    tracker = tracked(assay.frechet_distance)
    values = [float(assay.frechet_distance(REAL, draw(50, s, e))) for e, s in enumerate(SHIFTS)]
    assert tracker.steps == (0, 10, 20, 30)
    assert tracker.values["frechet_distance"] == pytest.approx(values)
    assert tracker.best() == Best(20, pytest.approx(min(values)))
    assert tracker.best() == (20, pytest.approx(min(values)))


def test_higher_is_better_finds_the_highest():
    tracker = tracked(assay.sets.coverage)
    values = [float(assay.sets.coverage(REAL, draw(50, s, e))) for e, s in enumerate(SHIFTS)]
    assert tracker.best() == (10 * values.index(max(values)), pytest.approx(max(values)))


def test_a_joint_has_a_best_by_measure():
    tracker = tracked(assay.prdc)
    assert set(tracker.values) == {"precision", "recall", "density", "coverage"}
    assert tracker.best("coverage").value == max(tracker.values["coverage"])
    with pytest.raises(UsageError, match="expected one of precision, recall, density, coverage, got none"):
        tracker.best()
    with pytest.raises(UsageError, match="'fd'"):
        tracker.best("fd")


def test_corrected_values_are_the_metrics_own():
    tracker = Tracker(assay.frechet_distance.metric(reference=REAL), corrected=True)
    tracker.update(draw(50, 0.1, 0))
    assert float(tracker.compute()) == float(tracker.metric.corrected()) != float(tracker.metric.compute())


def test_steps_go_up_by_themselves_and_never_back():
    tracker = Tracker(assay.frechet_distance.metric(reference=REAL))
    with pytest.raises(DataError, match="nothing seen yet"):
        tracker.compute()
    assert tracker.steps == ()
    tracker.update(draw(50, 0.1, 0))
    tracker.compute()
    tracker.compute()
    tracker.compute(7)
    assert tracker.steps == (0, 1, 7)
    for step in (7, 3, 8.5, True):
        with pytest.raises(UsageError, match="step: expected a whole number above 7"):
            tracker.compute(step)
    assert len(tracker.values["frechet_distance"]) == 3


def test_a_restart_goes_on_where_it_was(tmp_path):
    tracker = tracked(assay.prdc)
    torch.save(tracker.state_dict(), tmp_path / "state.pt")
    again = Tracker(assay.prdc.metric(reference=REAL))
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert (again.steps, again.values) == (tracker.steps, tracker.values)
    assert again.best("recall") == tracker.best("recall")
    with pytest.raises(UsageError, match=r"state: expected steps, values\.frechet_distance"):
        Tracker(assay.frechet_distance.metric(reference=REAL)).load_state_dict(tracker.state_dict())
    state = tracker.state_dict()
    state["steps"] = state["steps"][:2]
    with pytest.raises(UsageError, match="2 steps and 4 values"):
        again.load_state_dict(state)


def test_nan_is_never_best_and_nothing_has_no_best():
    tracker = Tracker(assay.frechet_distance.metric(reference=REAL))
    with pytest.raises(UsageError, match="nothing computed yet"):
        tracker.best()
    with pytest.raises(UsageError, match="nothing computed yet"):
        tracker.plot()

    def state(*values: float) -> dict[str, torch.Tensor]:
        return {
            "steps": torch.arange(len(values)),
            "values.frechet_distance": torch.tensor(values, dtype=torch.float64),
        }

    tracker.load_state_dict(state(math.nan, 2.0, 1.0, 1.0))
    assert tracker.best() == (2, 1.0)
    tracker.load_state_dict(state(math.nan))
    with pytest.raises(DataError, match="NaN at all 1 steps"):
        tracker.best()


@needs_matplotlib
def test_plots_show_the_values():
    tracker = tracked(assay.prdc)
    figure = tracker.plot()
    assert [ax.get_title() for ax in figure.axes] == [
        f"{m} ↑" for m in ("precision", "recall", "density", "coverage")
    ]
    line = figure.axes[0].lines[0]
    assert list(line.get_xdata()) == list(tracker.steps)
    assert list(line.get_ydata()) == list(tracker.values["precision"])
    metric = assay.frechet_distance.metric(reference=REAL)
    metric.update(draw(50, 0.3, 1))
    (ax,) = metric.plot().axes
    assert list(ax.lines[0].get_xdata()) == [float(metric.compute()), float(metric.corrected())]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["as computed", "freed of bias"]


def test_a_measure_of_pairs_is_tracked_too():
    target = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    tracker = Tracker(assay.psnr.metric())
    for noise in (0.3, 0.05, 0.1):
        tracker.update((target + noise).clamp(0, 1), target)
        tracker.update(target[:1], target[:1] / 2, weights=[2])
        tracker.compute()
        tracker.reset()
    assert tracker.best().step == 1
    values = assay.psnr(
        torch.cat([(target + 0.1).clamp(0, 1), target[:1], target[:1]]),
        torch.cat([target, target[:1] / 2, target[:1] / 2]),
    )
    assert tracker.values["psnr"][-1] == pytest.approx(float(values.mean()), rel=1e-6)
    with pytest.raises(UsageError, match="no bias to correct"):
        Tracker(assay.psnr.metric(), corrected=True)
