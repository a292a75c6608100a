"""Data copying against double loops, scipy's Mann-Whitney, redraws of its null, and generators that copy or stray."""

from __future__ import annotations

import pytest
import torch

from assay import UsageError
from assay.scale.partition import cell_of, centres_of
from assay.sets import data_copying, data_copying_test
from assay.statistics import Neighbours


def by_loops(x, y, h):
    """The effect, pair by pair."""
    near_y, near_h = ((s[:, None] - x[None]).square().sum(2).amin(1) for s in (y, h))
    wins = sum(float(a > b) + 0.5 * float(a == b) for a in near_y for b in near_h)
    return wins / (len(y) * len(h)) - 0.5


def test_equals_the_double_loop_globally_and_by_cells(normal):
    x, y, h = normal(60, 3), normal(45, 3), normal(30, 3)
    assert float(data_copying(x, y, h)) == pytest.approx(by_loops(x, y, h), abs=1e-12)
    labels = [cell_of(s, centres_of(x, torch.ones(60, dtype=torch.float64), 3)) for s in (x, y, h)]
    total = weight = 0.0
    for cell in range(3):
        in_x, in_y, in_h = (s[label == cell] for s, label in zip((x, y, h), labels, strict=True))
        if len(in_y) < 10:
            continue
        total += len(in_h) * by_loops(in_x, in_y, in_h)
        weight += len(in_h)
    got = data_copying(x, y, h, cells=3, fewest=10)
    assert float(got) == pytest.approx(total / weight, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_z_score_is_that_of_mann_and_whitney(normal, shift):
    stats = pytest.importorskip("scipy.stats")
    x, y, h = normal(80, 4), normal(50, 4) + shift, normal(40, 4)
    near_y, near_h = torch.cdist(y, x).amin(1).numpy(), torch.cdist(h, x).amin(1).numpy()
    found = stats.mannwhitneyu(near_y, near_h, alternative="less", method="asymptotic", use_continuity=False)
    test = data_copying_test(x, y, h)
    z = (found.statistic - 50 * 40 / 2) / (50 * 40 * 91 / 12) ** 0.5
    assert test.statistic == pytest.approx(float(z), abs=1e-9)
    assert test.p_value == pytest.approx(float(found.pvalue), rel=1e-6)


def test_copies_are_at_the_lower_bound_and_strays_at_the_upper(normal):
    x, h = normal(300, 6), normal(150, 6)
    copies = x[:200]
    assert float(data_copying(x, copies, h)) == -0.5
    test = data_copying_test(x, copies, h)
    assert test.statistic < -15 and test.p_value < 1e-50 and "of copying" in str(test)
    far = data_copying_test(x, normal(200, 6) + 10, h)
    assert far.statistic > 15 and far.p_value > 1 - 1e-9
    assert float(data_copying(x, normal(200, 6) + 10, h)) == 0.5


def test_equally_near_counts_half(normal):
    x = normal(30, 3)
    assert float(data_copying(x, x[:10], x[5:15])) == 0
    y, h = torch.cat([x[:4], normal(6, 3)]), torch.cat([x[:3], normal(5, 3)])
    assert float(data_copying(x, y, h)) == pytest.approx(by_loops(x, y, h), abs=1e-9)


def test_over_redraws_of_new_samples_the_z_score_is_standard_normal(normal):
    """Of one cell; of several its spread is the root of the sum of squared shares."""
    one, several = [], []
    for _ in range(60):
        x, y, h = normal(80, 3), normal(60, 3), normal(40, 3)
        one.append(data_copying_test(x, y, h).statistic)
        test = data_copying_test(x, y, h, cells=3, fewest=5)
        several.append(test.statistic / float(test.shares.square().sum().sqrt()))
    for z in (torch.tensor(one), torch.tensor(several)):
        assert abs(float(z.mean())) < 3.5 / 60**0.5
        assert 0.75 < float(z.std()) < 1.3


def test_the_interval_holds_the_effect_given_the_training_set(normal):
    """y is drawn around the training samples; the effect's truth for this training set comes from large sets."""
    x = normal(60, 3)

    def generated(n):
        return x[torch.randint(60, (n,), generator=torch.Generator().manual_seed(n))] + 0.5 * normal(n, 3)

    truth = float(data_copying(x, generated(20_000), normal(20_000, 3)))
    held, errors, values = 0, [], []
    for r in range(120):
        e = data_copying.estimate(x, generated(100 + r), normal(80, 3))
        held += e.low <= truth <= e.high
        errors.append(e.std_error)
        values.append(e.value)
    assert truth < -0.05
    assert held / 120 > 0.88
    spread = float(torch.tensor(values).std())
    assert 0.8 < sum(errors) / 120 / spread < 1.25
    assert "x taken as exact" in e.method and e.n_x == 60


def test_the_effect_does_not_grow_with_the_samples_and_the_z_score_does(normal):
    x = normal(100, 3)
    small, large = ([x[torch.arange(n) % 100] + 0.3 * normal(n, 3), normal(n, 3)] for n in (200, 3200))
    assert float(data_copying(x, *large)) == pytest.approx(float(data_copying(x, *small)), abs=0.1)
    ratio = data_copying_test(x, *large).statistic / data_copying_test(x, *small).statistic
    assert 2.8 < ratio < 5.5  # the root of 16 is 4


def test_copying_in_one_place_and_straying_in_another_shows_by_cells_only(normal):
    left, right = torch.tensor([-20.0, 0]), torch.tensor([20.0, 0])
    x = torch.cat([normal(200, 2) + left, normal(200, 2) + right])
    h = torch.cat([normal(100, 2) + left, normal(100, 2) + right])
    y = torch.cat([x[:100], 3 * normal(100, 2) + right])  # copies on the left, too wide on the right
    test = data_copying_test(x, y, h, cells=2)
    assert len(test.cells) == 2 and float(test.cells.min()) < -8 and float(test.cells.max()) > 3
    assert abs(data_copying_test(x, y, h).statistic) < abs(float(test.cells.min())) / 2


def test_cells_without_generated_or_held_out_samples_do_not_count(normal):
    left, right = torch.tensor([-20.0, 0]), torch.tensor([20.0, 0])
    x = torch.cat([normal(50, 2) + left, normal(50, 2) + right])
    y, h = normal(40, 2) + left, torch.cat([normal(30, 2) + left, normal(30, 2) + right])
    test = data_copying_test(x, y, h, cells=2)
    assert len(test.cells) == 1 and float(test.shares) == 1
    assert float(data_copying(x, y, h, cells=2)) == pytest.approx(by_loops(x[:50], y, h[:30]), abs=1e-12)
    with pytest.raises(UsageError, match="no cell has 41 generated samples"):
        data_copying(x, y, h, cells=2, fewest=41)


def test_influences_are_what_leaving_a_sample_out_does(normal):
    x, y, h = normal(50, 3), normal(400, 3), normal(300, 3)
    for of, n in (("y", 400), ("held_out", 300)):
        influence = data_copying.influence(x, y, h, of=of, cells=2)
        keep = torch.arange(n) != 7
        without = data_copying(x, y[keep], h, cells=2) if of == "y" else data_copying(x, y, h[keep], cells=2)
        change = float(without - data_copying(x, y, h, cells=2))
        assert change == pytest.approx(-float(influence[7]) / (n - 1), rel=0.05, abs=1e-6)
    with pytest.raises(UsageError, match="smoothly with the weights of x"):
        data_copying.influence(x, y, h, of="x")


def test_the_partition_does_not_know_the_order_and_takes_counts_for_copies(normal):
    x = torch.cat([normal(40, 3), normal(40, 3) + 6, normal(40, 3) - 6])
    one = torch.ones(120, dtype=torch.float64)
    centres = centres_of(x, one, 3)
    assert sorted(centres.mean(1).round().tolist()) == [-6.0, 0.0, 6.0]
    shuffled = centres_of(x[torch.randperm(120, generator=torch.Generator().manual_seed(1))], one, 3)
    assert torch.allclose(centres, shuffled)
    counts = 1 + (torch.arange(120) % 3).double()
    written = x.repeat_interleave(counts.long(), 0)
    assert torch.allclose(centres_of(x, counts, 3), centres_of(written, torch.ones(len(written)).double(), 3))


def test_a_partition_beats_random_starts_of_k_means(normal):
    cluster = pytest.importorskip("sklearn.cluster")
    x = torch.cat([normal(60, 4) + 4 * normal(1, 4) for _ in range(5)])
    mine = centres_of(x, torch.ones(300, dtype=torch.float64), 5)
    inertia = float(torch.cdist(x, mine).amin(1).square().sum())
    theirs = cluster.KMeans(5, n_init=10, random_state=0).fit(x.numpy()).inertia_
    assert inertia < 1.3 * theirs


def test_bad_input_is_one_sentence(normal):
    x, y, h = normal(10, 3), normal(30, 3), normal(9, 3)
    with pytest.raises(UsageError, match="cells: expected a whole number"):
        data_copying(x, y, h, cells=0)
    with pytest.raises(UsageError, match="as many different samples, got 1"):
        data_copying(x[:1].repeat(10, 1), y, h, cells=2)
    with pytest.raises(UsageError, match="3, 3 and 2 features"):
        data_copying_test(x, y, h[:, :2])
    with pytest.raises(UsageError, match=r"expected 3 sets \(x, y, held_out\), got 2"):
        data_copying(x, y)
    with pytest.raises(UsageError, match="at least one side beside x"):
        data_copying.estimate(x, Neighbours.of(y), Neighbours.of(h))
