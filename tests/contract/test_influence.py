"""Influences against what they stand for: the sample really left out."""

from __future__ import annotations

import pytest
import torch

from assay import Moments, UsageError, frechet_distance, kernel_distance, rbf, vendi_score
from assay.sets import (
    authenticity,
    coverage,
    density,
    inception_score,
    memorization_informed_frechet_distance,
    precision,
    recall,
)  # fmt: skip

N = 400


def left_out(m, sets, of, rows, **weights):
    side = m.sides.index(of)
    whole = float(m(*sets, **weights))
    changes = []
    for i in rows:
        keep = torch.arange(len(sets[side])) != i
        some = [s[keep] if k == side else s for k, s in enumerate(sets)]
        rest = {name: w[keep] if name == f"weights_{of}" else w for name, w in weights.items()}
        changes.append(float(m(*some, **rest)) - whole)
    return torch.tensor(changes, dtype=torch.float64)


def pair(normal, d=8):
    return normal(N, d), 1.2 * normal(N, d) + 0.3


SMOOTH = {
    "frechet": (frechet_distance, pair),
    "kernel, cubic": (kernel_distance, pair),
    "kernel, rbf": (kernel_distance.with_options(kernel=rbf(3.0)), pair),
    "memorization-informed": (memorization_informed_frechet_distance, pair),
    "vendi": (vendi_score, lambda normal: (normal(N, 8) @ torch.diag(torch.linspace(0.3, 2, 8).double()),)),
    "inception": (inception_score, lambda normal: ((3 * normal(N, 6)).softmax(1),)),
}


@pytest.mark.parametrize(("what", "of"), [(w, s) for w, (m, _) in SMOOTH.items() for s in m.sides])
def test_leaving_a_sample_out_changes_the_value_as_its_influence_says(normal, what, of):
    m, draw = SMOOTH[what]
    sets = draw(normal)
    influence = m.influence(*sets, of=of)
    rows = range(0, N, 16)
    change = left_out(m, sets, of, rows)
    said = -influence[list(rows)] / (N - 1)
    assert (
        float((change - said).norm() / change.norm()) < 0.06
    )  # what is left is of second order, d / n of it
    assert influence.dtype == torch.float64 and abs(float(influence.sum())) < 1e-8 * float(
        influence.abs().sum()
    )


def test_with_counts_a_count_is_left_out(normal):
    x, y = pair(normal)
    w = torch.randint(1, 4, (N,), generator=torch.Generator().manual_seed(0)).double()
    influence = frechet_distance.influence(x, y, of="y", weights_y=w)
    scale = float(influence.abs().max()) / float(w.sum())
    for i in (0, 7, 90, 200):
        fewer = w.clone()
        fewer[i] -= 1
        change = float(frechet_distance(x, y, weights_y=fewer)) - float(frechet_distance(x, y, weights_y=w))
        assert change == pytest.approx(-float(influence[i]) / (float(w.sum()) - 1), abs=0.03 * scale)
    assert abs(float(w @ influence)) < 1e-8 * float(w @ influence.abs())


@pytest.mark.parametrize(
    ("m", "of"),
    [(precision, "y"), (density, "y"), (authenticity, "y"), (recall, "x")],
    ids=lambda v: getattr(v, "name", v),
)
def test_a_share_of_one_side_is_exactly_linear_in_its_own_samples(normal, m, of):
    """Leaving y_j out moves no ball of x: the influence is exact, not only to first order."""
    sets = pair(normal, 3)
    influence = m.influence(*sets, of=of)
    rows = range(0, N, 40)
    assert torch.allclose(left_out(m, sets, of, rows), -influence[list(rows)] / (N - 1), atol=1e-12)


@pytest.mark.parametrize(
    ("m", "of"), [(precision, "x"), (density, "x"), (recall, "y"), (coverage, "y"), (authenticity, "x")],
    ids=lambda v: getattr(v, "name", v),
)  # fmt: skip
def test_where_the_value_jumps_with_a_sides_samples_there_is_no_influence(normal, m, of):
    with pytest.raises(UsageError, match=f"does not vary smoothly with the weights of {of}"):
        m.influence(*pair(normal, 3), of=of)


def test_coverage_by_the_real_side_is_left_out_or_refused(normal):
    """Leaving x_i out widens the balls it was in: a derivative at fixed balls is not what leaving it out does."""
    sets = pair(normal, 3)
    try:
        influence = coverage.influence(*sets, of="x")
    except UsageError:
        return
    rows = range(0, N, 8)
    change = left_out(coverage, sets, "x", rows)
    said = -influence[list(rows)] / (N - 1)
    assert float((change - said).norm() / change.norm()) < 0.03


def test_a_statistic_may_stand_for_the_other_side(normal):
    x, y = pair(normal)
    expected = frechet_distance.influence(x, y, of="y")
    assert torch.allclose(frechet_distance.influence(Moments.of(x), y, of="y"), expected)


def test_influence_errors(normal):
    x, y = pair(normal)
    with pytest.raises(UsageError, match="of: expected one of 'x', 'y', got 'z'"):
        frechet_distance.influence(x, y, of="z")
    with pytest.raises(UsageError, match="y: the influence of its samples needs the samples"):
        frechet_distance.influence(x, Moments.of(y), of="y")


def test_influence_needs_no_gradient_to_be_on(normal):
    x, y = pair(normal)
    with torch.no_grad():
        quiet = frechet_distance.influence(x, y, of="x")
    assert torch.equal(quiet, frechet_distance.influence(x, y, of="x"))
