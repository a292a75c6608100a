"""Filling a population beforehand: from any source, no further than it needs, and saying so."""

from __future__ import annotations

import pytest
import torch

from assay import DataError, UsageError, frechet_distance
from assay.scale.progress import reporting

from .population_steps import drawn


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_warm_up_fills_it_from_an_endless_source_and_stops(memory):
    def endless():
        step = 0
        while True:
            yield drawn(16, step)
            step += 1

    told = []
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    objective(drawn(20, 1234))
    with reporting(lambda *what: told.append(what)):
        assert objective.warm_up(endless()) == 50
    assert told[-1] == ("population", 50, 50)
    samples = torch.cat([drawn(16, k) for k in range(4)])[:50]
    objective.eval()
    batch = drawn(10, 99)
    if memory == "queue":
        want = frechet_distance(drawn(60, 99), torch.cat([samples[10:], batch]))
    else:
        weights = torch.cat([torch.full((50,), 0.8, dtype=torch.float64), torch.ones(10).double()])
        want = frechet_distance(drawn(60, 99), torch.cat([samples, batch]), weights_y=weights)
    assert float(objective(batch)) == pytest.approx(float(want), rel=1e-10)


def test_warm_up_goes_through_a_callable_and_takes_what_there_is():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    pairs = [(drawn(8, k), "label") for k in range(3)]
    assert objective.warm_up(pairs, lambda pair: pair[0].requires_grad_()) == 24
    assert not objective.population.samples().requires_grad


def test_warm_up_says_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr("assay.warm_up.QUIET_FOR", 0.0)
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    objective.warm_up([drawn(20)])
    assert "population: 20 of 50 samples" in capsys.readouterr().err
    objective.warm_up([drawn(20)], quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_check_and_warm_up_find_what_is_not_a_number(memory):
    bad = drawn(20, 3)
    bad[7, 1] = float("inf")
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50, memory=memory)
    with pytest.raises(DataError, match=r"batches: 1 of 20 samples hold NaN or infinity \(rows 7\)"):
        objective.warm_up([drawn(20), bad])
    with pytest.raises(DataError, match="batches: no samples"):
        objective.warm_up([])
    with pytest.raises(UsageError, match="batches: 3 features, expected 4"):
        objective.warm_up([torch.zeros(5, 3)])
    objective.check()
    objective.check(drawn(9))
    with pytest.raises(DataError, match="batch: 1 of 20"):
        objective.check(bad)
    objective.warm_up([drawn(20)])
    objective.population.keep(bad, objective.population.joined_by(bad))
    with pytest.raises(DataError, match="population: "):
        objective.check()
