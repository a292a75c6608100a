"""Every law of every measure; and that each law catches the measure it is there to catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import assay
from assay import laws
from assay.laws import LawBroken, draw_inputs, laws_of
from assay.measure import measure
from assay.set_measure import Measure
from assay.statistics import Moments, Samples

MEASURES = [value for value in vars(assay.sets).values() if isinstance(value, Measure)]
VARIANTS = [
    *MEASURES,
    assay.kernel_distance.with_options(kernel=assay.rbf([1.0, 4.0])),
    assay.kernel_distance.with_options(biased=True),
    assay.vendi_score.with_options(order=2.0),
    assay.vendi_score.with_options(order=float("inf")),
    assay.sets.precision.with_options(nearest_k=3),
    assay.sets.memorization_informed_frechet_distance.with_options(threshold=1.0),
]
# fewer examples of these
SLOW = {
    "compiled_agrees": 1,
    "zero_in_expectation": 2,
    "gradient_is_right": 4,
    "second_derivative_is_right_or_refused": 2,
}

CASES = [
    pytest.param(m, law, id=f"{m.name}{'' if m in MEASURES else dict(m.options)}-{law.__name__}")
    for m in VARIANTS
    for law in laws_of(m)
    if law is not laws.zero_in_expectation or m.is_unbiased()
]


def offsets(m: Measure) -> tuple[float, ...]:
    # kernel values grow with the offset to the power of six: only measures of differences are asked to bear it
    return (0.0, -3.0, 1e4) if m.statistic is Moments or laws.translation_invariant in m.laws else (0.0, 0.5)


@pytest.mark.parametrize(("m", "law"), CASES)
def test_law(m: Measure, law: Callable[..., None]) -> None:
    @settings(max_examples=SLOW.get(law.__name__, 6))
    @given(
        n=st.integers(8, 24),
        k=st.integers(8, 24),
        d=st.sampled_from([2, 5, 12, 30]),
        offset=st.sampled_from(offsets(m)),
        scale=st.sampled_from([0.1, 1.0, 3.0]),
        seed=st.integers(0, 2**16),
    )
    def check(n: int, k: int, d: int, offset: float, scale: float, seed: int) -> None:
        law(m, draw_inputs(m, n=n, m=k, d=d, offset=offset, scale=scale, seed=seed))

    check()


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.name)
def test_what_a_measure_says_of_itself(m: Measure) -> None:
    known = {law.__name__ for law in laws.UNIVERSAL}
    for name, reason in m.exceptions.items():
        assert name in known, f"{name} is no universal law"
        assert len(reason.split()) >= 4, f"{name}: {reason!r} is no reason"
    assert m.__doc__ and "Args:" in m.__doc__ and "Returns:" in m.__doc__ and "$$" in m.__doc__
    assert "arXiv" in m.reference or "JMLR" in m.reference


def test_every_public_measure_is_here() -> None:
    public = {v.name for v in vars(assay).values() if isinstance(v, Measure)}
    assert public <= {m.name for m in MEASURES}
    assert len(MEASURES) >= 10


# -- broken measures, each with the law that must catch it -----------------------------------------------------------


@measure(statistic=Samples, best="min", reference="decoy")
def sound(y: Samples) -> Tensor:
    return (y.counts @ y.features.to(torch.float64)).square().sum() / y.weight**2


@measure(statistic=Samples, best="min", reference="decoy")
def ignores_weights(y: Samples) -> Tensor:
    return y.features.to(torch.float64).mean(0).square().sum()


@measure(statistic=Samples, best="min", reference="decoy")
def counts_rows(y: Samples) -> Tensor:
    """A variance with the number of rows less one, not W - 1, in its denominator."""
    centred = y.features.to(torch.float64) - (y.counts @ y.features.to(torch.float64)) / y.weight
    return (y.counts @ centred.square()).sum() / (len(y.counts) - 1)


@measure(statistic=Samples, best="min", reference="decoy")
def looks_at_the_first(y: Samples) -> Tensor:
    return y.features[0].to(torch.float64).square().sum() + 0 * y.weight


@measure(statistic=Samples, best="min", reference="decoy", laws=[laws.symmetric])
def lopsided(x: Samples, y: Samples) -> Tensor:
    return sound.function(x) - 0.5 * sound.function(y)


@measure(statistic=Samples, best="min", reference="decoy", laws=[laws.translation_invariant])
def anchored(y: Samples) -> Tensor:
    return sound.function(y)


@measure(statistic=Samples, best="min", reference="decoy", laws=[laws.rotation_invariant])
def by_axes(y: Samples) -> Tensor:
    return (y.counts @ y.features.to(torch.float64)).abs().sum() / y.weight


@measure(statistic=Samples, best="min", reference="decoy", laws=[laws.scales_with(1)])
def quadratic(y: Samples) -> Tensor:
    return sound.function(y)


@measure(statistic=Samples, best="min", reference="decoy", laws=[laws.zero_on_equal])
def never_zero(x: Samples, y: Samples) -> Tensor:
    return (sound.function(x) - sound.function(y)).square() + 1e-3


@measure(statistic=Samples, best="max", reference="decoy", laws=[laws.one_on_equal])
def never_one(x: Samples, y: Samples) -> Tensor:
    return 0.99 * sound.function(x) / sound.function(y)


@measure(statistic=Moments, best="min", reference="decoy", laws=[laws.zero_in_expectation])
def mean_gap(x: Moments, y: Moments) -> Tensor:
    """A squared distance of means without its bias taken out."""
    return (x.mean - y.mean).square().sum()


@measure(statistic=Samples, best="min", lower=0.0, upper=1e-3, reference="decoy")
def out_of_bounds(y: Samples) -> Tensor:
    return sound.function(y)


@measure(statistic=Samples, best="min", reference="decoy")
def wrong_slope(y: Samples) -> Tensor:
    """Part of the value hides from the gradient, as a detached mean does."""
    centre = (y.counts @ y.features.to(torch.float64) / y.weight).detach()
    return (y.counts @ (y.features * centre)).sum() / y.weight


class _CubeOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 3 * ctx.saved_tensors[0] ** 2 * slope


@measure(statistic=Samples, best="min", reference="decoy")
def straight_to_its_gradient(y: Samples) -> Tensor:
    """Its gradient by the samples is taken for a constant."""
    return (y.counts @ _CubeOnce.apply(y.features.to(torch.float64))).sum() / y.weight


@measure(statistic=Samples, best="min", reference="decoy")
def kinked_to_nan(y: Samples) -> Tensor:
    """sqrt at 0 has an infinite slope; times 0 it is NaN."""
    total = sound.function(y)
    return total + (0 * total).sqrt()


@measure(statistic=Samples, best="min", reference="decoy")
def narrow(y: Samples) -> Tensor:
    """Works in the samples' half precision."""
    dtype = torch.bfloat16 if y.features.dtype == torch.float32 else torch.float64
    return (y.counts.to(dtype) @ y.features.to(dtype)).to(torch.float64).square().sum() / y.weight**2


