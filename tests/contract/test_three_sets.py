"""A measure of three sets: the third is held out, and every verb knows it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from assay import DataError, Moments, UsageError, difference, joint, measure
from assay.laws import draw_inputs, laws_of
from assay.sets import data_copying


@measure(statistic=Moments, best="min", reference="a test")
def nearer_than_new(x: Moments, y: Moments, held_out: Moments, *, power: int = 1) -> Tensor:
    """Squared distance of the generated mean to the training one, less that of the held-out mean."""
    return ((y.mean - x.mean).square().sum() - (held_out.mean - x.mean).square().sum()) ** power


@pytest.fixture
def three(normal):
    return normal(60, 3), normal(50, 3) + 1, normal(40, 3)


KEPT = [
    law for law in laws_of(nearer_than_new) if law.__name__ != "compiled_agrees"
]  # slow, and of no set's number


@pytest.mark.parametrize("law", KEPT, ids=lambda law: law.__name__)
def test_the_laws_hold_of_three_sets(law):
    law(nearer_than_new, draw_inputs(nearer_than_new, n=12, m=10, d=4, offset=1.0, scale=1.0, seed=3))


def test_the_metric_streams_each_side(three):
    x, y, h = three
    expected = float(nearer_than_new(x, y, h))
    whole = nearer_than_new.metric(reference=x, held_out=h)
    streamed = nearer_than_new.metric()
    for part in y.split(20):
        whole.update(part)
        streamed.update(part)
    with pytest.raises(DataError, match="x: nothing seen yet; call update_reference"):
        streamed.compute()
    streamed.update_reference(x)
    with pytest.raises(DataError, match="held_out: nothing seen yet; call update_held_out"):
        streamed.compute()
    for part in h.split(7):
        streamed.update_held_out(part)
    assert float(whole.compute()) == pytest.approx(expected) == pytest.approx(float(streamed.compute()))
    assert float(streamed.corrected()) != float(streamed.compute())
    with pytest.raises(UsageError, match="fixed held-out set"):
        whole.update_held_out(h)
    with pytest.raises(UsageError, match="takes none"):
        frechet_metric()


def frechet_metric():
    from assay import frechet_distance

    with pytest.raises(UsageError, match="no held-out side"):
        frechet_distance.metric().update_held_out(torch.zeros(3, 2))
    return frechet_distance.metric(held_out=torch.zeros(3, 2))


def test_a_joint_of_three_sets_streams_too(three):
    x, y, h = three
    metric = joint(nearer_than_new, name="one").metric(reference=x, held_out=h)
    metric.update(y)
    assert float(metric.compute()["nearer_than_new"]) == pytest.approx(float(nearer_than_new(x, y, h)))


def test_the_objective_moves_the_generated_side(three):
    x, y, h = three
    objective = nearer_than_new.objective(reference=x, held_out=h)
    y.requires_grad_()
    loss = objective(y)
    assert float(loss.detach()) == pytest.approx(float(nearer_than_new(x, y, h).detach()))
    mine = torch.autograd.grad(loss, y)[0]
    theirs = torch.autograd.grad(nearer_than_new(x, y, h), y)[0]
    assert torch.allclose(mine, theirs)
    assert {k.split("_")[0] for k in objective.state_dict()} == {"reference", "held"}
    again = copy.deepcopy(objective)
    again.load_state_dict(objective.state_dict())
    assert float(again(y).detach()) == float(loss.detach())
    counts = torch.ones(50, dtype=torch.float64)
    assert float(objective(y, counts).detach()) == pytest.approx(float(loss.detach()))
    with pytest.raises(UsageError, match="needs held_out="):
        nearer_than_new.objective(reference=x)
    from assay import frechet_distance

    with pytest.raises(UsageError, match="takes no held_out set; its sides are x, y"):
        frechet_distance.objective(reference=x, held_out=h)


def test_a_difference_shares_the_training_and_the_held_out_set(three, normal):
    x, a, h = three
    b = a[:50] + 0.1 * normal(50, 3)
    found = difference(nearer_than_new, x, a, b, held_out=h, paired=True)
    expected = float(nearer_than_new(x, b, h) - nearer_than_new(x, a, h))
    assert found.value == pytest.approx(expected)
    apart = nearer_than_new.estimate(x, a, h).std_error
    assert found.std_error < apart
    with pytest.raises(UsageError, match="takes a third set, pass held_out="):
        difference(nearer_than_new, x, a, b)


def test_pairs_are_of_the_first_two_sides(three, normal):
    x, y, h = normal(50, 3), *three[1:]
    e = nearer_than_new.estimate(x, x + 0.01 * normal(50, 3), h, paired=True)
    assert e.std_error < nearer_than_new.estimate(x, x + 0.01 * normal(50, 3), h).std_error
    clusters = torch.arange(40) // 4
    assert nearer_than_new.estimate(x, y, h, clusters_held_out=clusters).std_error > 0


def test_a_given_side_is_taken_as_exact(three):
    x, y, h = three
    drawn = nearer_than_new.estimate(x, y, h)

    given = measure(statistic=Moments, best="min", reference="a test", given=("x",))(nearer_than_new.function)
    fixed = given.estimate(x, y, h)
    assert fixed.value == drawn.value and fixed.std_error < drawn.std_error
    assert fixed.method.endswith("x taken as exact") and fixed.n_x == 60
    as_statistic = nearer_than_new.estimate(Moments.of(x), y, h)
    assert fixed.std_error == pytest.approx(as_statistic.std_error, rel=1e-12)
    with pytest.raises(UsageError, match="at least one side beside x"):
        given.estimate(x, Moments.of(y), Moments.of(h))


def test_what_cannot_be_is_refused_at_the_definition():
    with pytest.raises(UsageError, match="at most, got a, b, c, d"):

        @measure(statistic=Moments, best="min", reference="a test")
        def four(a: Moments, b: Moments, c: Moments, d: Moments) -> Tensor:
            return a.mean

    with pytest.raises(UsageError, match="'z' is no side"):

        @measure(statistic=Moments, best="min", reference="a test", given=("z",))
        def odd(x: Moments) -> Tensor:
            return x.mean

    with pytest.raises(UsageError, match="'held_out' means something else"):

        @measure(statistic=Moments, best="min", reference="a test")
        def shadowed(x: Moments, *, held_out: int = 1) -> Tensor:
            return x.mean


def test_labels_of_three_sets_cannot_be_exchanged(three):
    with pytest.raises(UsageError, match="takes three sets"):
        data_copying.permutation_test(three[0], three[1])
