"""Distances of sets of masks equal sums over pairs of masks, and transport an assignment."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from assay.errors import DataError, UsageError
from assay.images.masks import generalised_energy_distance, mask_set_divergence


def sets(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.4


def between(a: np.ndarray, b: np.ndarray, skip: bool) -> float:
    each = []
    for x, y in zip(a, b, strict=True):
        if (x | y).any():
            each.append(1 - (x & y).sum() / (x | y).sum())
        elif not skip:
            each.append(0.0)
    return float(np.mean(each)) if each else 0.0


@pytest.mark.parametrize("absent", ["one", "skip"])
@pytest.mark.parametrize("statistic", ["v", "u"])
@pytest.mark.parametrize("places", [(6, 7), (3, 4, 5)])
def test_energy_distance_is_a_sum_over_pairs_of_masks(places, statistic, absent):
    x, y = sets(0, 3, 5, 2, *places), sets(1, 3, 4, 2, *places)
    x[0, :3, 1], y[0, :2, 1] = False, False  # masks that lack the second class
    x[0, 0], y[0, 0] = False, False  # and both
    got = generalised_energy_distance(x, y, statistic=statistic, absent=absent)
    for i in range(3):
        a, b = x[i].numpy(), y[i].numpy()
        d = [[[between(s, t, absent == "skip") for t in v] for s in u] for u, v in ((a, b), (a, a), (b, b))]
        across, *own = (np.array(m) for m in d)
        if statistic == "u":
            own = [m[~np.eye(len(m), dtype=bool)] for m in own]
        expected = 2 * across.mean() - own[0].mean() - own[1].mean()
        assert float(got[i]) == pytest.approx(expected, abs=1e-6)


def test_energy_distance_of_known_sets():
    x = sets(0, 2, 4, 1, 8, 8)
    torch.testing.assert_close(generalised_energy_distance(x, x), torch.zeros(2), rtol=0, atol=1e-6)
    empty = torch.zeros(2, 3, 1, 8, 8)
    assert generalised_energy_distance(empty, empty).tolist() == [0.0, 0.0]
    assert generalised_energy_distance(empty, torch.ones(2, 1, 1, 8, 8)).tolist() == [2.0, 2.0]


def test_the_u_statistic_is_free_of_the_numbers():
    pool = sets(3, 4000, 8, 1, 4, 4)
    u = generalised_energy_distance(pool[:, :3], pool[:, 3:], statistic="u")
    v = generalised_energy_distance(pool[:, :3], pool[:, 3:])
    typical = float(generalised_energy_distance(pool[:, :1], pool[:, 1:2]).mean()) / 2
    assert abs(float(u.mean())) < 4 * float(u.std()) / 4000**0.5
    assert float(v.mean()) == pytest.approx(typical * (1 / 3 + 1 / 5), rel=0.05)


def test_divergences_of_points():
    x, y = sets(0, 3, 4, 1, 5, 5).double(), sets(1, 3, 4, 1, 5, 5).double() * 0.8
    energy, sinkhorn = mask_set_divergence(x, y, kind="energy"), mask_set_divergence(x, y)
    for i in range(3):
        a, b = x[i].flatten(1).numpy(), y[i].flatten(1).numpy()
        expected = cdist(a, b).mean() - 0.5 * cdist(a, a).mean() - 0.5 * cdist(b, b).mean()
        assert float(energy[i]) == pytest.approx(expected, abs=1e-12)
        cost = cdist(a, b, "sqeuclidean") / 2
        # at this blur the divergence is the cost of the best assignment
        assert float(sinkhorn[i]) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=2e-3)


def test_a_large_blur_compares_means():
    x, y = sets(0, 2, 4, 1, 5, 5).double(), sets(1, 2, 3, 1, 5, 5).double()
    expected = (x.mean(1) - y.mean(1)).square().sum((1, 2, 3)) / 2
    torch.testing.assert_close(mask_set_divergence(x, y, blur=100.0), expected, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("kind", ["sinkhorn", "energy"])
def test_equal_and_repeated_masks(kind):
    x = sets(0, 2, 1, 1, 5, 5).double().repeat(1, 3, 1, 1, 1).requires_grad_()
    got = mask_set_divergence(x, x.detach(), kind=kind)
    torch.testing.assert_close(got, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-9)
    assert bool(torch.autograd.grad(got.sum(), x)[0].isfinite().all())


def test_refused():
    x = sets(0, 2, 3, 1, 5, 5)
    for call, said in [
        (lambda: generalised_energy_distance(x[:, 0], x[:, 0]), r"prediction: expected \(B, S, C, H, W\)"),
        (lambda: generalised_energy_distance(x, x[..., :4]), "both must be of one size"),
        (lambda: generalised_energy_distance(x, x[:, :1], statistic="u"), "reference: has one mask a case"),
        (
            lambda: generalised_energy_distance(x, x, statistic="w"),
            "statistic: expected one of 'v', 'u', got 'w'",
        ),
        (lambda: generalised_energy_distance(x, x, absent="zero"), "absent: expected one of 'one', 'skip'"),
        (lambda: mask_set_divergence(x, x, kind="hausdorff"), "kind: expected one of 'sinkhorn', 'energy'"),
        (lambda: mask_set_divergence(x, x, blur=0.0), "blur: expected a number above 0"),
    ]:
        with pytest.raises(UsageError, match=said):
            call()


def test_nan_is_not_taken_for_agreement():
    broken = sets(0, 1, 2, 1, 5, 5).float()
    broken[0, 0, 0, 1, 1] = float("nan")
    reference = sets(1, 1, 3, 1, 5, 5).float()
    assert generalised_energy_distance(broken, reference).isnan().all()
    assert generalised_energy_distance(broken, reference, absent="skip").isnan().all()
    assert mask_set_divergence(broken, reference, kind="energy").isnan().all()


def discs(side, counts, seed):
    """Hard discs (1, n, 1, side, side) of radii around a quarter of the side, a set for each count."""
    g = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    radius = ((rows - side / 2) ** 2 + (columns - side / 2) ** 2).sqrt()
    return [(radius < side / 4 + side / 24 * torch.randn(1, n, 1, 1, 1, generator=g)).float() for n in counts]


@pytest.mark.parametrize("side,counts,seed", [(128, (4, 6), 0), (96, (16, 4), 1), (48, (1, 3), 2)])
def test_the_default_blur_is_next_to_unregularised_transport_on_whole_masks(side, counts, seed):
    """In single precision too, where costs are a million times the regularisation."""
    x, y = discs(side, counts, seed)
    n, m = counts
    cost = ((x[0].flatten(1)[:, None] - y[0].flatten(1)) ** 2).sum(2).double().numpy() / 2
    marginals = np.zeros((n + m, n * m))
    for i in range(n):
        marginals[i, i * m : (i + 1) * m] = 1
    for j in range(m):
        marginals[n + j, j::m] = 1
    sums = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    exact = optimize.linprog(cost.ravel(), A_eq=marginals, b_eq=sums).fun
    # the regularisation of 0.05^2 and its two corrections move the value by no more than it times the logarithms of n m
    assert float(mask_set_divergence(x, y)) == pytest.approx(
        exact, abs=0.05**2 * math.log(n * m + 1) + 1e-6 * exact
    )


def test_sets_that_nearly_agree_keep_their_digits_in_single_precision():
    """Costs between the masks of a set are 1e5 times those between the sets."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 1, 128, 128, generator=g)
    y = (x + 1e-3 * torch.randn(x.shape, generator=g)).clamp(0, 1)
    expected = (x - y).double().square().sum().item() / 2 / 3  # each mask goes to its own
    for dtype in (torch.float32, torch.float64):
        assert mask_set_divergence(x.to(dtype), y.to(dtype)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("statistic", ["v", "u"])
def test_masks_of_255_are_refused_and_not_taken_for_agreement(statistic):
    x = torch.rand(2, 3, 1, 5, 5, generator=torch.Generator().manual_seed(0)) > 0.5
    y = ~x
    with pytest.raises(DataError, match=r"^prediction: values from 0 to 255, expected .* divide 255s by 255"):
        generalised_energy_distance(x.to(torch.uint8) * 255, y, statistic=statistic)
    with pytest.raises(DataError, match=r"^reference: values from -1 to"):
        generalised_energy_distance(x, -y.float(), statistic=statistic)
    torch.testing.assert_close(
        generalised_energy_distance(x.to(torch.uint8), y), generalised_energy_distance(x, y.float())
    )
