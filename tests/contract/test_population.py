"""A population: the last N samples, or fading counts; the value is theirs, the gradient the batch's, whatever N is."""

from __future__ import annotations

import pytest
import torch

from assay import Moments, frechet_distance, sets, vendi_score
from assay.measure import measure
from assay.set_measure import Measure
from assay.statistics.coupling import root_trace

from .population_steps import drawn, made, slope, stepped, value_of

SMOOTH = [v for v in vars(sets).values() if isinstance(v, Measure) and v.differentiable]


TWO = [
    m.with_options(nearest_k=1) if "nearest_k" in m.options else m  # sets as small as the first batches
    for m in SMOOTH
    if len(m.sides) <= 2
]


@pytest.mark.parametrize("memory", ["queue", "ema"])
@pytest.mark.parametrize("d", [4, 40])
def test_a_population_of_one_batch_is_the_plain_objective(memory, d):
    x = drawn(60, 1, d)
    plain = frechet_distance.objective(reference=x)
    objective = frechet_distance.objective(reference=x, population=20, memory=memory)
    for seed in range(4):
        for got, want in zip(
            stepped(objective, drawn(20, seed, d)), stepped(plain, drawn(20, seed, d)), strict=True
        ):
            assert torch.equal(got, want)


@pytest.mark.parametrize("m", TWO, ids=lambda m: m.name)
def test_a_queue_is_the_last_samples_with_batches_of_any_size(m):
    x = drawn(30, 99, m=m)
    objective = made(m, x, population=20)
    seen = torch.zeros(0, 4, dtype=torch.float64)
    for step, n in enumerate([3, 7, 6, 5, 1, 8, 20, 7, 13, 19, 2, 2]):
        batch = drawn(n, step, m=m)
        if m.statistic is Moments and len(seen) + n < 2:
            continue
        last = torch.cat([seen, batch])[-20:]
        leaf = batch.clone().requires_grad_()
        kept = last[: len(last) - n]
        want = value_of(m, x, torch.cat([kept, leaf]))
        got, mine = stepped(objective, batch)
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-9, abs=1e-9), (step, n)
        assert torch.allclose(mine, slope(want, leaf) * len(last) / n, rtol=1e-7, atol=1e-9), (step, n)
        seen = last


def test_a_queue_of_more_features_than_samples_passes_from_rows_to_sums():
    x, objective = drawn(80, 99, 10), None
    objective = frechet_distance.objective(reference=x, population=33)
    every = torch.zeros(0, 10, dtype=torch.float64)
    for step in range(12):
        batch = drawn(4, step, 10)
        every = torch.cat([every, batch])[-33:]
        got, mine = stepped(objective, batch)
        leaf = batch.clone().requires_grad_()
        want = frechet_distance(x, torch.cat([every[:-4], leaf]))
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-8)
        assert torch.allclose(mine, slope(want, leaf) * len(every) / 4, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("few", [True, False], ids=["few real samples", "many"])
def test_the_reference_may_have_fewer_samples_than_features(few):
    x = drawn(5 if few else 50, 99, 8)
    objective = frechet_distance.objective(reference=x, population=40)
    for step in range(6):
        objective(drawn(10, step, 8))
    leaf = drawn(10, 7, 8).requires_grad_()
    older = objective.population.samples()[10:]
    want = frechet_distance(x, torch.cat([older, leaf]))
    loss = objective(leaf)
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    assert torch.allclose(slope(loss, leaf), 4 * slope(want, leaf), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("m", [frechet_distance, vendi_score], ids=lambda m: m.name)
def test_fading_counts_are_weights_that_shrink_by_the_batchs_share(m):
    x, objective = drawn(60, 99, m=m), None
    objective = made(m, x, population=25, memory="ema")
    rows, counts = torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    for step, n in enumerate([5, 5, 10, 3, 25, 5, 24, 5]):
        batch = drawn(n, step, m=m)
        counts = torch.cat([counts * (1 - n / 25), torch.ones(n, dtype=torch.float64)])
        leaf = batch.clone().requires_grad_()
        whole = m.statistic.of(torch.cat([rows, leaf]), counts)
        sets = (x, whole) if len(m.sides) == 2 else (whole,)
        want = m(*sets) if m.best == "min" else -m(*sets)
        got, mine = stepped(objective, batch)
        assert float(got) == pytest.approx(float(want.detach()), rel=1e-9)
        assert torch.allclose(mine, slope(want, leaf) * float(counts.sum()) / n, rtol=1e-7, atol=1e-10)
        assert objective.population.weight == pytest.approx(float(counts.sum())) and counts.sum() <= 25 + 1e-9
        rows = torch.cat([rows, batch])


@measure(statistic=Moments, best="min", reference="this test")
def by_scatter(x: Moments, y: Moments):
    """Reads the scatter as anybody may, and on both sides."""
    return (y.scatter @ x.scatter @ y.scatter).trace() / y.weight**2 + root_trace(y, x)


def test_a_measure_of_ones_own_may_read_the_scatter():
    x, objective = drawn(60, 99), by_scatter.objective(reference=drawn(60, 99), population=40)
    for step in range(6):
        objective(drawn(10, step))
    leaf = drawn(10, 6).requires_grad_()
    want = by_scatter(x, torch.cat([objective.population.samples()[10:], leaf]))
    loss = objective(leaf)
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    assert torch.allclose(slope(loss, leaf), 4 * slope(want, leaf), rtol=1e-7)


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_twice_the_population_leaves_the_expected_gradient(memory):
    """Unscaled it would be halved. 10%: the mean of 60 batches of 16."""
    x, means = drawn(4000, 99), []
    for size in (320, 640):
        objective = frechet_distance.objective(reference=x, population=size, memory=memory)
        objective.warm_up([drawn(size, 1000) + 1])
        slopes = [stepped(objective, drawn(16, k) + 1)[1].mean(0) for k in range(60)]
        means.append(torch.stack(slopes).mean(0).norm())
    assert float(means[1] / means[0]) == pytest.approx(1, abs=0.1)


def test_two_graphs_may_be_alive_at_once():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    first, second = drawn(30, 1).requires_grad_(), drawn(30, 2).requires_grad_()
    (objective(first) + objective(second)).backward()
    assert first.grad is not None and second.grad is not None
