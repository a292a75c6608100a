"""The same numbers whatever the training loop around has switched on, and whatever the data looks like at its edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import assay
from assay import difference, frechet_distance, kernel_distance, prdc, vendi_score
from assay.errors import DataError, UsageError
from assay.measure import measure
from assay.sets import memorization_distance
from assay.statistics import Moments, Neighbours, Samples
from assay.stream import Pile


def draws(n: int = 200, d: int = 8, scale: float = 1.1) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=g), scale * torch.randn(n, d, generator=g)


def test_inference_mode_takes_no_interval_away() -> None:
    x, y = draws()
    outside = [m.estimate(x, y) for m in (frechet_distance, kernel_distance)]
    with torch.inference_mode():
        a, b = x.clone(), y.clone()
        inside = [m.estimate(a, b) for m in (frechet_distance, kernel_distance)]
        gap = difference(frechet_distance, a, b, 1.2 * b)
    assert inside == outside and all(e.std_error > 0 for e in inside) and gap.std_error > 0
    assert kernel_distance.estimate(a, b) == outside[1]  # tensors made in inference mode, used later
    assert frechet_distance.estimate(Moments.of(a), b).std_error > 0
    assert torch.equal(frechet_distance.influence(a, b, of="y"), frechet_distance.influence(x, y, of="y"))


def test_autocast_moves_no_number() -> None:
    x, y = draws(d=64)
    values, grads = [], []
    for on in (False, True):
        z = y.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            loss = kernel_distance(x, z)
            values.append(
                [float(loss.detach()), *map(float, prdc(x, y).values()), kernel_distance.estimate(x, y).low]
            )
            loss.backward()
        grads.append(z.grad)
    assert values[0] == values[1]
    assert torch.equal(grads[0], grads[1])


@pytest.mark.parametrize("m", [frechet_distance, kernel_distance, vendi_score], ids=lambda m: m.name)
def test_spreads_take_weights_as_copies(m: assay.Measure) -> None:
    sets = draws()[: len(m.sides)]
    weights = {f"weights_{side}": torch.full((200,), 2.0) for side in m.sides}
    repeated = [s.repeat(2, 1) for s in sets]
    for paired in (False, True) if len(sets) == 2 else (False,):
        counted = m.estimate(*sets, **weights, paired=paired)
        copied = m.estimate(*repeated, paired=paired)
        assert counted.value == pytest.approx(copied.value, rel=1e-4)
        # the second-order part of the kernel distance comes from random halves
        assert counted.std_error == pytest.approx(copied.std_error, rel=0.12 if m.degenerate else 1e-3)


def test_a_stream_takes_weights_as_copies() -> None:
    x, y = draws(60)
    counted, copied = (frechet_distance.metric(reference=x) for _ in range(2))
    counted.update(y, weights=torch.full((60,), 10.0))
    copied.update(y.repeat(10, 1))
    assert float(counted.compute()) == pytest.approx(float(copied.compute()), rel=1e-5)
    assert float(counted.corrected()) == pytest.approx(float(copied.corrected()), rel=0.1)


def test_a_value_without_influences_claims_no_certainty() -> None:
    @measure(statistic=Samples, best="min", reference="none")
    def half_of_them(x: Samples, y: Samples) -> Tensor:
        return (x.features[:, 0].detach() > 0).double().mean() + 0 * y.counts.detach().sum()

    with pytest.raises(UsageError, match="half-samples"):
        half_of_them.estimate(*draws())


def test_copies_are_not_parted_from_their_originals() -> None:
    """Halves of copies and originals drawn apart look new; twice the value minus theirs would be a fiction."""
    x, _ = draws(400, 16)
    copies = x[:200] + 1e-3 * torch.randn(200, 16, generator=torch.Generator().manual_seed(1))
    e = assay.memorization_informed_frechet_distance.estimate(x, copies)
    assert e.corrected == e.value and "not corrected" in e.method


def test_a_zero_vector_is_no_copy_of_anything() -> None:
    eye = torch.eye(8, dtype=torch.float64)
    x, y, zero = eye[:4], eye[4:], torch.zeros(1, 8, dtype=torch.float64)
    assert float(memorization_distance(Samples.of(torch.cat([x, zero])), Samples.of(y))) == pytest.approx(1)
    assert float(memorization_distance(Samples.of(x), Samples.of(zero))) == 1


def test_relabelling_needs_two_a_side_and_counts_ties() -> None:
    x, y = draws(4, 3)
    with pytest.raises(UsageError, match="at least 2"):
        kernel_distance.permutation_test(x[:1], y)
    # of 8 samples, half to each side: 70 labellings, and exchanging the sides changes nothing but the last digit
    for seed in range(12):
        g = torch.Generator().manual_seed(seed)
        a, b = torch.randn(4, 3, generator=g), 8 + torch.randn(4, 3, generator=g)
        assert kernel_distance.permutation_test(a, b, permutations=2000).p_value == pytest.approx(
            2 / 70, abs=0.01
        )


def test_an_outlier_moves_no_neighbour_of_others() -> None:
    x, y = draws(300, 16)
    far = torch.full((1, 16), 1e3)
    plain = Neighbours.of(x).overlap(Neighbours.of(y), 5)
    wide = Neighbours.of(torch.cat([x, far])).overlap(Neighbours.of(torch.cat([y, -far])), 5)
    # an outlier's own ball reaches to its fifth nearest and so cuts through the rest; all other balls are as they were
    assert torch.equal(wide.inside_ball_of_x[:300], plain.inside_ball_of_x)
    assert set((wide.balls_around_y[:300] - plain.balls_around_y).tolist()) <= {0.0, 1.0}


def test_an_interval_at_the_bound_has_a_width() -> None:
    g = torch.Generator().manual_seed(3)
    for _ in range(20):
        e = frechet_distance.estimate(*(torch.randn(100, 8, generator=g) for _ in range(2)))
        assert e.low >= 0 and e.high >= e.low + e.std_error


def test_a_refused_merge_loses_nothing() -> None:
    x, y = draws()
    pile = Pile()
    pile.add(Moments.of(x))
    with pytest.raises(UsageError, match="features"):
        pile.add(Moments.of(y[:, :3]))
    assert float(pile.total().weight) == 200


def test_a_reference_is_measured_against_itself_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draws()
    calls: list[int] = []
    original = assay.sets.kernel.bilinear
    monkeypatch.setattr(assay.sets.kernel, "bilinear", lambda *a: (calls.append(len(a[0])), original(*a))[1])
    objective = kernel_distance.objective(reference=x)
    batch = y[:50].clone().requires_grad_()
    values = [float(objective(batch).detach()) for _ in range(3)]
    assert values[0] == values[1] == values[2] == pytest.approx(float(kernel_distance(x, y[:50])), rel=1e-6)
    assert calls.count(200) == 3 + 1 + 2  # across at each step, within once; the plain call's two


def test_sides_on_different_devices_are_named() -> None:
    x, y = draws()
    with pytest.raises(UsageError, match="different devices"):
        frechet_distance(
            x, Moments.from_tensors({k: v.to("meta") for k, v in Moments.of(y).tensors().items()})
        )


def test_a_joint_has_no_single_difference() -> None:
    x, y = draws()
    with pytest.raises(UsageError, match="one measure"):
        difference(prdc, x, y, y)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="NaN"):
        difference(frechet_distance, x, y, torch.full_like(y, torch.nan))
