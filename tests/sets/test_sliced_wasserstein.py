"""Sliced Wasserstein: one-dimensional closed forms, an independent sum over quantiles, derivatives at ties, noise."""

from __future__ import annotations

import pytest
import torch

from assay import UsageError
from assay.scale.transport import lines
from assay.scale.transport.lines import line_costs, mean_line_cost, random_directions
from assay.sets.sliced_wasserstein import projection_error, sliced_wasserstein
from assay.statistics import Samples


def by_quantiles(x, y, u, v, directions, p):
    """W_p^p along each direction, from both sides written out as often as they count, to a common length."""
    n, m = int(u.sum()), int(v.sum())
    a = (x @ directions.T).repeat_interleave(u.long(), 0).sort(0).values.repeat_interleave(m, 0)
    b = (y @ directions.T).repeat_interleave(v.long(), 0).sort(0).values.repeat_interleave(n, 0)
    return (a - b).abs().pow(p).mean(0)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", [(12, 12), (9, 14)])
def test_equals_quantiles_written_out(normal, p, weighted, sizes):
    n, m = sizes
    x, y = normal(n, 4), normal(m, 4) + 0.3
    u, v = (torch.arange(k) % 3 + 0.0 if weighted else torch.ones(k) for k in sizes)
    directions = random_directions(256, x, 0)
    expected = by_quantiles(x, y, u, v, directions, p)
    got = sliced_wasserstein(x, y, weights_x=u, weights_y=v, p=p)
    assert float(got) == pytest.approx(float(expected.mean()), rel=1e-10)
    each = line_costs(x, y, u.double(), v.double(), directions, p)
    assert torch.allclose(each, expected, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_equals_pot(normal, p):
    ot = pytest.importorskip("ot")
    x, y = normal(30, 5), normal(45, 5) + 0.3
    u, v = torch.arange(30.0) % 3 + 1, torch.arange(45.0) % 4
    directions = random_directions(256, x, 0).T.numpy()
    shares = (u / u.sum()).double().numpy(), (v / v.sum()).double().numpy()
    expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), *shares, projections=directions, p=p)
    got = sliced_wasserstein(x, y, weights_x=u, weights_y=v, p=p)
    assert float(got) ** (1 / p) == pytest.approx(float(expected), rel=1e-6)


def test_one_dimension_needs_no_slices(normal):
    scipy = pytest.importorskip("scipy.stats")
    x, y = normal(20, 1), normal(33, 1) * 2
    one = sliced_wasserstein(x, y, p=1.0, projections=3)
    assert float(one) == pytest.approx(scipy.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-9)
    assert projection_error(x, y, projections=3) == pytest.approx(0, abs=1e-12)


def test_a_shift_costs_its_square_over_the_dimension(normal):
    x, c = normal(50, 6), torch.tensor([3.0, 0, 0, 4, 0, 0])
    value = float(sliced_wasserstein(x, x + c, projections=4000))
    error = projection_error(x, x + c, projections=4000)
    assert abs(value - 25 / 6) < 3.5 * error
    assert error < 0.1


def test_projection_error_is_the_spread_over_seeds(normal):
    x, y = normal(40, 5), normal(40, 5) * 1.5 + 1
    values = torch.stack([sliced_wasserstein(x, y, projections=50, seed=s) for s in range(60)])
    assert projection_error(x, y, projections=50) == pytest.approx(float(values.std()), rel=0.4)


def test_a_seed_names_its_directions(normal):
    x, y = normal(20, 4), normal(20, 4)
    state = torch.get_rng_state()
    first, again, other = (sliced_wasserstein(x, y, seed=s) for s in (1, 1, 2))
    assert float(first) == float(again) != float(other)
    assert torch.equal(state, torch.get_rng_state())  # nobody else's random numbers are touched


@pytest.mark.parametrize("alike", [False, True])
def test_gradients_in_small_blocks_too(normal, monkeypatch, alike):
    monkeypatch.setattr(lines, "NUMBERS", 40)
    x, y = normal(7, 3).requires_grad_(), normal(9, 3).requires_grad_()
    u = torch.ones(7, dtype=torch.float64) if alike else torch.arange(1.0, 8.0).double()
    v, directions = torch.ones(9, dtype=torch.float64), random_directions(11, x, 0)
    assert torch.autograd.gradcheck(lambda a, b: mean_line_cost(a, b, u, v, directions, 2.0), (x, y))


def test_derivatives_by_counts_where_levels_coincide_are_the_mean_of_both_sides(normal):
    # n = m and equal counts: every level of x is one of y
    x, y = normal(6, 2), normal(6, 2) + 1
    u = torch.ones(6, dtype=torch.float64, requires_grad=True)
    v, directions = torch.ones(6, dtype=torch.float64), random_directions(20, x, 0)
    (slope,) = torch.autograd.grad(mean_line_cost(x, y, u, v, directions, 2.0), u)
    for i in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[i] = 1e-6
        up, down = (float(mean_line_cost(x, y, u.detach() + s * step, v, directions, 2.0)) for s in (1, -1))
        assert float(slope[i]) == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-8)


def test_float32_survives_a_common_offset(normal):
    x, y = normal(60, 8), normal(50, 8) + 0.2
    expected = float(sliced_wasserstein((x + 1024).float().double(), (y + 1024).float().double()))
    assert float(sliced_wasserstein((x + 1024).float(), (y + 1024).float())) == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_cover_the_value_along_these_directions(shift):
    d, runs, covered = 4, 24, 0
    directions = random_directions(64, torch.zeros(1, d, dtype=torch.float64), 0)
    truth = float((shift * directions[:, 0]).square().mean())
    for seed in range(runs):
        g = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(200, d, dtype=torch.float64, generator=g) for _ in "xy")
        y[:, 0] += shift
        estimate = sliced_wasserstein.estimate(x, y, projections=64)
        covered += estimate.low <= truth <= estimate.high
    assert covered >= 0.86 * runs


def test_statistics_are_taken_too(normal):
    x, y = normal(20, 3), normal(20, 3)
    assert projection_error(Samples.of(x), y) == projection_error(x, y) > 0


def test_bad_options_are_refused(normal):
    x = normal(5, 2)
    with pytest.raises(UsageError, match="p: expected a number of at least 1"):
        sliced_wasserstein(x, x, p=0.5)
    with pytest.raises(UsageError, match="projections: expected a whole number"):
        sliced_wasserstein(x, x, projections=0)
    with pytest.raises(UsageError, match="at least 2 directions"):
        projection_error(x, x, projections=1)
    with pytest.raises(UsageError, match="x has 2, y has 3"):
        projection_error(x, normal(5, 3))
