"""Estimates: bias, spread, dependence, exact sides, notes, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch

from assay import DataError, Moments, UsageError, difference, frechet_distance, kernel_distance, vendi_score
from assay.contrast import Sampled
from assay.resample import draw_halves, unit_ids
from assay.sets import coverage, inception_score, precision
from assay.spread import student_reach


def draws(seed, n=300, d=6, shift=0.4):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=g), torch.randn(
        n, d, dtype=torch.float64, generator=g
    ) + shift


def seeded(k=0):
    return torch.Generator().manual_seed(k)


def test_value_bias_and_bounds_hang_together():
    x, y = draws(0)
    e = frechet_distance.estimate(x, y)
    assert e.value == pytest.approx(float(frechet_distance(x, y)), rel=1e-9)
    assert e.corrected == e.value - e.bias and e.low <= e.corrected <= e.high and e.std_error > 0
    assert (e.n_x, e.n_y, e.level) == (300, 300, 0.95)
    assert "influences" in e.method and "half-split" in e.method and e.notes == ()
    assert json.loads(json.dumps(e.to_dict()))["low"] == e.low
    assert str(e).startswith(f"{e.corrected:.4g} [")


def test_half_split_bias_is_what_two_halves_say():
    x, y = draws(1)
    e = frechet_distance.estimate(x, y, generator=seeded(3))
    sampled = {"x": Sampled(x), "y": Sampled(y)}
    shares = draw_halves(sampled, unit_ids(sampled, ()), seeded(3))
    one, two = shares["x"] > 0, shares["y"] > 0
    assert one.sum() == two.sum() == 150 and not torch.equal(one, two)
    halves = [float(frechet_distance(x[a], y[b])) for a, b in ((one, two), (~one, ~two))]
    assert e.corrected == pytest.approx(2 * e.value - sum(halves) / 2, rel=1e-9)


def test_more_splits_agree_with_one_and_vary_less():
    x, y = draws(2)
    one = torch.tensor([frechet_distance.estimate(x, y, generator=seeded(k)).bias for k in range(12)])
    many = torch.tensor(
        [frechet_distance.estimate(x, y, splits=8, generator=seeded(k)).bias for k in range(12)]
    )
    assert float(many.std()) < 0.7 * float(one.std())
    assert float(many.mean()) == pytest.approx(float(one.mean()), abs=3 * float(one.std()) / 12**0.5)


def test_the_default_generator_always_draws_the_same():
    x, y = draws(3)
    for m in (frechet_distance, kernel_distance, precision):
        assert m.estimate(x, y) == m.estimate(x, y) == m.estimate(x, y, generator=seeded(0))
        torch.manual_seed(7)  # the global generator is not touched
        before = torch.get_rng_state()
        m.estimate(x, y)
        assert torch.equal(before, torch.get_rng_state())
    assert frechet_distance.estimate(x, y, generator=seeded(1)) != frechet_distance.estimate(x, y)


def test_the_level_widens_the_interval_by_the_normal_quantile():
    x, y = draws(4, shift=2.0)
    widths = [
        e.high - e.low for e in (frechet_distance.estimate(x, y, level=v) for v in (0.6827, 0.9545, 0.9973))
    ]
    error = frechet_distance.estimate(x, y).std_error
    assert [w / (2 * error) for w in widths] == pytest.approx([1, 2, 3], rel=2e-3)


def test_half_samples_use_students_quantile():
    stats = pytest.importorskip("scipy.stats")
    x, y = draws(4)
    for half_samples in (10, 30):
        e = precision.estimate(x, y, half_samples=half_samples)
        assert f"{half_samples} half-samples without replacement" in e.method and e.bias == 0
        # downwards: upwards the interval ends at 1
        assert (e.corrected - e.low) / e.std_error == pytest.approx(
            stats.t.ppf(0.975, half_samples - 1), rel=1e-3
        )


def test_intervals_stay_within_bounds():
    x, _ = draws(5, n=40)
    e = coverage.estimate(x, x + 1e-9)
    assert (e.value, e.high) == (1.0, 1.0) and e.low <= 1
    assert frechet_distance.estimate(*draws(6, shift=0.0)).low == 0.0
    p = torch.full((40, 3), 1 / 3, dtype=torch.float64)
    e = inception_score.estimate(p + 0)
    assert e.low >= 1 and e.std_error < 1e-9


def test_mostly_bias_below_twice_as_many_samples_as_features():
    x, y = draws(7, n=50, d=40, shift=0)
    e = frechet_distance.estimate(x, y)
    assert [note.sets for note in e.notes] == [("x",), ("y",)]
    for note in e.notes:
        assert note.kind == "few samples" and note.numbers == {"samples": 50, "features": 40, "needed": 80}
        assert (
            note.sentence.startswith("50 samples for 40 features") and "80 samples or more" in note.sentence
        )
    x, y = draws(7, n=100, d=40, shift=0)
    (note,) = frechet_distance.estimate(x, y).notes
    assert note.sentence.endswith("sample-size bias; read the corrected one")
    assert not frechet_distance.estimate(*draws(8, n=500, d=5, shift=2.0)).notes
    assert not kernel_distance.estimate(*draws(8, n=50, d=40)).notes


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [frechet_distance, kernel_distance, precision], ids=lambda m: m.name)
def test_counts_are_copies_in_an_estimate(m):
    """Value exactly; bias and spread up to the halves that were drawn."""
    x, y = draws(9, n=200)
    w = torch.randint(1, 4, (200,), generator=seeded(1)).double()
    counted = m.estimate(x, y, weights_y=w)
    written = m.estimate(x, y.repeat_interleave(w.long(), 0))
    assert counted.value == pytest.approx(written.value, rel=1e-9) and counted.n_y == float(w.sum())
    assert counted.std_error == pytest.approx(written.std_error, rel=0.45)
    assert counted.corrected == pytest.approx(written.corrected, abs=2 * written.std_error)


def test_samples_of_count_zero_are_as_absent():
    x, y = draws(10)
    w = (torch.arange(300) < 200).double()
    a, b = kernel_distance.estimate(x, y, weights_x=w), kernel_distance.estimate(x[:200], y)
    assert a.value == pytest.approx(b.value) and a.n_x == 200
    assert a.std_error == pytest.approx(b.std_error, rel=0.05)


# -- dependence -------------------------------------------------------------------------------------------------------


def test_pairs_sum_both_influences():
    x, _ = draws(11)
    y = x + 0.2 * draws(12)[0]
    apart, together = frechet_distance.estimate(x, y), frechet_distance.estimate(x, y, paired=True)
    assert together.value == pytest.approx(apart.value)
    i, j = frechet_distance.influence(x, y, of="x"), frechet_distance.influence(x, y, of="y")
    assert together.std_error == pytest.approx(float((i + j).square().sum().sqrt()) / 300, rel=1e-6)
    assert apart.std_error == pytest.approx(
        float((i.square().sum() + j.square().sum()).sqrt()) / 300, rel=1e-6
    )
    assert together.std_error < 0.6 * apart.std_error


@pytest.mark.parametrize("labels", ["numbers", "strings", "tensor"])
def test_clusters_sum_their_influences(labels):
    _, y = draws(13)
    names = [k // 5 for k in range(300)]
    given = {"numbers": names, "strings": [f"prompt {k}" for k in names], "tensor": torch.tensor(names)}[
        labels
    ]
    e = vendi_score.estimate(y, clusters_y=given)
    influence = vendi_score.influence(y, of="y")
    assert e.std_error == pytest.approx(
        float(influence.view(60, 5).sum(1).square().sum().sqrt()) / 300, rel=1e-6
    )


def test_clusters_of_one_are_no_clusters():
    x, y = draws(14)
    a = frechet_distance.estimate(x, y)
    b = frechet_distance.estimate(x, y, clusters_x=range(300), clusters_y=torch.arange(300).flip(0))
    assert a.std_error == pytest.approx(b.std_error, rel=1e-9)


def test_copied_samples_in_clusters_are_as_sure_as_the_originals():
    x, y = draws(15)
    once = kernel_distance.estimate(x, y, biased=True)
    thrice = kernel_distance.estimate(
        x, y.repeat_interleave(3, 0), biased=True, clusters_y=torch.arange(900) // 3
    )
    assert thrice.value == pytest.approx(once.value)
    assert thrice.std_error == pytest.approx(once.std_error, rel=0.15)
    naive = kernel_distance.estimate(x, y.repeat_interleave(3, 0), biased=True)
    assert naive.std_error < 0.9 * once.std_error


def test_unbiased_forms_are_corrected_where_samples_hang_together():
    """Unbiased holds for independent samples: with y_i a copy of x_i the i-th product of both sides is k_ii."""
    values = []
    for seed in range(30):
        x, _ = draws(seed, n=100)
        values.append(kernel_distance.estimate(x, x.clone(), paired=True))
    corrected = torch.tensor([e.corrected for e in values])
    raw = torch.tensor([e.value for e in values])
    assert float(raw.mean()) < -5 * float(raw.std()) / 30**0.5  # the raw value is not unbiased here
    assert abs(float(corrected.mean())) < 0.2 * abs(float(raw.mean()))


# -- exact sides ------------------------------------------------------------------------------------------------------


def test_a_reference_given_as_a_statistic_is_exact():
    x, y = draws(16)
    e = frechet_distance.estimate(Moments.of(x), y)
    assert "x taken as exact" in e.method and e.n_x == 300
    influence = frechet_distance.influence(x, y, of="y")
    assert e.std_error == pytest.approx(float(influence.square().sum().sqrt()) / 300, rel=1e-6)
    assert e.std_error < frechet_distance.estimate(x, y).std_error


def test_statistics_alone_have_no_spread():
    x, y = draws(17)
    with pytest.raises(UsageError, match="estimate: needs the samples of at least one side"):
        frechet_distance.estimate(Moments.of(x), Moments.of(y))


# -- differences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [frechet_distance, kernel_distance, precision], ids=lambda m: m.name)
def test_a_difference_is_the_difference_of_values(m):
    (x, a), (b, _) = draws(18), draws(19)
    e = difference(m, x, a, b)
    assert e.value == pytest.approx(float(m(x, b)) - float(m(x, a)), rel=1e-8)
    back = difference(m, x, b, a)
    assert back.value == pytest.approx(-e.value)
    assert e.n_x == 300 and e.n_y == 300


def test_a_difference_of_one_candidate_with_itself_is_nothing():
    x, a = draws(20)
    e = difference(frechet_distance, x, a, a.clone(), paired=True)
    assert e.value == pytest.approx(0, abs=1e-12) and e.std_error == pytest.approx(0, abs=1e-9)


def test_the_shared_real_set_cancels():
    x, a = draws(21, n=400, shift=1.0)
    b = draws(22, n=4000, shift=1.05)[1]
    e = difference(frechet_distance, x, a.repeat(1, 1), b)
    apart = [frechet_distance.estimate(x, z).std_error for z in (a, b)]
    assert e.std_error < (apart[0] ** 2 + apart[1] ** 2) ** 0.5


def test_differences_of_one_set_and_exact_references():
    x, y = draws(23)
    e = difference(vendi_score, None, x, y)
    assert e.value == pytest.approx(float(vendi_score(y)) - float(vendi_score(x))) and e.n_x is None
    exact = difference(frechet_distance, Moments.of(x), x[:150], y)
    assert "real taken as exact" in exact.method and exact.n_x == 300


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"level": 1.0}, "level: expected a number between 0 and 1"),
        ({"level": 95}, "level"),
        ({"splits": 0}, "splits >= 1"),
        ({"half_samples": 2}, "half_samples >= 4"),
        ({"clusters_y": [1, 2]}, r"clusters_y: expected one label a sample, shape \(300,\)"),
        ({"clusters_z": [1] * 300}, "unknown option 'clusters_z'"),
    ],
)
def test_what_estimate_refuses(keywords, said):
    with pytest.raises(UsageError, match=said):
        frechet_distance.estimate(*draws(24), **keywords)


def test_pairs_must_be_pairs():
    x, y = draws(25)
    with pytest.raises(UsageError, match="paired: x has 300 samples and y 200"):
        frechet_distance.estimate(x, y[:200], paired=True)
    with pytest.raises(UsageError, match="different weights"):
        frechet_distance.estimate(x, y, paired=True, weights_x=torch.ones(300) * 2)
    with pytest.raises(UsageError, match="paired: x is a statistic"):
        frechet_distance.estimate(Moments.of(x), y, paired=True)
    with pytest.raises(UsageError, match="clusters differ"):
        frechet_distance.estimate(x, y, paired=True, clusters_x=[0] * 300, clusters_y=[1] * 150 + [2] * 150)


def test_nan_is_named_by_row():
    x, y = draws(26)
    y[[4, 9]] = float("inf")
    for m in (frechet_distance, precision):
        with pytest.raises(DataError, match=r"y: 2 of 300 samples hold NaN or infinity \(rows 4, 9\)"):
            m.estimate(x, y)
        with pytest.raises(DataError, match="rows 4, 9"):
            difference(m, x, x, y)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_very_few_samples_say_what_could_not_be_done(n):
    x, y = draws(27, n=n, d=2)
    e = frechet_distance.estimate(x, y)
    if n < 4:
        assert e.bias == 0 and "too few samples to halve" in e.method
    with pytest.raises(ValueError, match="samples"):
        precision.estimate(x, y, nearest_k=3)


def test_a_seventh_sample_too_few_for_half_samples_is_named():
    """Seven samples suffice for k = 5; their halves do not."""
    x, y = draws(28, n=7, d=2)
    with pytest.raises(ValueError, match="halves") as caught:
        precision.estimate(x, y)
    assert "x 7, y 7 samples" in str(caught.value)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_student_reaches_as_far_as_scipys_quantile(level):
    """Also at one and two degrees of freedom, where an expansion about the normal quantile is a quarter short."""
    stats = pytest.importorskip("scipy.stats")
    for freedom in (*range(1, 12), 49, 99, 100, 101, 1000, 10_000):
        expected = stats.t.ppf((1 + level) / 2, freedom)
        assert student_reach(level, freedom) == pytest.approx(expected, rel=1e-6), freedom
