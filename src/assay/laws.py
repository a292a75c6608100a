"""What holds of every measure, and what a measure may declare of itself.

A law is a function of (measure, inputs) that raises `LawBroken` with what it found. `universal` lists those that every
measure keeps unless it declares the exception with its reason; the others are declared with `@measure(laws=[...])`.
Hypothesis draws the inputs, in the tests and in `assay check`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .measure import Measure

Law = Callable[["Measure", "Inputs"], None]


class LawBroken(AssertionError):
    """A measure does not keep a law; the message says which, by how much, and on which inputs."""


@dataclass(frozen=True)
class Inputs:
    """One set of samples a side, and a seed for whatever else a law draws.

    Attributes:
        sets: (n, d) float64 a side.
        counts: (n,) whole numbers of at least 1 a side, float64.
        seed: for permutations, splits and directions.
    """

    sets: tuple[Tensor, ...]
    counts: tuple[Tensor, ...]
    seed: int

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def draw_inputs(measure: Measure, *, n: int, m: int, d: int, offset: float, scale: float, seed: int) -> Inputs:
    """Normal samples of different mean and spread a side, or random probabilities for measures of those."""
    generator = torch.Generator().manual_seed(seed)
    sets, counts = [], []
    for k, size in zip(range(len(measure.sides)), (n, m, n + m), strict=False):
        z = torch.randn(size, d, dtype=torch.float64, generator=generator)
        if measure.domain == "probabilities":
            sets.append((2 * z).softmax(1))
        else:
            spread = 1 + 0.5 * torch.rand(d, dtype=torch.float64, generator=generator)
            sets.append(offset + scale * (z * spread + 0.3 * k))
        counts.append(torch.randint(1, 4, (size,), generator=generator).to(torch.float64))
    return Inputs(tuple(sets), tuple(counts), seed)


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
    _equal(
        measure,
        "order_is_irrelevant",
        _weighted(measure, [s[o] for s, o in zip(inputs.sets, orders, strict=True)],
                  [c[o] for c, o in zip(inputs.counts, orders, strict=True)]),
        _weighted(measure, inputs.sets, inputs.counts),
    )  # fmt: skip


def counts_are_copies(measure: Measure, inputs: Inputs) -> None:
    """Weight 2 is that sample twice, and weight 0 is its absence."""
    repeated = [s.repeat_interleave(c.long(), 0) for s, c in zip(inputs.sets, inputs.counts, strict=True)]
    _equal(measure, "counts_are_copies", _weighted(measure, inputs.sets, inputs.counts), measure(*repeated))
    absent = [torch.cat([s, s[:2] + 1]) if measure.domain == "features" else torch.cat([s, s[:2]]) for s in inputs.sets]
    zeros = [torch.cat([torch.ones(len(s)), torch.zeros(2)]).to(torch.float64) for s in inputs.sets]
    _equal(measure, "counts_are_copies (zero)", _weighted(measure, absent, zeros), measure(*inputs.sets))


def parts_merge_to_the_whole(measure: Measure, inputs: Inputs) -> None:
    """The statistics of any split, merged in any grouping, give the value of all samples at once."""
    g = inputs.generator()
    statistic: Any = measure.statistic
    merged = []
    for s, c in zip(inputs.sets, inputs.counts, strict=True):
        cuts = sorted({0, len(s), *(int(torch.randint(1, len(s), (), generator=g)) for _ in range(2))})
        parts = [statistic.of(s[a:b], c[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)]
        while len(parts) > 1:
            right = parts.pop()
            parts[-1] = parts[-1].merge(right)
        merged.append(statistic.from_tensors(parts[0].tensors()))
    _equal(measure, "parts_merge_to_the_whole", measure(*merged), _weighted(measure, inputs.sets, inputs.counts))


def float32_agrees(measure: Measure, inputs: Inputs) -> None:
    """float32 samples give the float64 value to 1e-4 of it, or of the value's natural size."""
    narrow = [s.to(torch.float32) for s in inputs.sets]
    _equal(
        measure,
        "float32_agrees",
        measure(*narrow).to(torch.float64),
        measure(*(s.to(torch.float64) for s in narrow)),
        relative=1e-4,
    )


def stays_within_bounds(measure: Measure, inputs: Inputs) -> None:
    """The value keeps the bounds the measure declares."""
    value = float(measure(*inputs.sets))
    slack = 1e-7 * _size(measure, inputs.sets)
    if measure.lower is not None and value < measure.lower - slack:
        raise LawBroken(f"stays_within_bounds: {value} is below {measure.lower}")
    if measure.upper is not None and value > measure.upper + slack:
        raise LawBroken(f"stays_within_bounds: {value} is above {measure.upper}")


def gradient_is_right(measure: Measure, inputs: Inputs) -> None:
    """Derivatives by samples and by weights equal central differences along random directions."""
    g = inputs.generator()
    sets = [s.clone().requires_grad_() for s in inputs.sets]
    counts = [c.clone().requires_grad_() for c in inputs.counts]
    value = _weighted(measure, sets, counts)
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
            values.append(float(_weighted(measure, moved[: len(sets)], moved[len(sets) :])))
        numeric = (values[0] - values[1]) / (2 * step)
        analytic = float((slope * direction).sum())
        noise = 1e-9 * _size(measure, inputs.sets) / step
        if abs(numeric - analytic) > 1e-4 * (abs(numeric) + abs(analytic)) + noise:
            what = "samples" if k < len(sets) else "weights"
            raise LawBroken(
                f"gradient_is_right: by the {what} of side {measure.sides[k % len(sets)]}: {analytic:.8g}, "
                f"central difference {numeric:.8g}"
            )


