"""The bounded Fréchet objective: never above the distance, equal to it at a refresh, its gap said."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay import Moments, UsageError, frechet_distance
from assay.sets.bounded_frechet import bounded_frechet_objective
from assay.statistics import linalg


def drawn(n, seed=0, d=6, scale=1.0):
    z = torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return scale * z * torch.linspace(0.5, 2.0, d, dtype=torch.float64) + 0.3


def pair(x, population=120, **options):
    plain = {k: v for k, v in options.items() if k in ("memory", "gradients")}
    return (
        bounded_frechet_objective(x, population=population, **options),
        frechet_distance.objective(reference=x, population=population, **plain),
    )


def stepped(objective, batch):
    leaf = batch.clone().requires_grad_()
    loss = objective(leaf)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


@given(st.integers(0, 1000), st.integers(2, 8), st.floats(0.1, 10))
def test_any_map_gives_a_lower_bound_and_the_best_one_the_distance(seed, d, scale):
    """The inequality itself, from matrices drawn at random."""
    g = torch.Generator().manual_seed(seed)
    a, b, t = (torch.randn(2 * d, d, dtype=torch.float64, generator=g) for _ in range(3))
    c1, c2, made = a.T @ a, scale * b.T @ b, t.T @ t + 1e-3 * torch.eye(d)
    x, y = (Moments.from_covariance(torch.zeros(d), c, 10) for c in (c1, c2))
    distance = float(frechet_distance(x, y))

    def bound(made):
        return float(c1.trace() + c2.trace() - (made @ c2).trace() - torch.linalg.solve(made, c1).trace())

    assert bound(made) <= distance + 1e-8 * float(c1.trace() + c2.trace())
    values, vectors = torch.linalg.eigh(c1)
    root = (vectors * values.sqrt()) @ vectors.T
    values, vectors = torch.linalg.eigh(root @ c2 @ root)
    best = root @ (vectors * values.rsqrt()) @ vectors.T @ root
    assert bound(best) == pytest.approx(distance, rel=1e-6, abs=1e-6 * float(c1.trace() + c2.trace()))


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_it_is_never_above_the_distance_and_equal_at_each_refresh(memory):
    bounded, exact = pair(drawn(90, 99), memory=memory, refresh=4)
    for objective in (bounded, exact):
        objective.warm_up([drawn(120, 98, scale=1.2)])
    ratios, last = [], None
    for step in range(13):
        batch = drawn(8, step, scale=1.2)
        (low, slope), (value, true) = stepped(bounded, batch), stepped(exact, batch)
        scale = float(value)
        assert float(low) <= scale + 1e-9
        if step % 4 == 0:
            assert float(low) == pytest.approx(scale, rel=1e-5)
            assert torch.allclose(slope, true, rtol=1e-3, atol=1e-4 * float(true.abs().max()))
        if step in (4, 8, 12):
            assert bounded.gap is not None and float(bounded.gap) > 0
            assert float(bounded.relative_gap) == pytest.approx(float(bounded.gap) / scale, rel=1e-6)
            assert float(bounded.gap) > 0.5 * last  # after four steps at least half of what three left
        last = scale - float(low)
        ratios.append(float((slope * true).sum() / slope.norm() / true.norm()))
    assert bounded.refreshes == 4
    assert min(ratios) > 0.9


def test_the_gap_is_the_distance_less_the_bound_by_the_old_map():
    bounded, exact = pair(drawn(90, 99), refresh=3)
    never, _ = pair(drawn(90, 99), refresh=10)
    for objective in (bounded, exact, never):
        objective.warm_up([drawn(120, 98)])
    for step in range(4):
        batch = drawn(20, step)
        bounded(batch)
        value, old = exact(batch), never(batch)
    assert float(bounded.gap) == pytest.approx(float(value - old), rel=1e-6)


def test_a_population_of_many_batches_makes_sixteen_steps_cheap_to_trust():
    """0.5% of the population replaced a step: within 3% of the distance and cosine 0.99 after 15 stale steps."""
    d, size, n = 32, 3200, 16
    x = drawn(20000, 99, d)
    bounded, exact = pair(x, population=size, refresh=16)
    for objective in (bounded, exact):
        objective.warm_up([drawn(size, 98, d, 1.2)])
    for step in range(16):
        (low, slope), (value, true) = (stepped(o, drawn(n, step, d, 1.2)) for o in (bounded, exact))
    assert bounded.refreshes == 1
    assert 0 <= float((value - low) / value) < 0.03
    assert float((slope * true).sum() / slope.norm() / true.norm()) > 0.99


def test_a_tolerance_refreshes_more_often_where_the_gap_asks_for_it():
    counts = {}
    for tolerance in (None, 0.3, 1e-6):
        bounded, _ = pair(drawn(90, 99), population=240, refresh=8, tolerance=tolerance)
        bounded.warm_up([drawn(240, 98)])
        for step in range(33):
            bounded(drawn(8, step))
        counts[tolerance] = bounded.refreshes
    assert counts[None] == 5
    assert counts[None] < counts[0.3] < counts[1e-6] == 33


@pytest.mark.parametrize("dead", ["real", "generated", "both"])
def test_singular_covariances(dead):
    x, columns = drawn(90, 99), [1, 4]
    if dead != "generated":
        x[:, columns] = 0.3
    bounded, exact = pair(x, refresh=3)
    for step in range(24):
        batch = drawn(20, step)
        if dead != "real":
            batch[:, columns] = 0.3
        made = bounded.refreshes
        (low, slope), (value, true) = stepped(bounded, batch), stepped(exact, batch)
        assert float(low) <= float(value) + 1e-7
        assert bool(torch.isfinite(slope).all())
        if step > 6 and bounded.refreshes > made:
            assert float(low) == pytest.approx(float(value), abs=1e-4)
            keep = [k for k in range(6) if k not in columns or dead == "real"]
            assert torch.allclose(slope[:, keep], true[:, keep], rtol=1e-3, atol=1e-4)


def test_few_samples_are_exact():
    bounded, exact = pair(drawn(90, 99, 30), population=100)
    for step in range(5):
        got, want = stepped(bounded, drawn(5, step, 30)), stepped(exact, drawn(5, step, 30))
        assert torch.equal(got[0], want[0]) and torch.equal(got[1], want[1])
    assert bounded.refreshes == 0
    few, _ = pair(drawn(5, 99), population=100)
    assert float(few(drawn(50, 1))) == pytest.approx(
        float(frechet_distance(drawn(5, 99), drawn(50, 1))), rel=1e-9
    )


def test_first_batch_of_more_samples_than_features():
    bounded, exact = pair(drawn(90, 99))
    for got, want in zip(stepped(bounded, drawn(40, 1)), stepped(exact, drawn(40, 1)), strict=True):
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-7)


def test_state_moves_on_in_training_mode_only_and_is_saved():
    bounded, _ = pair(drawn(90, 99), refresh=5)
    for step in range(7):
        bounded(drawn(20, step))
    bounded.eval()
    before = {k: v.clone() for k, v in bounded.state_dict().items()}
    value = float(bounded(drawn(20, 50)))
    assert float(bounded(drawn(20, 50))) == value
    assert all(torch.equal(before[k], v) for k, v in bounded.state_dict().items())
    bounded.train()
    fresh, _ = pair(drawn(90, 99), refresh=5)
    fresh.load_state_dict(bounded.state_dict())
    third = copy.deepcopy(bounded)
    for step in range(8):
        want = stepped(bounded, drawn(20, 60 + step))
        for other in (fresh, third):
            for a, b in zip(stepped(other, drawn(20, 60 + step)), want, strict=True):
                assert torch.allclose(a, b, rtol=1e-8, atol=1e-11)


def test_casting_keeps_the_map():
    bounded, _ = pair(drawn(90, 99))
    for step in range(3):
        bounded(drawn(40, step))
    bounded.eval()
    want = float(bounded(drawn(40, 3)))
    torch.nn.Sequential(bounded).half()
    assert float(bounded(drawn(40, 3))) == pytest.approx(want, rel=1e-9)


def test_errors():
    x = drawn(90, 99)
    with pytest.raises(UsageError, match="refresh: expected a whole number of steps of at least 1, got 0"):
        bounded_frechet_objective(x, population=50, refresh=0)
    with pytest.raises(UsageError, match="tolerance: expected a share"):
        bounded_frechet_objective(x, population=50, tolerance=0.0)
    objective = bounded_frechet_objective(x, population=50)
    with pytest.raises(UsageError, match="x has 6, y has 3"):
        objective(torch.zeros(5, 3))
    with pytest.raises(UsageError, match="population: 50 samples are fewer than the batch's 51"):
        objective(drawn(51))


@pytest.mark.parametrize("block", [1, 3, 4, 100])
def test_products_with_a_triangular_factor_by_blocks(monkeypatch, block):
    """Both the distance and its gradient go through them; with blocks of any size they are the plain products."""
    x, y = drawn(40, 1, 10), drawn(50, 2, 10)
    want = stepped(frechet_distance.objective(reference=x), y)
    singular = x.clone()
    singular[:, 3] = 0.0
    wanted = stepped(frechet_distance.objective(reference=singular), y)
    monkeypatch.setattr("assay.statistics.linalg.TRIANGLE_BLOCK", block)
    factor, c = torch.linalg.cholesky(x.T @ x).mT, y.T @ y
    product, triangular = linalg._between(factor, c)
    assert triangular
    assert torch.allclose(product.triu(), (factor @ c @ factor.mT).triu(), rtol=1e-12, atol=1e-10)
    assert not linalg._between(x, c)[1]
    for a, b in zip(stepped(frechet_distance.objective(reference=x), y), want, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(stepped(frechet_distance.objective(reference=singular), y), wanted, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_a_population_that_still_fills_keeps_its_map_fresh(memory):
    """Twice as many samples are another covariance: a map made of the first batch is none for the second."""
    bounded, exact = pair(drawn(2000, 1, d=24), population=2000, refresh=16, memory=memory)
    for s in range(20):
        (value, got), (distance, expected) = (
            stepped(o, 0.9 * drawn(64, 10 + s, d=24)) for o in (bounded, exact)
        )
        assert float(value) >= 0.6 * float(distance)
        assert float(torch.nn.functional.cosine_similarity(got.flatten(), expected.flatten(), 0)) > 0.9
    saved = copy.deepcopy(bounded.state_dict())
    again, _ = pair(drawn(2000, 1, d=24), population=2000, refresh=16, memory=memory)
    again.load_state_dict(saved)
    for s in range(6):
        batch = drawn(64, 50 + s, d=24)
        assert float(again(batch)) == pytest.approx(float(bounded(batch)), rel=1e-9)


def test_a_map_made_in_inference_mode_trains():
    bounded, _ = pair(drawn(200, 1), population=60)
    with torch.inference_mode():
        for s in range(4):
            bounded(drawn(20, s))
    value, gradient = stepped(bounded, drawn(20, 9))
    assert value.isfinite() and gradient.isfinite().all()