@measure(statistic=Samples, best="min", reference="decoy")
def one_a_sample(y: Samples) -> Tensor:
    return y.features.to(torch.float64).square().sum(1) * y.counts


@measure(statistic=Samples, best="min", reference="decoy")
def branches(y: Samples) -> Tensor:
    value = sound.function(y)
    return value if float(value.detach()) > 0.5 else value + 0


class Sums(Samples):
    """A statistic whose merge forgets the right half's counts."""

    def merge(self, other: Samples) -> Sums:
        return Sums(
            torch.cat([self.features, other.features]),
            torch.cat([self.counts, torch.ones_like(other.counts)]),
        )


@measure(statistic=Sums, best="min", reference="decoy")
def badly_merged(y: Samples) -> Tensor:
    return sound.function(y)


DECOYS: list[tuple[Measure, str]] = [
    (ignores_weights, "counts_are_copies"),
    (counts_rows, "counts_are_copies"),
    (looks_at_the_first, "order_is_irrelevant"),
    (lopsided, "symmetric"),
    (anchored, "translation_invariant"),
    (by_axes, "rotation_invariant"),
    (quadratic, "scales_with_1"),
    (never_zero, "zero_on_equal"),
    (never_one, "one_on_equal"),
    (mean_gap, "zero_in_expectation"),
    (out_of_bounds, "stays_within_bounds"),
    (wrong_slope, "gradient_is_right"),
    (straight_to_its_gradient, "second_derivative_is_right_or_refused"),
    (kinked_to_nan, "gradient_is_right"),
    (narrow, "float32_agrees"),
    (one_a_sample, "is_a_scalar"),
    (badly_merged, "parts_merge_to_the_whole"),
]


def inputs_for(m: Measure) -> laws.Inputs:
    return draw_inputs(m, n=12, m=10, d=4, offset=1.0, scale=1.0, seed=3)


@pytest.mark.parametrize(("decoy", "name"), DECOYS, ids=lambda v: v if isinstance(v, str) else v.name)
def test_a_broken_measure_is_caught_by_its_law(decoy: Measure, name: str) -> None:
    (law,) = [law for law in laws_of(decoy) if law.__name__ == name]
    with pytest.raises(LawBroken, match=name.split("_with")[0]):
        law(decoy, inputs_for(decoy))


def test_a_measure_that_branches_on_values_does_not_compile() -> None:
    with pytest.raises(Exception, match=r"(?i)graph|data-dependent|Unsupported"):
        laws.compiled_agrees(branches, inputs_for(branches))


@pytest.mark.parametrize("law", laws.UNIVERSAL, ids=lambda law: law.__name__)
def test_a_sound_measure_is_caught_by_no_law(law: Callable[..., None]) -> None:
    law(sound, inputs_for(sound))


def test_an_exception_takes_a_law_out_and_nothing_else() -> None:
    @measure(
        statistic=Samples,
        best="min",
        reference="decoy",
        exceptions={"counts_are_copies": "it looks at rows only"},
    )
    def excused(y: Samples) -> Tensor:
        return ignores_weights.function(y)

    assert set(laws.UNIVERSAL) - set(laws_of(excused)) == {laws.counts_are_copies}


@measure(statistic=Moments, best="min", reference="this file")
def lopsided(x: Moments, y: Moments):
    """Sees where the origin is: 10,000 away its value is some 10^9."""
    return (x.mean - 2 * y.mean).square().sum()


@pytest.mark.parametrize("n,m,seed", [(8, 9, 32160), (8, 15, 0)])
def test_rounding_far_from_the_origin_breaks_no_law(n, m, seed):
    """Central differences there lose the digits by which the second derivative is judged."""
    laws.second_derivative_is_right_or_refused(
        lopsided, draw_inputs(lopsided, n=n, m=m, d=30, offset=10_000.0, scale=0.1, seed=seed)
    )
