"""Which candidate is better, how far from the floor, and what to be wary of: never more than the numbers hold."""

from __future__ import annotations

import pytest

from assay import Comparison, compare
from assay.comparison import Difference

from .three_sets import REAL, draw


def test_which_one_is_better_follows_the_measures_direction(found: Comparison) -> None:
    better = {d.name: d.better for d in found.differences}
    assert better["fd[features]"] == better["kd[features]"] == better["coverage[features]"] == "near"
    e = found["near", "fd"]

    def verdict(direction: str, low: float, high: float) -> str | None:
        shifted = type(e)(**{**e.to_dict(), "low": low, "high": high})
        return Difference("m", "m", "a", "b", direction, shifted).better  # type: ignore[arg-type]

    assert verdict("lower is better", -2, -1) == "b"
    assert verdict("lower is better", 1, 2) == "a"
    assert verdict("higher is better", -2, -1) == "a"
    assert verdict("higher is better", 1, 2) == "b"
    assert verdict("higher is better", -1, 2) is None
    assert verdict("lower is better", 0, 2) is None


def test_equal_candidates_are_not_told_apart() -> None:
    draws = [
        compare(REAL, [draw(100, seed=10 + 2 * k), draw(100, seed=11 + 2 * k)], measures="fd")
        for k in range(20)
    ]
    told = sum(c.differences[0].better is not None for c in draws)
    assert told <= 4  # 5% of 20 is 1; 5 or more come up once in 400 such tests


def test_the_floor_compares_equal_sizes(found: Comparison) -> None:
    by_name = {f.name: f for f in found.floor}
    assert set(by_name) == {
        f"{m}[features]" for m in ("fd", "kd", "precision", "recall", "density", "coverage")
    }
    assert {f.samples for f in found.floor} == {60}
    fd = by_name["fd[features]"].estimate
    assert fd.n_x == fd.n_y == 60
    multiples = {(r.candidate, r.name): r.multiple for r in found.rows}
    assert multiples["far", "fd[features]"] > multiples["near", "fd[features]"] > 1
    assert 0 < multiples["far", "coverage[features]"] < multiples["near", "coverage[features]"]
    assert multiples["far", "vendi[features]"] is None
    # a set of the real distribution, of any size, is at the floor: its bias is not counted against it
    many = compare(REAL, {"same": draw(400, seed=5)}, measures="fd", floor=True)
    few = compare(draw(400, seed=6), {"same": draw(60, seed=5)}, measures="fd", floor=True)
    for comparison, size in ((many, 60), (few, 60)):
        assert comparison.floor[0].samples == size
        assert comparison.rows[0].multiple == pytest.approx(1, abs=0.5)


def test_an_unbiased_measure_gets_a_bound_and_never_a_ratio_of_noise() -> None:
    found = compare(draw(400, seed=1), {"far": draw(300, shift=1.5, seed=2), "same": draw(300, seed=3)},
                    measures="kd", floor=True)  # fmt: skip
    far, same = found.rows
    high = found.floor[0].estimate.high
    assert far.multiple_is is not None and far.multiple_is.startswith("at least")
    assert far.multiple == pytest.approx(far.estimate.low / high)
    assert same.multiple is None


def test_notes_say_when_a_value_is_mostly_bias() -> None:
    found = compare(draw(20, 15), {"a": draw(20, 15, seed=1), "b": draw(20, 15, seed=2)}, measures="fd")
    (note,) = found.notes
    assert str(note).startswith("fd[features] (real, a, b): 20 samples for 15 features")


def test_many_differences_come_with_a_warning() -> None:
    sets = {str(k): draw(12, 2, seed=k) for k in range(5)}
    found = compare(draw(12, 2), sets, measures="kd")
    assert len(found.differences) == 10
    (note,) = found.notes
    assert note.kind == "many differences" and note.numbers["differences"] == 10
    assert "10 differences were looked at" in note.sentence and "0.5" in note.sentence
