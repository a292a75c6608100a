"""In a training step: scalers, autocast, accumulation, hooks and the optimiser see what the plain step shows them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from assay.scale.cached.backward import CachedObjective, cached_backward

from .cached_networks import Temperature, draw, network, same, spread, taken


def test_a_gradient_scaler_scales():
    model, x = network(), draw(9, 5)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    spread(model(x)).backward()
    slopes = taken(model)
    value = cached_backward(model, x, spread, 4, scaler=scaler)
    assert float(value) == pytest.approx(float(spread(model(x)).detach()), rel=1e-12)
    same(taken(model), [None if g is None else 64 * g for g in slopes])


@pytest.mark.parametrize("where", ["both", "forward"])
def test_autocast_is_in_force_in_both_passes(where):
    model, x = network(nn.Dropout(0.2)).float(), draw(9, 5).float()
    kinds = []
    model[-1].register_forward_hook(lambda m, args, out: kinds.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        loss = spread(torch.cat([model(part) for part in x.split(4)]).float())
    loss.backward()
    slopes = taken(model)
    assert all(g is not None for g in slopes)
    kinds.clear()
    objective = CachedObjective(lambda z: spread(z.float()), 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        value = objective(model, x)
        if where == "both":
            value.backward()
    if where == "forward":
        value.backward()
    assert kinds == [torch.bfloat16] * 6
    torch.testing.assert_close(value.detach(), loss.detach())
    same(taken(model), slopes, 2e-2)


@pytest.mark.parametrize("gradient_to", ["loss", "backward"])
def test_an_objective_in_a_training_loop(gradient_to):
    """Scaled, accumulated, with labels, by the caller's own backward; the optimiser's steps are the plain ones."""
    runs = []
    for cached in (False, True):
        torch.manual_seed(0)
        model, loss, x = network(), Temperature(), draw(12, 5)
        labels = torch.arange(12) % 2
        objective = CachedObjective(loss, 5)
        optimizer = torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=0.1)
        for step in range(3):
            for half in (x[:6] + step, x[6:]):
                target = labels[: len(half)]
                value = objective(model, half, target) if cached else loss(model(half), target)
                if gradient_to == "loss":
                    (value / 2).backward()
                else:
                    value.backward(torch.tensor(0.5, dtype=torch.float64))
            optimizer.step()
            optimizer.zero_grad()
        runs.append([p.detach().clone() for p in (*model.parameters(), *loss.parameters())])
    same(runs[1], runs[0])


def test_an_objective_is_a_module_that_holds_the_loss_alone():
    objective = CachedObjective(Temperature(), 4)
    assert set(objective.state_dict()) == {f"loss.{name}" for name in Temperature().state_dict()}
    assert "chunk_size=4" in repr(objective)
    calls, model = [], network()
    model.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        value = objective(model, draw(8, 5))
    assert len(calls) == 2 and not value.requires_grad


def test_autograd_grad_and_hooks_see_the_whole_gradient_once():
    model, x = network(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    parameters = list(model.parameters())
    same(list(torch.autograd.grad(CachedObjective(spread, 4)(model, x), parameters)), slopes)
    parameters[0].register_hook(lambda g: g.clamp(-0.1, 0.1) / 2)
    updated: list[Tensor] = []
    parameters[1].register_post_accumulate_grad_hook(updated.append)
    for _ in range(2):
        cached_backward(model, x, spread, 4)
        first, *others = taken(model)
        same([first], [slopes[0].clamp(-0.1, 0.1) / 2])
        same(others, slopes[1:])
    assert len(updated) == 2