def influences_sum_to_zero(measure: Measure, inputs: Inputs) -> None:
    """For every side whose weights the value varies smoothly with: sum w I = 0."""
    from .errors import UsageError

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
        _refuses(lambda value=value: measure(value, *good[1:]), what, (first, expected))  # type: ignore[misc]
    weight = f"weights_{first}"
    n = len(good[0])
    for what, weights in [
        ("weights that sum to 1", torch.full((n,), 1.0 / n)),
        ("negative weights", -torch.ones(n)),
        ("weights of a wrong shape", torch.ones(n + 1)),
        ("weights of zero", torch.zeros(n)),
    ]:
        _refuses(lambda weights=weights: measure(*good, **{weight: weights}), what, (weight,))  # type: ignore[misc]
    _refuses(lambda: measure(*good, no_such_option=1), "an unknown option", ("no_such_option",))
    if len(good) > 1:
        _refuses(lambda: measure(good[0][:, :-1], *good[1:]), "two widths", ("features",))
        _refuses(lambda: measure(good[0]), "a missing side", (measure.sides[1],))


def compiled_agrees(measure: Measure, inputs: Inputs) -> None:
    """One traced graph gives the same value."""
    if not measure.differentiable:
        return
    torch._dynamo.reset()
    compiled = torch.compile(measure.__call__, backend="aot_eager", fullgraph=True)
    sets = [s.clone().requires_grad_() for s in inputs.sets]
    value = compiled(*sets)
    _equal(measure, "compiled_agrees", value.detach(), measure(*inputs.sets))
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
    _equal(measure, "zero_on_equal", measure(*[x] * len(measure.sides)), torch.zeros((), dtype=torch.float64))


def one_on_equal(measure: Measure, inputs: Inputs) -> None:
    """The value of a set against itself is 1."""
    x = inputs.sets[0]
    _equal(measure, "one_on_equal", measure(*[x] * len(measure.sides)), torch.ones((), dtype=torch.float64))


def zero_in_expectation(measure: Measure, inputs: Inputs) -> None:
    """Over draws of two sets from one distribution the mean is 0, within 4.5 standard errors of it."""
    g = inputs.generator()
    n, d = inputs.sets[0].shape
    values = torch.stack(
        [measure(*(torch.randn(n, d, dtype=torch.float64, generator=g) for _ in measure.sides)) for _ in range(200)]
    )
    error = float(values.std()) / len(values) ** 0.5
    if abs(float(values.mean())) > 4.5 * error:
        raise LawBroken(f"zero_in_expectation: mean {float(values.mean()):g}, standard error {error:g}")


def symmetric(measure: Measure, inputs: Inputs) -> None:
    """Exchanging the sides changes nothing."""
    x, y = inputs.sets
    _equal(measure, "symmetric", measure(x, y), measure(y, x))


def translation_invariant(measure: Measure, inputs: Inputs) -> None:
    """Moving all samples by one vector changes nothing."""
    shift = 3 * torch.randn(inputs.sets[0].shape[1], dtype=torch.float64, generator=inputs.generator())
    _equal(measure, "translation_invariant", measure(*(s + shift for s in inputs.sets)), measure(*inputs.sets))


def rotation_invariant(measure: Measure, inputs: Inputs) -> None:
    """Rotating all samples alike changes nothing."""
    d = inputs.sets[0].shape[1]
    q, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=inputs.generator()))
    _equal(measure, "rotation_invariant", measure(*(s @ q for s in inputs.sets)), measure(*inputs.sets))


def scales_with(degree: float) -> Law:
    """Multiplying all samples by c multiplies the value by c^degree."""

    def scales(measure: Measure, inputs: Inputs) -> None:
        _equal(
            measure, f"scales_with({degree})", measure(*(1.7 * s for s in inputs.sets)),
            1.7**degree * measure(*inputs.sets),
        )  # fmt: skip

    scales.__name__ = f"scales_with_{degree:g}"
    return scales


# -- how laws compare -----------------------------------------------------------------------------------------------


def _weighted(measure: Measure, sets: Any, counts: Any) -> Tensor:
    weights = {f"weights_{side}": c for side, c in zip(measure.sides, counts, strict=True)}
    return measure(*sets, **weights)


def _size(measure: Measure, sets: Any) -> float:
    """The size a value may be said to be small against: the value of the sets as they are, or 1."""
    return max(1.0, abs(float(measure(*sets))), max(float(s.square().sum(1).mean()) for s in sets))


def _equal(measure: Measure, law: str, got: Tensor, expected: Tensor, relative: float = 1e-7) -> None:
    a, b = float(got), float(expected)
    if not abs(a - b) <= relative * max(1.0, abs(a), abs(b)):
        raise LawBroken(f"{law}: {measure.name} gives {a:.10g}, expected {b:.10g}")


def _refuses(call: Callable[[], Any], what: str, words: tuple[str, ...]) -> None:
    try:
        result = call()
    except ValueError as error:
        missing = [word for word in words if word not in str(error)]
        if missing:
            raise LawBroken(f"bad_input_is_refused: {what}: the message {error} does not say {missing[0]!r}") from None
        return
    except Exception as error:
        raise LawBroken(
            f"bad_input_is_refused: {what} raised {type(error).__name__} ({error}), not a ValueError"
        ) from None
    raise LawBroken(f"bad_input_is_refused: {what} was accepted and gave {result!r}")
