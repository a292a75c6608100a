"""Equity-scaled scores: the published figure, and intervals that cover where groups differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.images.masks import dice, equity_scaled


def test_by_hand():
    values = [0.9, 0.8, 0.7, 0.5, 0.6, 0.4]
    got = equity_scaled(values, ["a", "a", "a", "b", "b", "c"])
    overall = 0.65
    means = {"a": 0.8, "b": 0.55, "c": 0.4}
    assert got.overall.value == pytest.approx(overall)
    assert {k: e.value for k, e in got.groups.items()} == pytest.approx(means)
    # equity_scaled_perf of the paper's code: overall / (1 + sum of |group mean - overall|)
    assert got.scaled.value == pytest.approx(overall / (1 + 0.15 + 0.10 + 0.25))
    assert got.groups["c"].std_error == math.inf and "one pair" in str(got.groups["c"].notes[0])
    assert got.groups["a"].std_error == pytest.approx(np.std(values[:3], ddof=1) / math.sqrt(3))
    assert "equity-scaled" in str(got)


def test_groups_that_are_alike_change_nothing_and_names_do_not_matter():
    values = torch.tensor([0.2, 0.4, 0.2, 0.4])
    assert equity_scaled(values, torch.tensor([3, 3, 7, 7])).scaled.value == pytest.approx(0.3)
    one = equity_scaled(values, [0, 0, 1, 0])
    for labels in (["x", "x", "a", "x"], [True, True, False, True], torch.tensor([5, 5, 9, 5])):
        other = equity_scaled(values, labels)
        assert other.scaled.value == pytest.approx(one.scaled.value)
        assert other.scaled.std_error == pytest.approx(one.scaled.std_error)
        assert other.scaled.value <= other.overall.value


def test_of_a_measure():
    p = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    scores = dice(p, p.roll(1, 3))
    got = equity_scaled(scores, np.arange(12) % 3)
    assert got.overall.value == pytest.approx(dice.estimate(p, p.roll(1, 3)).value)
    assert got.overall.std_error == pytest.approx(dice.estimate(p, p.roll(1, 3)).std_error)
    assert list(got.groups) == [0, 1, 2]


def test_intervals_cover_where_groups_differ():
    generator = np.random.default_rng(0)
    means, shares = np.array([0.9, 0.6, 0.4]), np.array([0.5, 0.3, 0.2])
    overall = float(means @ shares)
    truth = overall / (1 + np.abs(overall - means).sum())
    held = []
    for _ in range(600):
        group = generator.choice(3, 120, p=shares)
        got = equity_scaled(means[group] + generator.uniform(-0.1, 0.1, 120), group).scaled
        held.append(got.low <= truth <= got.high)
    assert 0.925 < np.mean(held) < 0.975


def test_groups_near_a_tie_are_noted():
    generator = np.random.default_rng(0)
    values = 0.7 + 0.1 * generator.standard_normal(60)
    got = equity_scaled(values, np.arange(60) % 2)
    assert got.scaled.notes[0].kind == "near a tie"


def test_refused():
    with pytest.raises(UsageError, match=r"groups: expected one label a pair, shape \(2,\), got \(3,\)"):
        equity_scaled([0.1, 0.2], [0, 1, 1])
    with pytest.raises(UsageError, match="values: expected one number a pair"):
        equity_scaled([[0.1, 0.2]], [0])
    with pytest.raises(UsageError, match="level"):
        equity_scaled([0.1, 0.2], [0, 1], level=95)
    with pytest.raises(DataError, match="two pairs"):
        equity_scaled([0.1], [0])
    with pytest.raises(DataError, match=r"values: 1 of 3 are NaN or infinite \(rows 1\)"):
        equity_scaled([0.1, math.nan, 0.3], [0, 1, 1])
    with pytest.raises(DataError, match=r"values: from 10 to 90, expected \[0, 1\]"):
        equity_scaled([10.0, 90.0], [0, 1])
    for level in ("0.95", None, True):
        with pytest.raises(UsageError, match="level: expected a number"):
            equity_scaled([0.1, 0.2], [0, 1], level=level)
    with pytest.raises(UsageError, match="groups: expected one label a pair"):
        equity_scaled([0.1, 0.2], [["a"], ["b", "c"]])
    for labels in (["a", None, "b"], [1.0, math.nan, 2.0], ["a", math.nan, "b"], ("a", np.nan, "nan")):
        with pytest.raises(DataError, match=r"groups: 1 of 3 labels are missing \(rows 1\)"):
            equity_scaled([0.1, 0.2, 0.3], labels)
