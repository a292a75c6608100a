"""What a population remembers: only what training showed it, exactly, and through the state dict."""

from __future__ import annotations

import copy

import pytest
import torch

from assay import UsageError, frechet_distance, kernel_distance

from .population_steps import drawn, stepped


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_only_training_mode_remembers(memory):
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    for step in range(9):
        objective(drawn(10, step))
    objective.eval()
    before = {k: v.clone() for k, v in objective.state_dict().items()}
    value = float(objective(drawn(10, 50)))
    assert float(objective(drawn(10, 50))) == value
    assert all(torch.equal(before[k], v) for k, v in objective.state_dict().items())
    objective.train()
    with torch.no_grad():
        assert float(objective(drawn(10, 50))) == pytest.approx(value, rel=1e-12)
    assert float(objective(drawn(10, 50))) != pytest.approx(value, rel=1e-6)


def test_a_refused_call_is_not_remembered():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    with pytest.raises(UsageError, match="differ in their number of features"):
        objective(torch.zeros(9, 3))
    assert objective.population.filled == 0
    objective(drawn(9))
    with pytest.raises(UsageError, match="batch: has 3 features, the population's samples have 4"):
        objective(torch.zeros(9, 3))
    with pytest.raises(UsageError, match="population: 50 samples are fewer than the batch's 51"):
        objective(drawn(51))
    assert objective.population.filled == 9


@pytest.mark.parametrize("memory", ["queue", "ema"])
@pytest.mark.parametrize("steps", [0, 2, 9])
def test_the_state_dict_carries_the_population_into_a_fresh_module(memory, steps):
    def fresh():
        return frechet_distance.objective(reference=drawn(60, 99, 6), population=50, memory=memory)

    one, other = fresh(), fresh()
    for step in range(steps):
        one(drawn(11, step, 6))
    other(drawn(40, 77, 6))
    other.load_state_dict(one.state_dict())
    third = copy.deepcopy(one)
    for step in range(20, 23):
        want = stepped(one, drawn(11, step, 6))
        for module in (other, third):
            for a, b in zip(stepped(module, drawn(11, step, 6)), want, strict=True):
                assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_smaller_queue_loads_the_newest():
    one = frechet_distance.objective(reference=drawn(60, 99), population=50)
    for step in range(9):
        one(drawn(11, step))
    other = frechet_distance.objective(reference=drawn(60, 99), population=30)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.population.samples(), one.population.samples()[-30:])


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_what_was_remembered_in_inference_mode_trains(memory):
    """Warmed up, validated and called there, as trainers do, a population goes on like any other."""
    x, batches = drawn(60, 1), [drawn(8, s) for s in range(8)]
    for m in (frechet_distance, kernel_distance) if memory == "queue" else (frechet_distance,):
        inside, outside = (m.objective(reference=x, population=24, memory=memory) for _ in range(2))
        with torch.inference_mode():
            inside.warm_up(batches[:2])
            inside.eval()(batches[2])
            inside.train()(batches[3].clone())
        outside.warm_up(batches[:2])
        outside(batches[3])
        for batch in batches[4:]:
            (got, slope_got), (expected, slope_expected) = stepped(inside, batch), stepped(outside, batch)
            assert float(got) == pytest.approx(float(expected), rel=1e-12)
            assert torch.allclose(slope_got, slope_expected, rtol=1e-9)
