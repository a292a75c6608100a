"""What holds of every measure, and what a measure may declare of itself.

A law is a function of (measure, inputs) that raises `LawBroken` with what it found. `universal` lists those that every
measure keeps unless it declares the exception with its reason; the others are declared with `@measure(laws=[...])`.
Hypothesis draws the inputs, in the tests and in `assay check`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from .errors import UsageError
from .gradient_laws import second_derivative
from .law_inputs import Inputs, LawBroken, draw_inputs, equal, refuses, size, weighted

if TYPE_CHECKING:
    from .set_measure import Measure

Law = Callable[["Measure", Inputs], None]

__all__ = [
    "UNIVERSAL",
    "Inputs",
    "Law",
    "LawBroken",
    "draw_inputs",
    "laws_of",
    "one_on_equal",
    "rotation_invariant",
    "scales_with",
    "symmetric",
    "translation_invariant",
    "zero_in_expectation",
    "zero_on_equal",
]


# -- laws of every measure ------------------------------------------------------------------------------------------


def is_a_scalar(measure: Measure, inputs: Inputs) -> None:
    """One finite number, of the samples' precision."""
    for dtype in (torch.float64, torch.float32):
        value = measure(*(s.to(dtype) for s in inputs.sets))
        if value.shape != () or value.dtype != dtype or not bool(torch.isfinite(value)):
            raise LawBroken(f"is_a_scalar: expected a finite {dtype} scalar, got {value!r}")


def order_is_irrelevant(measure: Measure, inputs: Inputs) -> None:
    """Permuting samples changes nothing."""
    g = inputs.generator()
    orders = [torch.randperm(len(s), generator=g) for s in inputs.sets]
    equal(
        measure,
        "order_is_irrelevant",
        weighted(measure, [s[o] for s, o in zip(inputs.sets, orders, strict=True)],
                  [c[o] for c, o in zip(inputs.counts, orders, strict=True)]),
        weighted(measure, inputs.sets, inputs.counts),
    )  # fmt: skip


def counts_are_copies(measure: Measure, inputs: Inputs) -> None:
    """Weight 2 is that sample twice, and weight 0 is its absence."""
    repeated = [s.repeat_interleave(c.long(), 0) for s, c in zip(inputs.sets, inputs.counts, strict=True)]
    equal(measure, "counts_are_copies", weighted(measure, inputs.sets, inputs.counts), measure(*repeated))
    absent = [
        torch.cat([s, s[:2] + 1]) if measure.domain == "features" else torch.cat([s, s[:2]])
        for s in inputs.sets
    ]
    zeros = [torch.cat([torch.ones(len(s)), torch.zeros(2)]).to(torch.float64) for s in inputs.sets]
    equal(measure, "counts_are_copies (zero)", weighted(measure, absent, zeros), measure(*inputs.sets))


def parts_merge_to_the_whole(measure: Measure, inputs: Inputs) -> None:
    """The statistics of any split, merged in any grouping, give the value of all samples at once."""
    g = inputs.generator()
    statistic: Any = measure.statistic
    merged = []
    for s, c in zip(inputs.sets, inputs.counts, strict=True):
        cuts = sorted({0, len(s), *(int(torch.randint(1, len(s), (), generator=g)) for _ in range(2))})
        parts = [statistic.of(s[a:b], c[a:b]) for a, b in itertools.pairwise(cuts)]
        while len(parts) > 1:
            right = parts.pop()
            parts[-1] = parts[-1].merge(right)
        merged.append(statistic.from_tensors(parts[0].tensors()))
    equal(
        measure, "parts_merge_to_the_whole", measure(*merged), weighted(measure, inputs.sets, inputs.counts)
    )


def float32_agrees(measure: Measure, inputs: Inputs) -> None:
    """float32 samples give the float64 value to 1e-4 of it, or of the value's natural size."""
    narrow = [s.to(torch.float32) for s in inputs.sets]
    equal(
        measure,
        "float32_agrees",
        measure(*narrow).to(torch.float64),
        measure(*(s.to(torch.float64) for s in narrow)),
        relative=1e-4,
    )


def stays_within_bounds(measure: Measure, inputs: Inputs) -> None:
    """The value keeps the bounds the measure declares."""
    value = float(measure(*inputs.sets))
    slack = 1e-7 * size(measure, inputs.sets)
    if measure.lower is not None and value < measure.lower - slack:
        raise LawBroken(f"stays_within_bounds: {value} is below {measure.lower}")
    if measure.upper is not None and value > measure.upper + slack:
        raise LawBroken(f"stays_within_bounds: {value} is above {measure.upper}")


