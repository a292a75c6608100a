"""The sums do not drift, in any precision, and a step costs the same with any population."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from assay import frechet_distance

from .population_steps import drawn


def test_sums_do_not_drift_nor_keep_what_has_left():
    """1,000 steps beside a direct computation, after a batch of 1e8 that a plain running sum never forgets."""
    x = drawn(60, 99)
    objective = frechet_distance.objective(reference=x, population=50)
    for step in range(1000):
        batch = drawn(7, step)
        if step == 5:
            batch = batch * 1e8
        objective(batch)
    objective.eval()
    batch = drawn(7, 1000)
    want = frechet_distance(x, torch.cat([objective.population.samples()[7:], batch]))
    assert float(objective(batch)) == pytest.approx(float(want), rel=1e-10)


def test_a_batch_that_is_not_a_number_leaves_with_its_samples():
    objective = frechet_distance.objective(reference=drawn(60, 99), population=50)
    for step in range(60):
        batch = drawn(7, step)
        if step == 10:
            batch[3, 2] = float("nan")
        objective.population.keep(batch, objective.population.joined_by(batch))
    assert bool(torch.isfinite(objective(drawn(7, 60))))


def test_casting_or_moving_the_model_leaves_the_population_exact():
    objective = frechet_distance.objective(reference=drawn(60, 99) + 30, population=50)
    for step in range(9):
        objective(drawn(11, step) + 30)
    objective.eval()
    want = float(objective(drawn(9, 50) + 30))
    torch.nn.Sequential(objective).half()
    assert float(objective(drawn(9, 50) + 30)) == pytest.approx(want, rel=1e-6)
    assert objective.population.rows.dtype == torch.float64


def test_half_precision_batches_and_autocast():
    x = drawn(60, 99).float()
    objective = frechet_distance.objective(reference=x, population=40)
    loss = None
    for step in range(8):
        leaf = drawn(10, step).to(torch.bfloat16).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = objective(leaf)
    assert loss is not None and loss.dtype == torch.float32
    loss.backward()
    assert leaf.grad is not None and leaf.grad.dtype == torch.bfloat16 and bool(leaf.grad.any())
    assert float(loss.detach()) == pytest.approx(
        float(frechet_distance(x, objective.population.samples().float())), rel=1e-5
    )


class Largest(TorchDispatchMode):
    """The size of the largest tensor that an operation makes; a queue written into is not made."""

    def __init__(self, but):
        super().__init__()
        self.but, self.seen = but.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() != self.but:
            self.seen = max(self.seen, out.numel())
        return out


@pytest.mark.parametrize("memory", ["queue", "ema"])
def test_a_step_costs_the_same_with_any_population(memory):
    """Counted, not timed: nothing of N rows is made in a step."""
    objective = frechet_distance.objective(reference=drawn(60, 99), population=5000, memory=memory)
    objective.warm_up([drawn(5000)])
    objective(drawn(10, 1))  # the sums are made once
    leaf = drawn(10, 2).requires_grad_()
    with Largest(but=getattr(objective.population, "rows", leaf)) as largest:
        objective(leaf).backward()
    assert 0 < largest.seen < 500
