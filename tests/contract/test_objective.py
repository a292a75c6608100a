"""Objectives: the measure's gradient, in a module that moves, saves and compiles."""

from __future__ import annotations

import copy

import pytest
import torch

from assay import Moments, UsageError, frechet_distance, kernel_distance, rbf, sets, vendi_score
from assay.set_measure import Measure

MEASURES = [v for v in vars(sets).values() if isinstance(v, Measure)]
SMOOTH = [m for m in MEASURES if m.differentiable]


def drawn(m, n, seed=0, d=4):
    z = 2 * torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z if m.domain == "features" else z.softmax(1)


def made(m, x, **options):
    return m.objective(reference=x, **options) if len(m.sides) == 2 else m.objective(**options)


@pytest.mark.parametrize("n", [40, 3])
@pytest.mark.parametrize("m", SMOOTH, ids=lambda m: m.name)
def test_value_and_gradient_are_those_of_the_measure(m, n):
    x, y = drawn(m, n, 1), drawn(m, 30).requires_grad_()
    sets = (x, y) if len(m.sides) == 2 else (y,)
    sign = 1 if m.best == "min" else -1
    expected = sign * m(*sets)
    loss = made(m, x)(y)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    mine, theirs = torch.autograd.grad(loss, y)[0], torch.autograd.grad(expected, y)[0]
    assert torch.allclose(mine, theirs, rtol=1e-8, atol=1e-10) and float(mine.norm()) > 0


@pytest.mark.parametrize("m", SMOOTH, ids=lambda m: m.name)
def test_a_few_steps_down_the_gradient_improve_it(m):
    x, y = drawn(m, 60, 1), drawn(m, 40)
    y = (y + 1 if m.domain == "features" else y.log()).requires_grad_()
    objective = made(m, x)
    optimiser = torch.optim.Adam([y], lr=0.02)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = objective(y if m.domain == "features" else y.softmax(1))
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_the_state_dict_carries_the_reference():
    x, other, y = (drawn(frechet_distance, 40, s) for s in (1, 2, 3))
    a, b = frechet_distance.objective(reference=x), frechet_distance.objective(reference=other)
    assert set(a.state_dict()) == {"reference_weight", "reference_mean", "reference_scatter"}
    assert float(a(y)) != float(b(y))
    b.load_state_dict(a.state_dict())
    assert float(a(y)) == float(b(y))
    assert float(copy.deepcopy(a)(y)) == float(a(y))


@pytest.mark.parametrize("n", [40, 3])
def test_the_reference_moves_with_the_module(n):
    objective = frechet_distance.objective(reference=drawn(frechet_distance, n, 1))
    moved = objective.to("meta")
    assert {b.device.type for b in moved.buffers()} == {"meta"}


@pytest.mark.parametrize("cast", ["float", "half", "bfloat16"])
def test_casting_the_module_it_lives_in_does_not_round_the_reference(cast):
    """A model is cast to a narrower type as a whole; sums over a reference of 1e5 samples do not fit into float16."""
    x, y = drawn(frechet_distance, 400, 1) + 30, drawn(frechet_distance, 30) + 30
    objective = frechet_distance.objective(reference=Moments.of(x.repeat(200, 1)))
    expected = float(objective(y))
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), objective)
    getattr(model, cast)()
    assert float(objective(y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("m", [frechet_distance, kernel_distance], ids=lambda m: m.name)
def test_it_compiles_whole(m):
    torch._dynamo.reset()
    x, y = drawn(m, 40, 1), drawn(m, 30).requires_grad_()
    objective = made(m, x)
    loss = torch.compile(objective, backend="aot_eager", fullgraph=True)(y)
    assert float(loss.detach()) == pytest.approx(float(objective(y).detach()), rel=1e-9)
    mine, theirs = torch.autograd.grad(loss, y)[0], torch.autograd.grad(objective(y), y)[0]
    assert torch.allclose(mine, theirs, rtol=1e-7)


def test_weights_and_options():
    x, y = drawn(kernel_distance, 20, 1), drawn(kernel_distance, 10)
    w = torch.arange(1, 11).double()
    objective = kernel_distance.objective(reference=x, kernel=rbf(2.0))
    assert float(objective(y, w)) == pytest.approx(float(kernel_distance(x, y, weights_y=w, kernel=rbf(2.0))))


def test_the_reference_has_no_gradient_and_is_not_kept_alive_by_one():
    x = drawn(frechet_distance, 20).requires_grad_()
    objective = frechet_distance.objective(reference=x)
    assert not any(b.requires_grad for b in objective.buffers())
    y = drawn(frechet_distance, 9).requires_grad_()
    objective(y).backward()
    assert x.grad is None


@pytest.mark.parametrize("m", [m for m in MEASURES if not m.differentiable], ids=lambda m: m.name)
def test_piecewise_constant_measures_say_why_they_are_none(m):
    with pytest.raises(UsageError, match=f"{m.name} has no gradient.*kernel_distance or frechet_distance"):
        m.objective(reference=drawn(m, 20))


def test_objective_errors():
    with pytest.raises(UsageError, match="needs reference="):
        frechet_distance.objective()
    with pytest.raises(UsageError, match="takes no reference"):
        vendi_score.objective(reference=drawn(vendi_score, 9))
    with pytest.raises(UsageError, match="differ in their number of features"):
        frechet_distance.objective(reference=drawn(frechet_distance, 20))(torch.zeros(9, 3))