def gradient_is_right(measure: Measure, inputs: Inputs) -> None:
    """Derivatives by samples and by weights equal central differences along random directions."""
    g = inputs.generator()
    sets = [s.clone().requires_grad_() for s in inputs.sets]
    counts = [c.clone().requires_grad_() for c in inputs.counts]
    value = weighted(measure, sets, counts)
    grads = torch.autograd.grad(value, [*sets, *counts], allow_unused=True)
    for k, (tensor, grad) in enumerate(zip([*sets, *counts], grads, strict=True)):
        slope = torch.zeros_like(tensor) if grad is None else grad
        if not bool(torch.isfinite(slope).all()):
            raise LawBroken("gradient_is_right: the gradient has NaN or infinity")
        direction = torch.randn(tensor.shape, dtype=torch.float64, generator=g)
        if k < len(sets) and measure.domain == "probabilities":
            direction = direction * tensor.detach()  # a probability cannot go below zero
        step = 1e-5 * (1 if k >= len(sets) else float(tensor.detach().std()))
        values = []
        for sign in (1, -1):
            moved = [t.detach() for t in (*sets, *counts)]
            moved[k] = moved[k] + sign * step * direction
            values.append(float(weighted(measure, moved[: len(sets)], moved[len(sets) :])))
        numeric = (values[0] - values[1]) / (2 * step)
        analytic = float((slope * direction).sum())
        noise = 1e-9 * size(measure, inputs.sets) / step
        if abs(numeric - analytic) > 1e-4 * (abs(numeric) + abs(analytic)) + noise:
            what = "samples" if k < len(sets) else "weights"
            raise LawBroken(
                f"gradient_is_right: by the {what} of side {measure.sides[k % len(sets)]}: {analytic:.8g}, "
                f"central difference {numeric:.8g}"
            )


def second_derivative_is_right_or_refused(measure: Measure, inputs: Inputs) -> None:
    """Where gradients are differentiated again, by samples or by weights, they are right or say that they cannot be."""
    if not measure.differentiable:
        return
    k = len(inputs.sets)
    second_derivative(
        lambda tensors: weighted(measure, tensors[:k], tensors[k:]),
        [*inputs.sets, *inputs.counts],
        inputs.generator(),
    )


def influences_sum_to_zero(measure: Measure, inputs: Inputs) -> None:
    """For every side whose weights the value varies smoothly with: sum w I = 0."""
    weights = {f"weights_{side}": c for side, c in zip(measure.sides, inputs.counts, strict=True)}
    for side, c in zip(measure.sides, inputs.counts, strict=True):
        try:
            influence = measure.influence(*inputs.sets, of=side, **weights)
        except UsageError:
            continue
        if abs(float(c @ influence)) > 1e-7 * float(c @ influence.abs()) + 1e-12:
            raise LawBroken(f"influences_sum_to_zero: they sum to {float(c @ influence):g} over {side}")


def bad_input_is_refused(measure: Measure, inputs: Inputs) -> None:
    """Wrong shapes, widths, dtypes and empty sets raise a ValueError that names the argument and what came."""
    first, good = measure.sides[0], inputs.sets
    bad: list[tuple[str, Any, str]] = [
        ("one dimension", good[0][:, 0], "shape"),
        ("three dimensions", good[0][None], "shape"),
        ("no samples", good[0][:0], "no samples"),
        ("whole numbers", good[0].long(), "floating-point"),
        ("a list", [1.0, 2.0], "list"),
    ]
    for what, value, expected in bad:
        refuses(lambda value=value: measure(value, *good[1:]), what, (first, expected))  # type: ignore[misc]
    weight = f"weights_{first}"
    n = len(good[0])
    for what, weights in [
        ("weights that sum to 1", torch.full((n,), 1.0 / n)),
        ("negative weights", -torch.ones(n)),
        ("weights of a wrong shape", torch.ones(n + 1)),
        ("weights of zero", torch.zeros(n)),
    ]:
        refuses(lambda weights=weights: measure(*good, **{weight: weights}), what, (weight,))  # type: ignore[misc]
    refuses(lambda: measure(*good, no_such_option=1), "an unknown option", ("no_such_option",))
    if len(good) > 1:
        refuses(lambda: measure(good[0][:, :-1], *good[1:]), "two widths", ("features",))
        refuses(lambda: measure(good[0]), "a missing side", (measure.sides[1],))


