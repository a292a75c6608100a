"""The memorization-informed Fréchet distance against a plain definition.

Which side is the minimum over? Bai et al. 2021 take, for every *generated* sample, the least distance to a *training*
sample, and average over the generated ones: a generator is accused sample by sample. A package that calls the same
function with the real features first averages over the real samples the distance to the nearest generated one; that
number says how well the training set is covered, and a generator that copies one training image a thousand times
passes it. torchmetrics 1.9 does so; it is not followed here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay import frechet_distance, memorization_informed_frechet_distance
from assay.sets import memorization_distance
from assay.statistics import Samples


def by_definition(x, y, tau):
    u = x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)
    v = y.numpy() / np.linalg.norm(y.numpy(), axis=1, keepdims=True)
    s = (1 - np.abs(v @ u.T)).min(axis=1).mean()  # rows are generated, columns training samples
    fd = float(frechet_distance(x, y))
    return fd / (s + 1e-14) if s < tau else fd, s


@pytest.mark.parametrize("tau", [0.02, 0.1, 0.5, 1.1])
@pytest.mark.parametrize("near", [0.05, 0.3, 2.0])
def test_equals_the_definition_on_either_side_of_the_threshold(normal, near, tau):
    x = normal(80, 6)
    y = x[torch.arange(120) % 80] * 1.3 + near * normal(120, 6)
    expected, s = by_definition(x, y, tau)
    assert float(memorization_distance(Samples.of(x), Samples.of(y))) == pytest.approx(s, rel=1e-9)
    got = memorization_informed_frechet_distance(x, y, threshold=tau)
    assert float(got) == pytest.approx(expected, rel=1e-8)


def test_a_negative_of_a_training_sample_is_as_near_as_a_copy(normal):
    x = normal(20, 4)
    assert float(memorization_distance(Samples.of(x), Samples.of(-x))) == pytest.approx(0, abs=1e-14)


def test_counts_average_over_the_generated_side(normal):
    x, y = normal(20, 4), normal(5, 4)
    counts = torch.tensor([1.0, 0, 3, 2, 1])
    u = torch.ones(20, dtype=torch.float64)
    u[3:9] = 0
    got = memorization_informed_frechet_distance(x, y, weights_x=u, weights_y=counts, threshold=1.0)
    expected, _ = by_definition(x[u > 0], y.repeat_interleave(counts.long(), 0), 1.0)
    assert float(got) == pytest.approx(expected, rel=1e-9)


def test_copying_one_training_sample_is_memorization(normal):
    """The side matters: over the real samples, one image copied many times would look far away."""
    x = normal(100, 8)
    y = x[:1].repeat(50, 1) + 1e-3 * normal(50, 8)
    assert float(memorization_informed_frechet_distance(x, y)) > 1e4 * float(frechet_distance(x, y))


def test_torchmetrics_takes_the_minimum_over_the_other_side(normal):
    module = pytest.importorskip("torchmetrics.image.mifid", exc_type=ImportError)
    x = normal(100, 8)
    y = x[:1].repeat(50, 1) + 1e-3 * normal(50, 8)
    theirs = module._compute_cosine_distance(
        x, y, 2.0
    )  # the order in which its metric passes real and generated
    swapped = module._compute_cosine_distance(y, x, 2.0)
    mine = memorization_distance(Samples.of(x), Samples.of(y))
    assert float(mine) == pytest.approx(float(swapped), rel=1e-6)
    assert float(theirs) > 1e3 * float(mine)


@pytest.mark.parametrize("tau", [0.0, 1.0])
def test_gradient_of_the_side_of_the_threshold_it_is_on(normal, tau):
    x, y = normal(12, 3), normal(10, 3)
    assert torch.autograd.gradcheck(
        lambda a, b: memorization_informed_frechet_distance(a, b, threshold=tau),
        [x.requires_grad_(), y.requires_grad_()],
    )


def test_exact_copies_are_huge_and_finite(normal):
    x = normal(30, 4)
    value = memorization_informed_frechet_distance(x, x[:20].clone().float().double())
    assert bool(torch.isfinite(value)) and float(value) > 1e3
