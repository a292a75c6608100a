"""The call: tensors or statistics, weights, options, joints, classes, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from assay import (
    DataError,
    Moments,
    Neighbours,
    UsageError,
    frechet_distance,
    joint,
    kernel_distance,
    measure,
    per_class,
    prdc,
    rbf,
    sets,
    vendi_score,
)  # fmt: skip
from assay.set_measure import Measure
from assay.sets import Predictions, coverage, density, inception_score, precision, recall

MEASURES = [v for v in vars(sets).values() if isinstance(v, Measure)]


def sets_for(m, normal, n=20, k=16, d=5):
    z = [normal(size, d) + 0.2 * i for i, size in zip(range(len(m.sides)), (n, k, n), strict=False)]
    return [2 * t for t in z] if m.domain == "features" else [(2 * t).softmax(1) for t in z]


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.name)
def test_statistics_in_place_of_tensors_in_any_mixture(normal, m):
    sets = sets_for(m, normal)
    counts = [torch.arange(len(s)).double() % 3 + 1 for s in sets]
    weights = {f"weights_{side}": c for side, c in zip(m.sides, counts, strict=True)}
    expected = float(m(*sets, **weights))
    made = [m.statistic.of(s, c) for s, c in zip(sets, counts, strict=True)]
    assert float(m(*made)) == pytest.approx(expected, rel=1e-9)
    if len(sets) == 2:
        x, y = m.sides
        assert float(m(made[0], sets[1], **{f"weights_{y}": counts[1]})) == pytest.approx(expected, rel=1e-9)
        assert float(m(sets[0], made[1], **{f"weights_{x}": counts[0]})) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.name)
def test_arrays_and_precision(normal, m):
    sets = sets_for(m, normal)
    assert float(m(*(s.numpy() for s in sets))) == float(m(*sets))
    assert m(*sets).dtype == torch.float64
    assert m(*(s.float() for s in sets)).dtype == torch.float32
    assert m(*(s.half() for s in sets)).dtype == torch.float32


@pytest.mark.parametrize("m", [m for m in MEASURES if len(m.sides) == 2], ids=lambda m: m.name)
def test_sides_of_different_precision(normal, m):
    """A reference saved in float64 beside features in float32 is an everyday pair."""
    x, y = sets_for(m, normal)
    expected = float(m(x.float().double(), y))
    assert m(x.float(), y).dtype == torch.float64
    assert float(m(x.float(), y)) == pytest.approx(expected, rel=1e-5)
    assert float(m(y, x.float())) == pytest.approx(float(m(y, x.float().double())), rel=1e-5)


def test_pickled_and_copied_measures_are_the_same_measure(normal):
    x, y = normal(20, 3), normal(15, 3)
    for m in (
        frechet_distance,
        precision.with_options(nearest_k=3),
        kernel_distance.with_options(kernel=rbf(2.0)),
    ):
        for again in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
            assert again.name == m.name and float(again(x, y)) == float(m(x, y))


def test_with_options_changes_defaults_of_a_new_measure_only(normal):
    x, y = normal(30, 3), normal(30, 3)
    one = precision.with_options(nearest_k=1)
    assert float(one(x, y)) == float(precision(x, y, nearest_k=1)) != float(precision(x, y))
    assert float(one(x, y, nearest_k=5)) == float(precision(x, y))
    assert precision.options["nearest_k"] == 5
    with pytest.raises(TypeError):
        precision.options["nearest_k"] = 3


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, x: m(x, x, nearest_l=3),
        lambda m, x: m.with_options(nearest_l=3),
        lambda m, x: m.estimate(x, x, nearest_l=3),
        lambda m, x: m.influence(x, x, of="y", nearest_l=3),
        lambda m, x: m.metric(nearest_l=3),
        lambda m, x: m.permutation_test(x, x, nearest_l=3),
    ],
)
def test_an_unknown_option_is_named_with_the_nearest_known(normal, ask):
    with pytest.raises(
        UsageError, match=r"precision: unknown option 'nearest_l' \(did you mean 'nearest_k'\?\)"
    ):
        ask(precision, normal(9, 2))


def test_what_is_refused(normal):
    x = normal(9, 3)
    with pytest.raises(UsageError, match="weights_x: the side x is a statistic"):
        frechet_distance(Moments.of(x), x, weights_x=torch.ones(9))
    with pytest.raises(UsageError, match="x: frechet_distance needs the statistic Moments, got Neighbours"):
        frechet_distance(Neighbours.of(x), x)
    with pytest.raises(UsageError, match=r"expected 2 sets \(x, y\), got 3"):
        frechet_distance(x, x, x)
    with pytest.raises(UsageError, match="object array"):
        frechet_distance(np.array([[{}]]), x)
    with pytest.raises(UsageError, match=r"weights_y: .*sum to 1; multiply by n = 9"):
        frechet_distance(x, x, weights_y=torch.full((9,), 1 / 9))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="weights_y: expected counts, finite"):
            frechet_distance(x, x, weights_y=torch.tensor([bad] * 9))


def test_definitions_that_cannot_be_measures():
    with pytest.raises(UsageError, match="at least one set"):
        measure(statistic=Moments, best="min", reference="-")(lambda: torch.zeros(()))

    def reserved(x, *, paired=3):
        return x

    def shadows(x, *, weights_z=3):
        return x

    def bare(x, *, option):
        return x

    for function, said in (
        (reserved, "'paired' means something"),
        (shadows, "'weights_z'"),
        (bare, "needs a default"),
    ):
        with pytest.raises(UsageError, match=said):
            measure(statistic=Moments, best="min", reference="-")(function)


# -- joints -----------------------------------------------------------------------------------------------------------


def test_a_joint_gives_what_its_measures_give(normal):
    x, y = normal(40, 3), normal(30, 3)
    w = torch.randint(1, 3, (30,), generator=torch.Generator().manual_seed(0))
    got = prdc(x, y, weights_y=w, nearest_k=3)
    for m in (precision, recall, density, coverage):
        assert float(got[m.name]) == float(m(x, y, weights_y=w, nearest_k=3))


def test_a_joint_shares_the_work(normal, monkeypatch):
    import sys

    module = sys.modules["assay.statistics.neighbours"]
    passes = {"nearest": 0, "pairs_within": 0}
    for name in passes:
        original = getattr(module, name)

        def counted(*arguments, _original=original, _name=name):
            passes[_name] += 1
            return _original(*arguments)

        monkeypatch.setattr(module, name, counted)
    x, y = normal(40, 3), normal(30, 3)
    prdc(x, y)
    assert passes == {
        "nearest": 2,
        "pairs_within": 1,
    }  # a side's radii, once each, and one pass over all pairs
    reference = Neighbours.of(x)
    prdc(reference, y)
    prdc(reference, normal(30, 3))
    assert passes == {"nearest": 2 + 3, "pairs_within": 1 + 2}  # the reference's radii are kept


def test_joints_of_unlike_measures_and_unknown_options(normal):
    with pytest.raises(UsageError, match="only like can be joined"):
        joint(frechet_distance, precision)
    with pytest.raises(UsageError, match="at least one"):
        joint()
    with pytest.raises(UsageError, match="prdc: unknown option 'k'"):
        prdc(normal(9, 2), normal(9, 2), k=3)


def test_a_joint_estimates_as_its_measures_do(normal):
    x, y = normal(60, 3), normal(60, 3)
    together = prdc.estimate(x, y, half_samples=10)
    for m in (precision, density):
        alone = m.estimate(x, y, half_samples=10)
        assert together[m.name].value == alone.value and together[m.name].method == alone.method
        assert together[m.name].std_error == pytest.approx(alone.std_error, rel=1e-9)  # the same halves


# -- classes ----------------------------------------------------------------------------------------------------------


def test_per_class(normal):
    x, y = normal(60, 3), normal(45, 3)
    a, b = torch.arange(60) % 3, np.array(["zero", "one", "two"])[np.arange(45) % 3]
    got = per_class(vendi_score, x, labels=a)
    assert list(got) == [0, 1, 2] and float(got[1]) == float(vendi_score(x[1::3]))
    two = per_class(frechet_distance, x, y, labels=(a, np.arange(45) % 3))
    assert float(two[2]) == float(frechet_distance(x[2::3], y[2::3]))
    with pytest.raises(DataError, match="no samples of class"):
        per_class(frechet_distance, x, y, labels=(a, b))
    with pytest.raises(UsageError, match=r"labels of x: expected shape \(60,\)"):
        per_class(frechet_distance, x, y, labels=(a[:5], np.arange(45) % 3))


def test_a_measure_of_one_set(normal):
    p = normal(9, 4).softmax(1)
    assert float(inception_score(Predictions.of(p))) == pytest.approx(float(inception_score(p)))
    with pytest.raises(UsageError, match=r"expected 1 set \(y\), got 2"):
        inception_score(p, p)
    e = inception_score.estimate(p)
    assert e.n_x is None and e.n_y == 9