def compiled_agrees(measure: Measure, inputs: Inputs) -> None:
    """One traced graph gives the same value."""
    if not measure.differentiable:
        return
    torch._dynamo.reset()
    compiled = torch.compile(measure.__call__, backend="aot_eager", fullgraph=True)
    sets = [s.clone().requires_grad_() for s in inputs.sets]
    value = compiled(*sets)
    equal(measure, "compiled_agrees", value.detach(), measure(*inputs.sets))
    eager = [s.clone().requires_grad_() for s in inputs.sets]
    for mine, theirs in zip(
        torch.autograd.grad(value, sets), torch.autograd.grad(measure(*eager), eager), strict=True
    ):
        if not torch.allclose(mine, theirs, rtol=1e-6, atol=1e-9):
            raise LawBroken(f"compiled_agrees: gradients differ by {float((mine - theirs).abs().max()):g}")


UNIVERSAL: tuple[Law, ...] = (
    is_a_scalar,
    order_is_irrelevant,
    counts_are_copies,
    parts_merge_to_the_whole,
    float32_agrees,
    stays_within_bounds,
    gradient_is_right,
    second_derivative_is_right_or_refused,
    influences_sum_to_zero,
    bad_input_is_refused,
    compiled_agrees,
)


def laws_of(measure: Measure) -> list[Law]:
    """The universal laws without the measure's exceptions, and those it declares."""
    return [law for law in UNIVERSAL if law.__name__ not in measure.exceptions] + list(measure.laws)


# -- laws a measure declares ----------------------------------------------------------------------------------------


def zero_on_equal(measure: Measure, inputs: Inputs) -> None:
    """The value of a set against itself is 0."""
    x = inputs.sets[0]
    equal(measure, "zero_on_equal", measure(*[x] * len(measure.sides)), torch.zeros((), dtype=torch.float64))


def one_on_equal(measure: Measure, inputs: Inputs) -> None:
    """The value of a set against itself is 1."""
    x = inputs.sets[0]
    equal(measure, "one_on_equal", measure(*[x] * len(measure.sides)), torch.ones((), dtype=torch.float64))


def zero_in_expectation(measure: Measure, inputs: Inputs) -> None:
    """Over draws of two sets from one distribution the mean is 0, within 4.5 standard errors of it."""
    if callable(measure.unbiased) and not measure.is_unbiased():
        return  # the options choose a form that does not claim it
    g = inputs.generator()
    n, d = inputs.sets[0].shape
    values = torch.stack(
        [
            measure(*(torch.randn(n, d, dtype=torch.float64, generator=g) for _ in measure.sides))
            for _ in range(200)
        ]
    )
    error = float(values.std()) / len(values) ** 0.5
    if abs(float(values.mean())) > 4.5 * error:
        raise LawBroken(f"zero_in_expectation: mean {float(values.mean()):g}, standard error {error:g}")


def symmetric(measure: Measure, inputs: Inputs) -> None:
    """Exchanging the sides changes nothing."""
    x, y = inputs.sets
    equal(measure, "symmetric", measure(x, y), measure(y, x))


def translation_invariant(measure: Measure, inputs: Inputs) -> None:
    """Moving all samples by one vector changes nothing."""
    shift = 3 * torch.randn(inputs.sets[0].shape[1], dtype=torch.float64, generator=inputs.generator())
    equal(measure, "translation_invariant", measure(*(s + shift for s in inputs.sets)), measure(*inputs.sets))


def rotation_invariant(measure: Measure, inputs: Inputs) -> None:
    """Rotating all samples alike changes nothing."""
    d = inputs.sets[0].shape[1]
    q, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=inputs.generator()))
    equal(measure, "rotation_invariant", measure(*(s @ q for s in inputs.sets)), measure(*inputs.sets))


def scales_with(degree: float) -> Law:
    """Multiplying all samples by c multiplies the value by c^degree."""

    def scales(measure: Measure, inputs: Inputs) -> None:
        equal(
            measure, f"scales_with({degree})", measure(*(1.7 * s for s in inputs.sets)),
            1.7**degree * measure(*inputs.sets),
        )  # fmt: skip

    scales.__name__ = f"scales_with_{degree:g}"
    return scales
