"""Several feature spaces at once: each distance over its own floor or its own size."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from assay import UsageError, frechet_distance, kernel_distance
from assay.several_objectives import several_objectives


def drawn(n, seed, d):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def both(scale=1.0, **options):
    return {
        "inception": frechet_distance.objective(reference=drawn(50, 1, 4), **options),
        "dino": frechet_distance.objective(reference=scale * drawn(50, 2, 7), **options),
    }


def batch(scale=1.0):
    return {"inception": drawn(20, 3, 4) + 1, "dino": scale * (drawn(20, 4, 7) + 1)}


def test_floors_make_the_mean_ratio():
    parts = {k: both()[k](v) for k, v in batch().items()}
    made = several_objectives(both(), divide_by={"inception": 0.5, "dino": SimpleNamespace(value=2.0)})
    assert float(made(batch())) == pytest.approx(float(parts["inception"] / 0.5 + parts["dino"] / 2))
    assert {k: float(v) for k, v in made.parts.items()} == {k: float(v) for k, v in parts.items()}


def test_divided_by_value_units_do_not_matter():
    """The sum is the number of spaces; its gradient is that of the sum of logarithms, whatever a space's units."""
    for scale in (1.0, 100.0):
        made = several_objectives(both(scale))
        features = {k: v.requires_grad_() for k, v in batch(scale).items()}
        loss = made(features)
        assert float(loss.detach()) == pytest.approx(2.0)
        slopes = torch.autograd.grad(loss, list(features.values()))
        logs = sum(one(features[k]).log() for k, one in both(scale).items())
        for mine, theirs in zip(slopes, torch.autograd.grad(logs, list(features.values())), strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-8)
        assert not any(p.requires_grad for p in made.parts.values())


def test_a_value_of_zero_does_not_divide_by_zero():
    x = torch.zeros(9, 3, dtype=torch.float64)
    made = several_objectives({"one": kernel_distance.objective(reference=x, biased=True)})
    assert float(made({"one": x})) == 0.0


def test_populations_live_in_its_state_dict():
    one, other = (several_objectives(both(population=40)) for _ in range(2))
    one(batch())
    other.load_state_dict(one.state_dict())
    assert float(other.eval()(batch())) == pytest.approx(float(one.eval()(batch())))
    assert "objectives.dino.population.samples" in one.state_dict()


def test_errors():
    with pytest.raises(UsageError, match="needs at least one"):
        several_objectives({})
    with pytest.raises(UsageError, match=r"without a dot .* 'a.b'"):
        several_objectives({"a.b": both()["dino"]})
    with pytest.raises(UsageError, match="no floor for 'dino'"):
        several_objectives(both(), divide_by={"inception": 1.0})
    with pytest.raises(UsageError, match="'dyno' is none of the objectives"):
        several_objectives(both(), divide_by={"inception": 1.0, "dyno": 1.0})
    with pytest.raises(UsageError, match="'dino' must be above zero"):
        several_objectives(both(), divide_by={"inception": 1.0, "dino": 0.0})
    with pytest.raises(UsageError, match='divide_by: expected "value"'):
        several_objectives(both(), divide_by="floor")
    with pytest.raises(UsageError, match="features: expected 'inception', 'dino', got 'inception'"):
        several_objectives(both())({"inception": drawn(9, 1, 4)})


def test_names_and_parts_that_are_no_modules_are_refused():
    made = frechet_distance.objective(reference=drawn(50, 1, 4))
    for name in ("keys", 1, "a.b", ""):
        with pytest.raises(UsageError, match="they name modules"):
            several_objectives({name: made})
    with pytest.raises(UsageError, match="Module for 'a'"):
        several_objectives({"a": frechet_distance})
    with pytest.raises(UsageError, match="above zero and finite, got 'much'"):
        several_objectives({"a": made}, divide_by={"a": "much"})
