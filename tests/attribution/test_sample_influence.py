"""phi is the influence at the set's own rows, its exact forms agree with the gradient of the whole value, and its mean
slope on a path sums to the difference of its ends."""

from __future__ import annotations

import sys
import warnings

import pytest
import torch

import assay
from assay.arguments import sampled_of
from assay.attribution import sample_influence
from assay.attribution.sample_influence import any_influence
from assay.errors import UsageError

MEASURES = {
    "fd": (assay.frechet_distance, {}),
    "kd": (assay.kernel_distance, {}),
    "kd, biased": (assay.kernel_distance, {"biased": True}),
    "kd, rbf": (assay.kernel_distance, {"kernel": assay.rbf(3.0)}),
    "cmmd": (assay.cmmd, {}),
    "mifd": (assay.memorization_informed_frechet_distance, {}),
}


def two_sets(normal, n=60, m=50, d=8):
    return normal(n, d), 1.3 * normal(m, d) + 0.4


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("name", MEASURES)
def test_at_a_row_of_the_set_it_is_that_rows_influence(normal, name, of):
    measure, options = MEASURES[name]
    x, y = two_sets(normal)
    counts = torch.arange(50, dtype=torch.float64) % 3 + 1
    phi = sample_influence(measure, x, y, of=of, weights_y=counts, **options)
    expected = measure.influence(x, y, of=of, weights_y=counts, **options)
    torch.testing.assert_close(phi(y if of == "y" else x), expected, rtol=1e-7, atol=1e-7)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(60, 50, 8), (12, 10, 16), (60, 10, 16), (12, 60, 16)])
@pytest.mark.parametrize("name", ["fd", "kd"])
def test_also_of_fewer_samples_than_features(normal, name, shape):
    measure, _ = MEASURES[name]
    x, y = two_sets(normal, *shape)
    torch.testing.assert_close(sample_influence(measure, x, y)(y), measure.influence(x, y, of="y"))


@pytest.mark.parametrize("of", ["x", "y"])
@pytest.mark.parametrize("name", ["fd", "kd", "kd, biased", "kd, rbf"])
def test_exact_forms_agree_with_the_gradient_of_the_whole_value(normal, name, of):
    measure, options = MEASURES[name]
    x, y = two_sets(normal)
    points = normal(5, 8)
    phi = sample_influence(measure, x, y, of=of, **options)
    values, slopes = any_influence(phi.measure, sampled_of(phi.measure, (x, y), {}, {}), of)(points)
    mine, mine_slopes = phi.frozen(points)
    torch.testing.assert_close(mine, values, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(mine_slopes, slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["fd", "kd", "cmmd"])
def test_its_gradient_is_right(normal, name):
    measure, options = MEASURES[name]
    x, y = two_sets(normal, 30, 20, 4)
    phi = sample_influence(measure, x, y, **options)
    points = normal(3, 4).requires_grad_()
    assert torch.autograd.gradcheck(phi, (points,), eps=1e-5, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name,nodes", [("fd", 1), ("kd", 3)])
def test_the_mean_slope_is_exact_with_as_many_points_as_the_degree_needs(normal, name, nodes, monkeypatch):
    measure, _ = MEASURES[name]
    x, y = two_sets(normal)
    phi = sample_influence(measure, x, y)
    monkeypatch.setattr(sys.modules["assay.attribution.sample_influence"], "NODES", (nodes,))
    f, b = y[:7], x[:7]
    total = (phi.mean_slope(f, b) * (f - b)).sum(1)
    torch.testing.assert_close(total, phi(f) - phi(b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["kd, rbf", "cmmd", "mifd"])
def test_other_smooth_measures_take_more_points(normal, name):
    measure, options = MEASURES[name]
    x, y = two_sets(normal)
    phi = sample_influence(measure, x, y, **options)
    f, b = y[:4], x[:4]
    total = (phi.mean_slope(f, b) * (f - b)).sum(1)
    torch.testing.assert_close(total, phi(f) - phi(b), rtol=1e-5, atol=1e-6)


def test_a_path_over_a_kink_is_told(normal):
    x, y = two_sets(normal, 12, 10, 16)
    phi = sample_influence(assay.memorization_informed_frechet_distance, x, y)
    with pytest.warns(UserWarning, match="misses the difference in influence by up to"):
        phi.mean_slope(y[:2], x[:2])


def test_the_other_side_may_be_a_statistic(normal):
    x, y = two_sets(normal)
    moments = assay.Moments.of(x)
    torch.testing.assert_close(
        sample_influence(assay.frechet_distance, moments, y)(y),
        sample_influence(assay.frechet_distance, x, y)(y),
    )
    kept = assay.Samples.of(x)
    torch.testing.assert_close(
        sample_influence(assay.kernel_distance, kept, y)(y),
        sample_influence(assay.kernel_distance, x, y)(y),
        rtol=1e-7,
        atol=1e-8,
    )


def test_a_measure_of_one_set(normal):
    (y,) = (normal(20, 4),)
    phi = sample_influence(assay.vendi_score, y)
    expected = assay.vendi_score.influence(y, of="y")
    torch.testing.assert_close(phi(y), expected, rtol=1e-5, atol=1e-6)


def test_it_works_in_inference_mode_and_on_float32(normal):
    x, y = two_sets(normal)
    with torch.inference_mode():
        phi = sample_influence(assay.frechet_distance, x.float() + 0, y.float() + 0)
        values = phi(y.float() + 0)
        slope = phi.mean_slope(y.float() + 0, x[:50].float() + 0)
    assert values.dtype == slope.dtype == torch.float64
    torch.testing.assert_close(values, assay.frechet_distance.influence(x, y, of="y"), rtol=1e-4, atol=1e-4)


def test_wrong_use_is_one_sentence(normal):
    x, y = two_sets(normal)
    with pytest.raises(UsageError, match="precision has no gradient in its samples"):
        sample_influence(assay.sets.precision, x, y)
    with pytest.raises(UsageError, match="inception_score is of class probabilities"):
        sample_influence(assay.inception_score, y)
    with pytest.raises(UsageError, match="of: expected one of 'x', 'y', got 'z'"):
        sample_influence(assay.frechet_distance, x, y, of="z")
    with pytest.raises(UsageError, match="y: the influence of its samples needs the samples"):
        sample_influence(assay.frechet_distance, x, assay.Moments.of(y))
    phi = sample_influence(assay.frechet_distance, x, y)
    with pytest.raises(UsageError, match="features: expected 8 features a sample, as the sets have, got 5"):
        phi(normal(2, 5))
    with pytest.raises(UsageError, match=r"baselines: expected \(2, 8\) as features has, got \(3, 8\)"):
        phi.mean_slope(y[:2], x[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bool((phi.mean_slope(y[:2], y[:2]).isfinite()).all())  # no path, no warning
