"""A metric over batches is the measure over all of them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import DataError, Moments, UsageError, frechet_distance, kernel_distance, prdc, sets, vendi_score
from assay.set_measure import Measure

MEASURES = [v for v in vars(sets).values() if isinstance(v, Measure)]


def drawn(m, n, seed=0, d=4):
    z = 2 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z if m.domain == "features" else z.softmax(1)


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.name)
def test_any_batches_equal_one_shot(m):
    @settings(max_examples=5)
    @given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=9), cut=st.integers(0, 9))
    def check(sizes, cut):
        x, y = drawn(m, 50, 1), drawn(m, 8 + sum(sizes))
        w = torch.randint(1, 4, (len(y),), generator=torch.Generator().manual_seed(2)).double()
        batches = list(zip(y.split([8, *sizes]), w.split([8, *sizes]), strict=True))
        two, three = len(m.sides) > 1, len(m.sides) > 2
        third = {"held_out": drawn(m, 40, 3)} if three else {}
        expected = m(*([x] if two else []), y, *third.values(), weights_y=w)
        fixed = m.metric(reference=x, **third) if two else m.metric()
        for batch, counts in batches:
            fixed.update(batch, counts)
        assert float(fixed.compute()) == pytest.approx(float(expected), rel=1e-8, abs=1e-9)
        left, right = m.metric(), m.metric()
        for k, (batch, counts) in enumerate(batches):
            (left if k < cut else right).update(batch, counts)
        if two:
            left.update_reference(x[:1])
            right.update_reference(x[1:])
        if three:
            left.update_held_out(third["held_out"][:9])
            right.update_held_out(third["held_out"][9:])
        left.merge(right)
        assert float(left.compute()) == pytest.approx(float(expected), rel=1e-8, abs=1e-9)

    check()


def test_half_split_bias_of_the_stream():
    """Two equal distributions: the raw value is all bias, the corrected one is about zero."""
    raw, corrected = [], []
    for seed in range(20):
        metric = frechet_distance.metric()
        metric.update_reference(drawn(frechet_distance, 300, seed, 12))
        for batch in drawn(frechet_distance, 300, 100 + seed, 12).split(70):
            metric.update(batch)
        raw.append(float(metric.compute()))
        corrected.append(float(metric.corrected()))
    raw, corrected = torch.tensor(raw), torch.tensor(corrected)
    assert abs(float(corrected.mean())) < 3 * float(corrected.std()) / 20**0.5 + 0.02 * float(raw.mean())
    assert float(raw.mean()) > 5 * float(raw.std())


def test_unbiased_and_rough_measures_are_not_corrected():
    x, y = drawn(prdc.measures[0], 40), drawn(prdc.measures[0], 40, 1)
    for m in (kernel_distance, prdc):
        metric = m.metric(reference=x)
        metric.update(y)
        assert metric.corrected() == metric.compute()


def test_joint_metric_and_options():
    x, y = drawn(prdc.measures[0], 40), drawn(prdc.measures[0], 40, 1)
    metric = prdc.metric(reference=x, nearest_k=2)
    metric.update(y[:13])
    metric.update(y[13:])
    assert {k: float(v) for k, v in metric.compute().items()} == {
        k: pytest.approx(float(v)) for k, v in prdc(x, y, nearest_k=2).items()
    }


def test_reset_forgets_the_batches_and_keeps_the_reference():
    x, y = drawn(frechet_distance, 40), drawn(frechet_distance, 40, 1)
    metric = frechet_distance.metric(reference=Moments.of(x))
    metric.update(drawn(frechet_distance, 9, 5, 4))
    metric.reset()
    with pytest.raises(DataError, match=r"y: nothing seen yet; call update\(batch\)"):
        metric.compute()
    metric.update(y)
    assert float(metric.compute()) == pytest.approx(float(frechet_distance(x, y)))


def test_a_bad_batch_leaves_the_metric_as_it_was():
    x, y = drawn(frechet_distance, 40), drawn(frechet_distance, 40, 1)
    metric = frechet_distance.metric(reference=x)
    metric.update(y)
    before = float(metric.compute())
    bad = y.clone()
    bad[3, 1] = float("nan")
    with pytest.raises(DataError, match=r"y: 1 of 40 samples hold NaN or infinity \(rows 3\)"):
        metric.update(bad)
    with pytest.raises(UsageError, match="y: this batch has 3 features, those before 4"):
        metric.update(y[:, :3])
    assert float(metric.compute()) == before


def test_metric_errors():
    x = drawn(frechet_distance, 9)
    with pytest.raises(UsageError, match="fixed reference"):
        frechet_distance.metric(reference=x).update_reference(x)
    with pytest.raises(UsageError, match="one set"):
        vendi_score.metric(reference=x)
    with pytest.raises(UsageError, match="different measures"):
        frechet_distance.metric().merge(kernel_distance.metric())
    metric = frechet_distance.metric()
    metric.update(x)
    with pytest.raises(DataError, match="update_reference"):
        metric.compute()


def test_metrics_of_different_options_do_not_merge():
    a, b = prdc.metric(nearest_k=3), prdc.metric(nearest_k=5)
    b.update(drawn(prdc.measures[0], 9))
    with pytest.raises(UsageError, match=r"nearest_k|options"):
        a.merge(b)


def test_a_metric_can_be_copied():
    x, y = drawn(frechet_distance, 40), drawn(frechet_distance, 40, 1)
    metric = prdc.measures[0].metric(reference=x)
    metric.update(y)
    assert float(copy.deepcopy(metric).compute()) == float(metric.compute())


def test_a_metric_can_be_pickled():
    x, y = drawn(frechet_distance, 40), drawn(frechet_distance, 40, 1)
    plain = frechet_distance.metric(reference=x)
    plain.update(y)
    assert float(pickle.loads(pickle.dumps(plain)).compute()) == float(plain.compute())


def test_batches_are_not_held_by_a_bounded_statistic():
    metric = frechet_distance.metric(reference=drawn(frechet_distance, 40))
    for seed in range(50):
        metric.update(drawn(frechet_distance, 40, seed))
    piles = [level for pile in metric._piles["y"] for level in pile._levels]
    assert len(piles) == 2 and all(part.rows is None for _, part in piles)
