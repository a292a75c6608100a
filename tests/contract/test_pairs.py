"""Pair measures: the laws hold, are able to break, and the interval covers the population's mean."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError, UsageError
from assay.images import clip_score
from assay.law_inputs import LawBroken
from assay.pair_laws import (
    PAIR_LAWS,
    PairInputs,
    a_pair_stands_alone,
    draw_pair_inputs,
    laws_of_pairs,
    value_on_equal,
)
from assay.pairs import PairMeasure, pair_measure


def distance_map(image, target, *, power=2.0):
    return (image - target).abs().pow(power).mean(1)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    map=distance_map,
    laws=[value_on_equal(0.0)],
    reference="this file",
)
def image_distance(image, target, *, power=2.0):
    """Mean |difference|^power, a value an image."""
    return distance_map(image, target, power=power).mean((1, 2))


@pair_measure(domain="images", best="min", lower=0.0, reference="this file")
def roughness(image):
    """Mean squared difference of neighbours, of one image without a target."""
    return image.diff(dim=-1).square().mean((1, 2, 3))


@pair_measure(domain="any", best="max", lower=0.0, upper=1.0, reference="this file")
def right_probability(logits, label):
    """The probability given to the label."""
    return logits.softmax(1).gather(1, label[:, None])[:, 0]


MEASURES = [clip_score, image_distance, roughness, right_probability]


def inputs_of(measure, n, size, seed):
    if measure is not right_probability:
        return draw_pair_inputs(measure, n=n, size=size, seed=seed)
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, size, dtype=torch.float64, generator=g)
    counts = torch.randint(1, 4, (n,), generator=g).to(torch.float64)
    return PairInputs((logits, torch.randint(0, size, (n,), generator=g)), counts, seed)


@pytest.mark.parametrize(
    "measure,law",
    [(m, law) for m in MEASURES for law in laws_of_pairs(m)],
    ids=lambda each: each.name if isinstance(each, PairMeasure) else each.__name__,
)
def test_every_pair_measure_keeps_its_laws(measure, law):
    tries = 1 if law.__name__ == "compiled_agrees" else 8

    @settings(max_examples=tries)
    @given(st.integers(8, 20), st.integers(4, 12), st.integers(0, 2**31))
    def kept(n, size, seed):
        law(measure, inputs_of(measure, n, size, seed))

    kept()


def broken_by_batch(x):
    return x.mean((1, 2, 3)) - x.mean()


def broken_by_order(x):
    return x.mean((1, 2, 3)) * torch.arange(1.0, len(x) + 1)


def broken_by_precision(x):
    return x.mean((1, 2, 3)) if x.dtype == torch.float64 else x.mean((1, 2, 3)) + 0.1


def broken_by_bounds(x):
    return -x.mean((1, 2, 3))


def broken_by_gradient(x):
    return x.detach().mean((1, 2, 3)) + 0 * x.mean((1, 2, 3))


@pytest.mark.parametrize(
    "function,law",
    [
        (broken_by_batch, "a_pair_stands_alone"),
        (broken_by_batch, "parts_merge_to_the_whole"),
        (broken_by_batch, "counts_are_copies"),
        (broken_by_order, "order_goes_with_the_pairs"),
        (broken_by_precision, "float32_agrees"),
        (broken_by_bounds, "stays_within_bounds"),
        (broken_by_gradient, "gradient_is_right"),
    ],
)
def test_laws_can_break(function, law):
    measure = pair_measure(domain="images", best="min", lower=0.0, reference="this file")(function)
    inputs = draw_pair_inputs(measure, n=9, size=4, seed=0)
    (named,) = [each for each in PAIR_LAWS if each.__name__ == law]
    with pytest.raises(LawBroken, match=law):
        named(measure, inputs)


def test_an_exception_leaves_its_law_out():
    batch = pair_measure(
        domain="images",
        best="min",
        reference="this file",
        exceptions={"a_pair_stands_alone": "on purpose"},
    )(broken_by_batch)
    assert a_pair_stands_alone not in laws_of_pairs(batch)
    wrong = pair_measure(domain="images", best="min", reference="-", exceptions={"nothing": "x"})(
        broken_by_batch
    )
    with pytest.raises(UsageError, match="'nothing' is no law"):
        laws_of_pairs(wrong)


def test_the_estimate_is_the_textbook_one(normal):
    """Mean, s / sqrt(n), and Student's t against scipy's."""
    stats = pytest.importorskip("scipy.stats")
    x, y = normal(12, 5), normal(12, 5)
    values = clip_score(x, x + y)
    found = clip_score.estimate(x, x + y, level=0.9)
    low, high = stats.t.interval(0.9, 11, loc=values.mean().item(), scale=stats.sem(values.numpy()))
    assert found.value == found.corrected == pytest.approx(values.mean().item()) and found.bias == 0
    assert found.std_error == pytest.approx(stats.sem(values.numpy()))
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3 * (high - low))
    assert (found.n_x, found.n_y) == (12, 12) and roughness.estimate(torch.rand(3, 3, 4, 4)).n_y is None


def test_clusters_are_summed(normal):
    """Every pair three times as one cluster is the same as the pairs alone."""
    x, y = normal(20, 6), normal(20, 6)
    alone = clip_score.estimate(x, x + y)
    names = [f"prompt {i}" for i in range(20) for _ in range(3)]
    many = clip_score.estimate(x.repeat_interleave(3, 0), (x + y).repeat_interleave(3, 0), clusters=names)
    assert many.std_error == pytest.approx(alone.std_error)
    assert (many.low, many.high) == pytest.approx((alone.low, alone.high)) and many.n_x == 60
    naive = clip_score.estimate(x.repeat_interleave(3, 0), (x + y).repeat_interleave(3, 0))
    assert naive.std_error < 0.65 * alone.std_error
    with pytest.raises(DataError, match="at least two clusters, got 1"):
        clip_score.estimate(x, y, clusters=[0] * 20)


def test_the_interval_covers_the_mean_in_nine_draws_of_ten():
    """400 draws of 6 clusters of 2: the share that covers is within 4 binomial deviations of 0.9."""
    g = torch.Generator().manual_seed(1)
    hits = 0
    for _ in range(400):
        shared = torch.randn(6, 1, dtype=torch.float64, generator=g).repeat_interleave(2, 0)
        values = shared + torch.randn(12, 1, dtype=torch.float64, generator=g)
        found = plain_mean.estimate(values, clusters=[i // 2 for i in range(12)], level=0.9)
        hits += found.low <= 0 <= found.high
    assert abs(hits / 400 - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 400)


@pair_measure(domain="embeddings", best="min", reference="this file")
def plain_mean(x):
    """The mean of the features."""
    return x.mean(1)


def test_the_interval_stays_within_the_bounds():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 3.0]])
    found = clip_score.estimate(x, torch.tensor([[1.0, 0.0]] * 3))
    assert found.high == 100.0 and found.low >= 0
    equal = clip_score.estimate(x, x)
    assert equal.std_error < 1e-4 and equal.high <= 100.0
    (note,) = plain_mean.estimate(torch.ones(4, 2)).notes
    assert str(note) == "all values are equal, so the interval has no width"


def test_options_maps_and_narrow_types():
    x, y = torch.rand(3, 3, 5, 4), torch.rand(3, 3, 5, 4)
    assert image_distance.map(x, y).shape == (3, 5, 4)
    torch.testing.assert_close(
        image_distance.map(x, y, power=1.0).mean((1, 2)), image_distance(x, y, power=1.0)
    )
    torch.testing.assert_close(image_distance.with_options(power=1.0)(x, y), (x - y).abs().mean((1, 2, 3)))
    assert clip_score(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3)).dtype == torch.float32
    assert clip_score(np.ones((2, 3)), np.ones((2, 3))).dtype == torch.float64
    with pytest.raises(UsageError, match="clip_score: has no map"):
        clip_score.map(torch.ones(1, 2), torch.ones(1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        assert clip_score(torch.ones(2, 3), torch.ones(2, 3)).dtype == torch.float32


def test_wrong_definitions_are_refused():
    def none():
        return None

    def needs(x, *, option):
        return x

    def shadows(x, *, weights=1):
        return x

    for function, words in (
        (none, "one to three"),
        (needs, "'option' needs a default"),
        (shadows, "'weights'"),
    ):
        with pytest.raises(UsageError, match=words):
            pair_measure(domain="any", best="min", reference="-")(function)

    def scalar(x):
        return x.mean()

    with pytest.raises(UsageError, match=r"scalar: its function must return one value a pair, shape \(4,\)"):
        pair_measure(domain="any", best="min", reference="-")(scalar)(torch.ones(4, 2))


def test_a_metric_says_what_it_lacks_and_returns_the_values(normal):
    metric = clip_score.metric()
    with pytest.raises(DataError, match="clip_score: nothing seen yet"):
        metric.compute()
    x, y = normal(5, 4), normal(5, 4)
    torch.testing.assert_close(metric.update(x, y), clip_score(x, y))
    torch.testing.assert_close(metric.compute(), clip_score(x, y).mean())
    bad = y.clone()
    bad[2, 0] = math.nan
    with pytest.raises(DataError, match=r"text: 1 of 5 pairs hold NaN or infinity \(rows 2\)"):
        metric.update(x, bad)
    torch.testing.assert_close(metric.compute(), clip_score(x, y).mean())
    with pytest.raises(UsageError, match="merge: the two metrics"):
        metric.merge(image_distance.metric())
    metric.reset()
    with pytest.raises(DataError, match="nothing seen"):
        metric.estimate()


def test_a_pair_measure_pickles_by_name():
    again = pickle.loads(pickle.dumps(clip_score))
    assert again.name == "clip_score" and clip_score.__doc__ == again.__doc__
    x = torch.rand(3, 4)
    assert torch.equal(again(x, x), clip_score(x, x))


def test_objective_goes_up_where_the_best_is_the_maximum():
    g = torch.Generator().manual_seed(0)
    image, text = torch.randn(8, 6, generator=g), torch.randn(8, 6, generator=g)
    image.requires_grad_()
    loss = clip_score.objective()
    before = loss(image + text.detach(), text)
    before.backward()
    with torch.no_grad():
        after = loss(image + text - 0.1 * image.grad, text)
    assert after < before < 0


@pair_measure(domain="embeddings", best="min", lower=0.0, reference="this file")
def distance_under(x, y, *, by=None):
    """Mean squared distance under a linear map, which may be a tensor or a network."""
    linear = by if by is not None else torch.nn.Identity()
    move = linear if callable(linear) else lambda rows: rows @ linear
    return (move(x) - move(y)).square().mean(1)


def test_metrics_of_workers_merge_where_their_options_are_equal_copies(normal):
    """Tensors and networks as options are compared by their numbers: another process holds copies."""
    x, y = normal(6, 3), normal(6, 3)
    network = torch.nn.Linear(3, 2, dtype=torch.float64)
    for by in (torch.eye(3, dtype=torch.float64), network):
        mine, theirs = (distance_under.with_options(by=copy.deepcopy(by)).metric() for _ in range(2))
        mine.update(x, y)
        theirs.update(x, y)
        mine.merge(theirs)
        assert float(mine.compute()) == pytest.approx(float(distance_under(x, y, by=by).detach().mean()))
        other = copy.deepcopy(by)
        with torch.no_grad():
            (other if isinstance(other, torch.Tensor) else other.weight).mul_(2)
        with pytest.raises(UsageError, match="different measures or options"):
            mine.merge(distance_under.with_options(by=other).metric())
