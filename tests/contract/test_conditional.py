"""Distances class by class see what the whole sets' distance cannot."""

from __future__ import annotations

import math

import pytest
import torch

from assay import DataError, Moments, UsageError, frechet_distance, kernel_distance, vendi_score
from assay.conditional import conditional_distance
from assay.conditional_objective import conditional_objective


def drawn(n, seed=0, d=3):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def labelled(n, classes=3, seed=0):
    return torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(seed + 100))


def test_one_class_is_the_plain_distance():
    x, y = drawn(40, 1), drawn(30, 2)
    zeros = (torch.zeros(40, dtype=torch.int64), torch.zeros(30, dtype=torch.int64))
    for m in (frechet_distance, kernel_distance):
        assert float(conditional_distance(m, x, y, labels=zeros)) == pytest.approx(float(m(x, y)), rel=1e-12)
        made = conditional_objective(m, reference=x, labels=zeros[0])
        assert float(made(y, zeros[1])) == pytest.approx(float(m(x, y)), rel=1e-12)


def test_a_rotation_hides_from_the_whole_and_not_from_its_halves():
    x, angle = drawn(4000, 1, 2), math.pi / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    halves, y = (x[:, 0] > 0).long(), x @ turn.T
    assert float(kernel_distance(x, drawn(4000, 2, 2) @ turn.T)) < 0.01
    assert float(frechet_distance(x, y)) < 0.01
    assert float(conditional_distance(frechet_distance, x, y, labels=(halves, halves))) > 1


def test_it_is_the_weighted_mean_over_classes():
    x, y, ux, uy = drawn(60, 1), drawn(50, 2), labelled(60, seed=1), labelled(50, seed=2)
    values = [float(frechet_distance(x[ux == u], y[uy == u])) for u in range(3)]
    counts = [int((ux == u).sum()) for u in range(3)]
    want = sum(v * n for v, n in zip(values, counts, strict=True)) / 60
    assert float(conditional_distance(frechet_distance, x, y, labels=(ux, uy))) == pytest.approx(want)
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    want = sum(v * w for v, w in zip(values, weights.values(), strict=True)) / 8
    got = conditional_distance(frechet_distance, x, y, labels=(ux, uy), weights=weights)
    assert float(got) == pytest.approx(want)
    made = conditional_objective(frechet_distance, reference=x, labels=ux, weights=weights)
    assert float(made(y, uy)) == pytest.approx(want)
    assert [float(made.parts[u]) for u in range(3)] == pytest.approx(values)


def test_absent_classes_add_nothing_and_the_weights_are_shared_among_the_others():
    x, ux, y = drawn(60, 1), labelled(60, seed=1), drawn(20, 2)
    labels = torch.tensor([0, 2]).repeat(10)
    made = conditional_objective(frechet_distance, reference=x, labels=ux)
    n = [int((ux == u).sum()) for u in range(3)]
    want = sum(n[u] * float(frechet_distance(x[ux == u], y[labels == u])) for u in (0, 2)) / (n[0] + n[2])
    assert float(made(y, labels)) == pytest.approx(want)


def test_a_reference_by_class_may_be_statistics():
    x, ux, y, uy = drawn(60, 1), labelled(60, seed=1), drawn(50, 2), labelled(50, seed=2)
    by_class = {u: Moments.of(x[ux == u]) for u in range(3)}
    a = conditional_objective(frechet_distance, reference=by_class)(y, uy)
    b = conditional_objective(frechet_distance, reference=x, labels=ux)(y, uy)
    assert float(a) == pytest.approx(float(b), rel=1e-12)


def test_each_class_has_its_own_population():
    """One sample of a class is a step then; the gradient is scaled by that class's population."""
    x, ux = drawn(60, 1), labelled(60, seed=1)
    made = conditional_objective(frechet_distance, reference=x, labels=ux, population=20)
    made.warm_up([(drawn(30, 5), labelled(30, seed=5)), (drawn(40, 6), labelled(40, seed=6))])
    every, labels = (
        torch.cat([drawn(30, 5), drawn(40, 6)]),
        torch.cat([labelled(30, seed=5), labelled(40, seed=6)]),
    )
    older = every[labels == 1][-20:]
    batch = drawn(1, 7).requires_grad_()
    loss = made(batch, torch.tensor([1]))
    last = torch.cat([older[len(older) - 19 :], batch])
    want = frechet_distance(x[ux == 1], last)
    assert float(loss.detach()) == pytest.approx(float(want.detach()), rel=1e-9)
    mine, plain = (torch.autograd.grad(v, batch)[0] for v in (loss, want))
    assert torch.allclose(mine, len(last) * plain, rtol=1e-7)
    other = conditional_objective(frechet_distance, reference=x, labels=ux, population=20)
    other.load_state_dict(made.state_dict())
    at = (drawn(9, 8), labelled(9, seed=8))
    assert float(other.eval()(*at)) == pytest.approx(float(made.eval()(*at)), rel=1e-9)


def test_errors():
    x, ux = drawn(60, 1), labelled(60, seed=1)
    made = conditional_objective(frechet_distance, reference=x, labels=ux)
    with pytest.raises(DataError, match="the reference has no class 7; it has 0, 1, 2"):
        made(drawn(4), torch.tensor([0, 0, 7, 7]))
    with pytest.raises(UsageError, match="class 1: y: a covariance needs at least 2 samples, got 1"):
        made(drawn(3), torch.tensor([0, 0, 1]))
    with pytest.raises(UsageError, match=r"labels: expected shape \(3,\), got \(2,\)"):
        made(drawn(3), torch.tensor([0, 0]))
    with pytest.raises(UsageError, match=r"labels: expected .* whole numbers"):
        made(drawn(3), torch.tensor([0.0, 0.0, 1.0]))
    with pytest.raises(UsageError, match="no weight for class 2"):
        conditional_objective(frechet_distance, reference=x, labels=ux, weights={0: 1.0, 1: 1.0})
    with pytest.raises(UsageError, match="expected two"):
        conditional_objective(vendi_score, reference=x, labels=ux)
    with pytest.raises(UsageError, match="the reference's samples, got none"):
        conditional_objective(frechet_distance, reference=x)
    with pytest.raises(UsageError, match="no populations"):
        made.warm_up([(drawn(4), torch.zeros(4, dtype=torch.int64))])
    with pytest.raises(DataError, match="another side has"):
        conditional_distance(frechet_distance, x, drawn(9), labels=(ux, torch.zeros(9, dtype=torch.int64)))


def test_labels_and_weights_that_are_no_numbers_are_refused():
    made = conditional_objective(frechet_distance, reference=drawn(60, 1), labels=labelled(60))
    with pytest.raises(UsageError, match=r"labels: .* whole numbers"):
        made(drawn(12, 2), ["cat"] * 12)
    with pytest.raises(UsageError, match="weight of class 0"):
        conditional_objective(
            frechet_distance, reference=drawn(60, 1), labels=labelled(60), weights={0: "much", 1: 1, 2: 1}
        )
