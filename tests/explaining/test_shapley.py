"""Shares sum to the value, equal the definition and point at the bad group; sampled ones come with intervals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import assay
from assay.errors import DataError
from assay.explaining import MOST_GROUPS, clusters, coalition_values, pieces, shapley
from assay.scale import rbf
from assay.sets import precision, recall


def by_orders(value, groups: int) -> np.ndarray:
    """The mean over all orders of what each group adds: the definition."""
    total = np.zeros(groups)
    for order in itertools.permutations(range(groups)):
        mask = 0
        for i in order:
            total[i] += value(mask | 1 << i)[0] - value(mask)[0]
            mask |= 1 << i
    return total / math.factorial(groups)


def random_game(groups: int, seed: int):
    v = np.random.default_rng(seed).normal(size=(1 << groups, 1)).cumsum(0) / 10
    return lambda mask: v[mask]


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_shares_are_the_mean_over_all_orders(groups: int) -> None:
    value = random_game(groups, groups)
    found = shapley(value, groups, torch.Generator())
    np.testing.assert_allclose(found.share[:, 0], by_orders(value, groups), atol=1e-12)
    assert float(found.share.sum() + found.floor[0]) == pytest.approx(float(found.total[0]), abs=1e-12)
    assert np.array_equal(found.low, found.share) and np.array_equal(found.high, found.share)


def test_sampled_shares_sum_exactly_and_their_intervals_hold() -> None:
    groups, held = 10, 0
    value = random_game(groups, 7)
    v = np.stack([value(mask) for mask in range(1 << groups)])[:, 0]
    true = np.zeros(groups)
    for mask in range(1 << groups):
        for i in range(groups):
            if not mask >> i & 1:
                true[i] += (v[mask | 1 << i] - v[mask]) / (groups * math.comb(groups - 1, mask.bit_count()))
    for seed in range(20):
        found = shapley(value, groups, torch.Generator().manual_seed(seed))
        assert float(found.share.sum() + found.floor[0]) == pytest.approx(float(found.total[0]), abs=1e-12)
        held += int(((found.low[:, 0] <= true) & (true <= found.high[:, 0])).sum())
    assert 0.9 <= held / (20 * groups) <= 0.995


def test_additive_games_need_no_luck() -> None:
    worth = np.arange(12.0)
    found = shapley(
        lambda mask: np.array([sum(w for i, w in enumerate(worth) if mask >> i & 1)]), 12, torch.Generator()
    )
    np.testing.assert_allclose(found.share[:, 0], worth)
    np.testing.assert_allclose(found.low, found.high)


def test_an_order_and_its_reverse_cancel_what_grows_with_the_place_in_line() -> None:
    found = shapley(lambda mask: np.array([float(mask.bit_count() ** 2)]), 12, torch.Generator())
    np.testing.assert_allclose(found.share[:, 0], 12.0)
    np.testing.assert_allclose(found.low, found.high)


def three_groups(d: int = 8, n: int = 400, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    real = torch.randn(6 * n, d, generator=g)
    made = torch.randn(3 * n, d, generator=g)
    made[n : 2 * n, :2] += 0.5
    return real, made, [torch.arange(k * n, (k + 1) * n) for k in range(3)]


def values_of(measure, real, made, groups, seed: int = 0):
    part = pieces(groups, len(real), None, None, torch.Generator().manual_seed(seed))
    return part, coalition_values(
        [measure], real[part.reference], [made[r] for r in part.made], [real[r] for r in part.replaced]
    )


@pytest.mark.parametrize(
    "measure",
    [
        assay.frechet_distance,
        assay.kernel_distance,
        assay.kernel_distance.with_options(kernel=rbf(2.0), biased=True),
        precision,
        recall,
        assay.cmmd,
    ],
    ids=lambda m: m.name,
)
def test_a_coalition_is_the_measure_of_its_mixture(measure) -> None:
    real, made, groups = three_groups(n=60)
    real, made = real.double(), made.double()
    part, value = values_of(measure, real, made, groups)
    for mask in range(8):
        rows = [made[part.made[i]] if mask >> i & 1 else real[part.replaced[i]] for i in range(3)]
        whole = float(measure(real[part.reference], torch.cat(rows)))
        assert float(value(mask)[0]) == pytest.approx(whole, rel=1e-9, abs=1e-12)


def test_wide_features_merge_too() -> None:
    real, made, groups = three_groups(d=100, n=40)
    real, made = real.double(), made.double()
    part, value = values_of(assay.frechet_distance, real, made, groups)
    mixture = torch.cat([real[part.replaced[0]], made[part.made[1]], real[part.replaced[2]]])
    assert float(value(2)[0]) == pytest.approx(
        float(assay.frechet_distance(real[part.reference], mixture)), rel=1e-9
    )


@pytest.mark.parametrize(
    "measure", [assay.frechet_distance, assay.kernel_distance, precision], ids=lambda m: m.name
)
def test_the_bad_group_of_three_is_found(measure) -> None:
    real, made, groups = three_groups()
    if measure is precision:
        real, made, groups = three_groups(n=120)
        made[120:240] += 1.5
    _, value = values_of(measure, real, made, groups)
    found = shapley(value, 3, torch.Generator())
    badness = found.share[:, 0] * (1 if measure.best == "min" else -1)
    assert badness.argmax() == 1
    assert badness[1] > 4 * max(abs(badness[0]), abs(badness[2]))
    assert float(found.share.sum() + found.floor[0]) == pytest.approx(float(value(7)[0]), rel=1e-9)


def test_adding_groups_to_an_empty_set_hides_it() -> None:
    real, made, groups = three_groups()
    empty = float(assay.Moments.of(real).variance_sum())  # a single point at the real mean

    def naive(mask: int) -> np.ndarray:
        rows = [made[groups[i]] for i in range(3) if mask >> i & 1]
        return np.array([float(assay.frechet_distance(real, torch.cat(rows))) if rows else empty])

    share = shapley(naive, 3, torch.Generator()).share[:, 0]
    assert (share < -1).all() and share.std() < 0.1 * abs(share.mean())


def test_good_groups_have_shares_about_zero() -> None:
    shares = []
    for seed in range(30):
        real, made, groups = three_groups(n=100, seed=seed)
        made[100:200, :2] -= 0.5
        _, value = values_of(assay.frechet_distance, real, made, groups)
        shares.append(shapley(value, 3, torch.Generator()).share[:, 0])
    mean, error = np.mean(shares, 0), np.std(shares, 0) / 30**0.5
    assert (np.abs(mean) < 4 * error).all()


def test_pieces_are_disjoint_and_in_proportion() -> None:
    groups = [torch.arange(0, 50), torch.arange(50, 57), torch.arange(57, 157)]
    part = pieces(groups, 1000, None, None, torch.Generator().manual_seed(0))
    real = torch.cat([part.reference, *part.replaced])
    assert len(part.reference) == 1000 - 157 and len(real.unique()) == 1000
    assert [len(r) for r in part.made] == [len(r) for r in part.replaced] == [50, 7, 100]
    few = pieces(groups, 80, None, None, torch.Generator().manual_seed(0))
    assert len(few.reference) == 40 and [len(r) for r in few.made] == [13, 2, 25]
    assert all(set(a.tolist()) <= set(b.tolist()) for a, b in zip(few.made, groups, strict=True))
    capped = pieces(groups, 1000, None, 60, torch.Generator().manual_seed(0))
    assert len(capped.reference) == 60 and sum(len(r) for r in capped.made) == 60
    held = pieces(groups, 100, 500, None, torch.Generator().manual_seed(0))
    assert len(held.reference) == 100 and max(int(r.max()) for r in held.replaced) > 100
    with pytest.raises(DataError, match="3 groups and 2 real samples"):
        pieces(groups, 5, None, None, torch.Generator())
    many = [torch.tensor([k]) for k in range(MOST_GROUPS + 1)]
    with pytest.raises(DataError, match="65 groups; shares are told for at most 64"):
        pieces(many, 1000, None, None, torch.Generator())


def test_clusters_are_the_modes_largest_first() -> None:
    g = torch.Generator().manual_seed(0)
    sizes = (20, 70, 40)
    x = torch.cat([torch.randn(n, 4, generator=g) + 20 * k for k, n in enumerate(sizes)])
    found = clusters(x, 3)
    assert [(name, len(rows)) for name, rows in found.items()] == [
        ("cluster 1", 70), ("cluster 2", 40), ("cluster 3", 20)
    ]  # fmt: skip
    assert found["cluster 3"].tolist() == list(range(20))
