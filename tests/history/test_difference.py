"""A difference of two stored runs is the one that the samples themselves give."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import assay
from assay.errors import DataError, UsageError
from assay.history import History, RunsDifference, difference_of_runs

MEASURES = ["fd", "kd", "coverage", "vendi"]


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    return History.at_home()


def drawn(seed: int, n: int = 200, shift: float = 0.0, d: int = 4) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


REAL, A, B = drawn(0, 240), drawn(1, shift=0.1), drawn(2, shift=0.3)


def stored(real: Any, generated: Any, **options: Any) -> assay.Comparison:
    return assay.compare(real, generated, history=True, **{"measures": MEASURES, **options})


def of_last_two(history: History, **options: Any) -> RunsDifference:
    b, a, *_ = history.runs()
    return difference_of_runs(history, a, b, **options)


@pytest.mark.parametrize("paired", [False, True])
def test_two_runs_differ_as_two_candidates_of_one_run_do(history: History, paired: bool) -> None:
    real = REAL[:200] if paired else REAL
    stored(real, {"a": A}, paired=paired)
    stored(real, {"b": B}, paired=paired)
    together = assay.compare(real, {"a": A, "b": B}, measures=MEASURES, paired=paired)
    found = of_last_two(history)
    assert [d.name for d in found.differences] == [d.name for d in together.differences]
    assert len(found.differences) == 4 and not found.refused
    for later, now in zip(found.differences, together.differences, strict=True):
        assert (later.a, later.b, later.direction, later.better) == (now.a, now.b, now.direction, now.better)
        parts = ("value", "std_error", "corrected", "bias", "low", "high")
        # a measure without the real set halves pairs by the first candidate's name: another split, another correction
        for part in parts[:2] if paired and later.measure == "vendi_score" else parts:
            x, y = getattr(later.estimate, part), getattr(now.estimate, part)
            assert x == pytest.approx(y, rel=1e-6, abs=1e-9), (later.name, part)


def test_they_differ_as_assay_difference_says(history: History) -> None:
    stored(REAL, {"a": A}, measures=["fd", "kd"])
    stored(REAL, {"b": B}, measures=["fd", "kd"])
    fd, kd = (d.estimate for d in of_last_two(history).differences)
    for found, measure in ((fd, assay.frechet_distance), (kd, assay.kernel_distance)):
        expected = assay.difference(measure, REAL, A, B)
        assert found.corrected == pytest.approx(expected.corrected, rel=1e-9)
        assert found.std_error == pytest.approx(expected.std_error, rel=1e-6)
    # and the shared real set's luck is out of it: each alone is less sure than the difference would be of strangers
    alone = [v.estimate.std_error for run in history.runs() for v in run.values if v.name.startswith("fd")]
    assert fd.std_error < 0.97 * math.hypot(*alone)


@assay.measure(statistic=assay.Moments, best="min", reference="of this test")
def closer_to_new(x: assay.Moments, y: assay.Moments, z: assay.Moments) -> Tensor:
    return (y.mean - z.mean).square().sum() - (y.mean - x.mean).square().sum() / 2


def test_a_third_set_is_shared_too(history: History) -> None:
    held_out = drawn(9, 200)
    stored(REAL, {"a": A}, measures=closer_to_new, held_out=held_out)
    stored(REAL, {"b": B}, measures=closer_to_new, held_out=held_out)
    together = assay.compare(REAL, {"a": A, "b": B}, measures=closer_to_new, held_out=held_out)
    assert set(history.kept(history.run("last").values[0].key).influences) == {"real", "held_out"}
    for later, now in zip(of_last_two(history).differences, together.differences, strict=True):
        assert later.estimate.corrected == pytest.approx(now.estimate.corrected, rel=1e-9, abs=1e-12)
        assert later.estimate.std_error == pytest.approx(now.estimate.std_error, rel=1e-6)
    stored(REAL, {"b": B}, measures=closer_to_new, held_out=drawn(10, 200))
    with pytest.raises(DataError, match=r"the held-out set \(held-out, content .* and held-out, content"):
        of_last_two(history)


def test_other_splits_make_it_wider_and_never_narrower(history: History) -> None:
    stored(REAL, {"a": A}, seed=0)
    stored(REAL, {"b": B}, seed=0)
    same = of_last_two(history)
    stored(REAL, {"b": B}, seed=1)
    newest, _, first = history.runs()
    other = difference_of_runs(history, first, newest)
    for d in other.differences:
        exact = next(s for s in same.differences if s.name == d.name).estimate
        if d.name.startswith("fd"):
            assert d.estimate.std_error == pytest.approx(exact.std_error, rel=1e-6)
        if d.name.startswith("kd"):
            assert d.estimate.std_error > exact.std_error and "wider" in d.estimate.method
        if d.name.startswith("coverage"):
            errors = [v.estimate.std_error for run in (first, newest) for v in run.values if v.name == d.name]
            assert d.estimate.std_error == pytest.approx(math.hypot(*errors))
            assert "not paired" in d.estimate.method


def test_a_reference_of_statistics_adds_no_variance(history: History) -> None:
    moments = assay.Moments.of(REAL.double())
    stored(moments, {"a": A}, measures="fd")
    stored(moments, {"b": B}, measures="fd")
    together = assay.compare(moments, {"a": A, "b": B}, measures="fd").differences[0].estimate
    (later,) = of_last_two(history).differences
    assert later.estimate.std_error == pytest.approx(together.std_error, rel=1e-6)


def test_unequal_counts_are_compared_only_where_both_are_corrected(history: History) -> None:
    stored(REAL, {"a": A})
    stored(REAL, {"b": B[:150]})
    found = of_last_two(history)
    assert [d.name for d in found.differences] == ["fd[features]", "kd[features]", "vendi[features]"]
    ((name, reason),) = found.refused
    assert name == "coverage[features]" and "200 and 150 samples" in reason
    stored(REAL, {"a": A}, measures="coverage")
    stored(REAL, {"b": B[:150]}, measures="coverage")
    with pytest.raises(DataError, match=r"cannot be compared: coverage.*200 and 150 samples"):
        of_last_two(history)


@pytest.mark.parametrize(
    "real, options, words",
    [
        (REAL + 1, {}, "the real set"),
        (REAL[:200], {}, "the number of real samples (240 and 200)"),
        (REAL.flip(0), {}, "the real set"),
        (REAL[:200], {"paired": True}, "whether rows are pairs (no and yes)"),
    ],
)
def test_what_cannot_be_compared_is_named(
    history: History, real: Tensor, options: dict[str, Any], words: str
) -> None:
    stored(REAL, {"a": A}, measures="fd")
    stored(real, {"b": B}, measures="fd", **options)
    with pytest.raises(DataError) as error:
        of_last_two(history)
    assert words in str(error.value)


def test_other_features_and_protocols_are_refused(history: History) -> None:
    from dataclasses import replace

    stored(REAL, {"a": A}, measures="fd")
    (run,) = history.runs()
    for change in ({"features": "inception"}, {"fingerprint": "0" * 64}, {"protocol": "fid"}):
        with pytest.raises(DataError, match=r"because these differ: the (features|version|protocol)"):
            difference_of_runs(history, run, replace(run, **change))


def test_two_candidates_of_one_run(history: History) -> None:
    found = stored(REAL, {"a": A, "b": B}, measures="kd")
    (run,) = history.runs()
    with pytest.raises(UsageError, match=r"has 2 candidates, a, b: choose one, as in 1:a"):
        difference_of_runs(history, run, run)
    with pytest.raises(UsageError, match="no candidate 'c'; it has a, b"):
        difference_of_runs(history, run, run, candidate_a="c")
    (d,) = difference_of_runs(history, run, run, candidate_a="a", candidate_b="b", level=0.8).differences
    assert d.estimate.std_error == pytest.approx(found.differences[0].estimate.std_error, rel=1e-6)
    assert d.estimate.level == 0.8
    assert d.estimate.high - d.estimate.low == pytest.approx(2 * 1.2815516 * d.estimate.std_error)


def test_the_same_name_twice_is_told_apart_by_the_run(history: History) -> None:
    stored(REAL, {"late": A}, measures="fd")
    stored(REAL, {"late": B}, measures="fd")
    found = of_last_two(history)
    assert (found.a, found.b) == ("late (run 1)", "late (run 2)")


def test_nothing_in_common_is_an_error(history: History) -> None:
    stored(REAL, {"a": A}, measures="fd")
    stored(REAL, {"b": B}, measures="kd")
    with pytest.raises(
        DataError, match=r"fd\[features\]: run 2 has no such value; kd\[features\]: run 1 has no"
    ):
        of_last_two(history)


def test_what_is_kept_of_the_real_samples_is_their_influences(history: History) -> None:
    stored(REAL, {"a": A}, measures="fd")
    (run,) = history.runs()
    kept = history.kept(run.values[0].key)
    expected = assay.frechet_distance.influence(REAL, A, of="x")
    assert kept is not None and kept.influences["real"].dtype == np.float32
    np.testing.assert_allclose(kept.influences["real"], expected.numpy(), rtol=1e-5, atol=1e-5)
