"""The inception score against its definition with one split, and its limits."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from assay import DataError, inception_score


def by_definition(p):
    """exp of the mean divergence, as the common packages compute it for one split, from strictly positive p."""
    mean = p.mean(0, keepdim=True)
    return float((p * (p.log() - mean.log())).sum(1).mean().exp())


def test_equals_the_common_formula(normal):
    logits = 3 * normal(300, 12)
    assert float(inception_score(logits.softmax(1))) == pytest.approx(
        by_definition(logits.softmax(1)), rel=1e-10
    )


def test_equals_torchmetrics(normal):
    torchmetrics = pytest.importorskip("torchmetrics.image.inception", exc_type=ImportError)
    logits = 3 * normal(200, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one split's spread, and of its buffers
        metric = torchmetrics.InceptionScore(feature=torch.nn.Identity(), splits=1)
        metric.features.append(logits)
        theirs, _ = metric.compute()
    assert float(inception_score(logits.softmax(1))) == pytest.approx(float(theirs), rel=1e-6)


def test_one_where_all_predictions_agree():
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).expand(9, 3)
    assert float(inception_score(p)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("copies", [1, 4])
def test_the_number_of_classes_where_they_are_sure_and_even(copies):
    assert float(inception_score(torch.eye(6, dtype=torch.float64).repeat(copies, 1))) == pytest.approx(6)


def test_counts(normal):
    p = normal(8, 4).softmax(1)
    counts = torch.tensor([1.0, 2, 3, 0, 1, 5, 1, 1])
    expected = by_definition(p.repeat_interleave(counts.long(), 0))
    assert float(inception_score(p, weights_y=counts)) == pytest.approx(expected)


def test_zeros_have_a_finite_gradient():
    p = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0.2, 0.8, 0]], dtype=torch.float64, requires_grad=True)
    value = inception_score(p)
    (grad,) = torch.autograd.grad(value, p)
    assert bool(torch.isfinite(grad).all())
    expected = math.exp(
        sum(v * math.log(v) for v in (0.5, 0.5, 0.2, 0.8)) / 3
        - sum(v * math.log(v) for v in (1.2 / 3, 1.3 / 3, 0.5 / 3))
    )
    assert float(value.detach()) == pytest.approx(expected)


def test_gradient_through_logits(normal):
    logits = normal(10, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: inception_score(z.softmax(1)), [logits])


def test_logits_in_place_of_probabilities_are_refused_where_values_are_looked_at(normal):
    with pytest.raises(DataError, match="probabilit"):
        inception_score.estimate(normal(50, 5))


def test_logits_are_refused_by_the_metric(normal):
    with pytest.raises(DataError, match="probabilit"):
        inception_score.metric().update(normal(50, 5))
