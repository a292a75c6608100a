"""What a population cannot do is refused by the argument's name."""

from __future__ import annotations

import pytest
import torch

from assay import DataError, UsageError, frechet_distance, kernel_distance, sets

from .population_steps import drawn


def test_what_cannot_be():
    x = drawn(60, 99)
    for size in (0, -3, 2.5, True):
        with pytest.raises(UsageError, match="population: expected a whole number"):
            frechet_distance.objective(reference=x, population=size)
    with pytest.raises(UsageError, match='memory: expected "queue"'):
        frechet_distance.objective(reference=x, population=9, memory="fifo")
    with pytest.raises(UsageError, match='memory="ema": kernel_distance needs Samples'):
        kernel_distance.objective(reference=x, population=9, memory="ema")
    with pytest.raises(UsageError, match='gradients: expected "mean"'):
        frechet_distance.objective(reference=x, gradients="avg")
    with pytest.raises(UsageError, match="weights: a population counts every sample once"):
        frechet_distance.objective(reference=x, population=9)(drawn(9), torch.ones(9))
    with pytest.raises(UsageError, match="no population"):
        frechet_distance.objective(reference=x).warm_up([x])


def test_a_population_s_gradient_is_not_differentiated_again_by_its_scale():
    """Twice through the factor N / B would be neither the statistic's nor the batch's second derivative."""
    objective = sets.vendi_score.objective(population=40)
    objective(drawn(20, 1))
    batch = drawn(10, 2).requires_grad_()
    (first,) = torch.autograd.grad(objective(batch), batch, create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(first.sum(), batch)


def test_a_batch_with_nan_says_so():
    objective = frechet_distance.objective(reference=drawn(60, 1), population=40)
    batch = drawn(20, 2)
    batch[3, 1] = float("nan")
    with pytest.raises(DataError, match="NaN or infinity"):
        objective(batch.requires_grad_())
