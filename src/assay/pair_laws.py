"""What holds of every pair measure, and what one may declare of itself.

A law is a function of (measure, inputs) that raises `LawBroken` with what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import UsageError
from .gradient_laws import second_derivative
from .law_inputs import LawBroken, refuses
from .pair_law_inputs import PairInputs as PairInputs  # the name by which authors of measures build them
from .pair_law_inputs import cast
from .pair_law_inputs import draw_pair_inputs as draw_pair_inputs

if TYPE_CHECKING:
    from .estimate import Estimate
    from .pairs import PairMeasure

STEPS = (1e-6, 1e-7, 1e-8)  # of differences: a kink that one crosses is left behind by a smaller one


# -- laws of every pair measure -------------------------------------------------------------------------------------


def one_value_a_pair(measure: PairMeasure, inputs: PairInputs) -> None:
    """(B,) finite values of the members' precision."""
    for dtype in (torch.float64, torch.float32):
        members = [cast(m, dtype) for m in inputs.members]
        values = measure(*members)
        if values.shape != members[0].shape[:1] or values.dtype != dtype or not bool(values.isfinite().all()):
            raise LawBroken(
                f"one_value_a_pair: expected {len(members[0])} finite {dtype} values, got {values!r}"
            )


def order_goes_with_the_pairs(measure: PairMeasure, inputs: PairInputs) -> None:
    """Permuting the pairs permutes the values."""
    order = torch.randperm(len(inputs.members[0]), generator=inputs.generator())
    values = measure(*inputs.members)
    _same("order_goes_with_the_pairs", measure, measure(*(m[order] for m in inputs.members)), values[order])


def a_pair_stands_alone(measure: PairMeasure, inputs: PairInputs) -> None:
    """A pair's value does not depend on the others of its batch."""
    parts = [
        measure(*(m[rows] for m in inputs.members)) for rows in (slice(0, 1), slice(1, 4), slice(4, None))
    ]
    _same("a_pair_stands_alone", measure, torch.cat(parts), measure(*inputs.members))


def counts_are_copies(measure: PairMeasure, inputs: PairInputs) -> None:
    """Weight 2 is that pair twice in the mean, its error and its interval, and weight 0 is its absence."""
    weighted = measure.estimate(*inputs.members, weights=inputs.counts)
    times = inputs.counts.long()
    copies = measure.estimate(*(m.repeat_interleave(times, 0) for m in inputs.members))
    _same_estimate("counts_are_copies", measure, weighted, copies)
    counts = inputs.counts.clone()
    counts[:2] = 0
    absent = measure.estimate(*inputs.members, weights=counts)
    rest = measure.estimate(*(m[2:] for m in inputs.members), weights=counts[2:])
    _same_estimate("counts_are_copies", measure, absent, rest)


def single_clusters_are_pairs(measure: PairMeasure, inputs: PairInputs) -> None:
    """Clusters of one pair each change nothing."""
    alone = measure.estimate(*inputs.members, clusters=torch.arange(len(inputs.members[0])))
    _same_estimate("single_clusters_are_pairs", measure, alone, measure.estimate(*inputs.members))


def parts_merge_to_the_whole(measure: PairMeasure, inputs: PairInputs) -> None:
    """Batches streamed and merged give the estimate of all pairs at once."""
    first, second = measure.metric(), measure.metric()
    for metric, rows in ((first, slice(0, 3)), (second, slice(3, 4)), (second, slice(4, None))):
        metric.update(*(m[rows] for m in inputs.members), weights=inputs.counts[rows])
    first.merge(second)
    whole = measure.estimate(*inputs.members, weights=inputs.counts)
    _same_estimate("parts_merge_to_the_whole", measure, first.estimate(), whole)


def float32_agrees(measure: PairMeasure, inputs: PairInputs) -> None:
    """Single precision gives the values of double precision to 1e-4."""
    narrow = [cast(m, torch.float32) for m in inputs.members]
    wide = [cast(m, torch.float64) for m in narrow]
    _same("float32_agrees", measure, measure(*narrow).to(torch.float64), measure(*wide), 1e-4)


def narrow_precision_is_safe(measure: PairMeasure, inputs: PairInputs) -> None:
    """Members in float16 and bfloat16 are worked in float32: finite, and what the same members say when cast."""
    for dtype in (torch.float16, torch.bfloat16):
        narrow = [cast(m, dtype) for m in inputs.members]
        values = measure(*narrow)
        if values.dtype != torch.float32 or not bool(values.isfinite().all()):
            raise LawBroken(
                f"narrow_precision_is_safe: {measure.name} of {dtype} gives {values!r}, expected finite float32"
            )
        _same(
            "narrow_precision_is_safe",
            measure,
            values,
            measure(*(cast(m, torch.float32) for m in narrow)),
            1e-5,
        )


def nan_is_not_scored(measure: PairMeasure, inputs: PairInputs) -> None:
    """An image or mask that holds NaN or infinity has the value NaN, and the other pairs keep theirs."""
    if measure.domain not in ("images", "masks"):
        return
    whole = measure(*inputs.members)
    for bad in (float("nan"), float("inf")):
        broken = inputs.members[0].clone()
        broken.flatten(1)[1, 0] = bad
        values = measure(broken, *inputs.members[1:])
        if not bool(values[1].isnan()):
            raise LawBroken(
                f"nan_is_not_scored: {measure.name} gives an image with {bad} the value {values[1]}"
            )
        _same("nan_is_not_scored", measure, values[2:], whole[2:])


def map_has_places(measure: PairMeasure, inputs: PairInputs) -> None:
    """A map, where there is one: (B, H', W') finite, differentiable or not, and no larger than the image."""
    if measure.map_function is None:
        return
    places = measure.map(*inputs.members)
    image = inputs.members[0].shape
    fits = places.ndim == 3 and len(places) == image[0]
    if measure.domain == "images":
        fits = fits and places.shape[1] <= image[2] and places.shape[2] <= image[3]
    if not fits or not bool(places.isfinite().all()):
        raise LawBroken(
            f"map_has_places: {measure.name}.map gives {tuple(places.shape)} for members of {tuple(image)}, expected "
            "finite (B, H', W')"
        )


def stays_within_bounds(measure: PairMeasure, inputs: PairInputs) -> None:
    """No value is beyond the declared bounds."""
    values = measure(*inputs.members)
    for bound, beyond in ((measure.lower, torch.lt), (measure.upper, torch.gt)):
        if bound is not None and bool(beyond(values, bound).any()):
            raise LawBroken(f"stays_within_bounds: {measure.name} has the bound {bound:g} and gives {values}")


def gradient_is_right(measure: PairMeasure, inputs: PairInputs) -> None:
    """The objective's gradient equals central differences in float64, and is not zero; or there is no objective."""
    if not measure.differentiable:
        refuses(lambda: measure.objective(), "an objective", (measure.name, "gradient"))
        return
    objective = measure.objective()
    members = [m.detach().clone().requires_grad_(m.is_floating_point()) for m in inputs.members]
    floating = [m for m in members if m.is_floating_point()]
    gradients = torch.autograd.grad(objective(*members), floating)
    g = inputs.generator()
    directions = iter([torch.randn(m.shape, dtype=m.dtype, generator=g) for m in floating])
    moves = [next(directions) if m.is_floating_point() else torch.zeros_like(m) for m in members]
    used = [move for m, move in zip(members, moves, strict=True) if m.is_floating_point()]
    found = float(sum((a * b).sum() for a, b in zip(gradients, used, strict=True)))
    for step in STEPS:
        with torch.no_grad():
            up, down = (
                objective(*(m + sign * step * move if m.is_floating_point() else m
                            for m, move in zip(members, moves, strict=True)))
                for sign in (1, -1)
            )  # fmt: skip
        slope = float((up - down) / (2 * step))
        if abs(slope - found) <= 1e-5 * max(1.0, abs(found)):
            break
    else:
        raise LawBroken(
            f"gradient_is_right: {measure.name} has the slope {slope:.8g}, autograd says {found:.8g}"
        )
    if max(float(gradient.abs().max()) for gradient in gradients) == 0:
        raise LawBroken(f"gradient_is_right: {measure.name} has the gradient zero everywhere")


def second_derivative_is_right_or_refused(measure: PairMeasure, inputs: PairInputs) -> None:
    """The gradient, differentiated again, equals central differences, or says that it cannot be."""
    if not measure.differentiable:
        return
    objective = measure.objective()
    floating = [k for k, m in enumerate(inputs.members) if m.is_floating_point()]

    def value_of(points: Sequence[Tensor]) -> Tensor:
        members = list(inputs.members)
        for k, point in zip(floating, points, strict=True):
            members[k] = point
        value: Tensor = objective(*members)
        return value

    second_derivative(value_of, [inputs.members[k].detach() for k in floating], inputs.generator())


def bad_input_is_refused(measure: PairMeasure, inputs: PairInputs) -> None:
    """Wrong shapes, dtypes and numbers raise a ValueError that names the argument; NaN too, in `estimate`."""
    name, members = measure.members[-1], inputs.members
    others = members[:-1]
    refuses(lambda: measure(*others, members[-1][:0]), "no pair", (name,))
    refuses(lambda: measure(*others, "text"), "a string", (name,))
    refuses(lambda: measure(*members, members[0]), "one member too many", (measure.name,))
    refuses(lambda: measure(*members, no_such_option=1), "an unknown option", ("no_such_option",))
    refuses(lambda: measure.estimate(*members, level=1.5), "a level of 1.5", ("level",))
    refuses(lambda: measure.estimate(*members, clusters=[0, 1]), "two cluster labels", ("clusters",))
    refuses(lambda: measure.estimate(*members, weights=[1.0]), "one weight", ("weights",))
    refuses(lambda: measure.estimate(*(m[:1] for m in members)), "one pair", ("two",))
    if others:
        refuses(lambda: measure(*others, members[-1][1:]), "one entry less", (name, *measure.members[:1]))
    if measure.domain != "any":
        if measure.domain != "masks":
            refuses(lambda: measure(*others, members[-1].long()), "whole numbers", (name, "floating"))
        refuses(lambda: measure(*others, members[-1][0, 0]), "two axes less", (name, "shape"))
    if members[-1].is_floating_point():
        broken = members[-1].clone()
        broken[1] = float("nan")
        refuses(lambda: measure.estimate(*others, broken), "NaN", (name, "rows 1"))
    data_range = 1.0 if measure.domain == "masks" else measure.options.get("data_range")
    if measure.domain in ("images", "masks") and data_range is not None:
        outside = members[0].clone()
        outside[1] = -data_range
        refuses(
            lambda: measure.estimate(outside, *members[1:]),
            "values out of range",
            (measure.members[0], "rows 1"),
        )


def compiled_agrees(measure: PairMeasure, inputs: PairInputs) -> None:
    """The objective compiles to one graph and gives the same."""
    if not measure.differentiable:
        return
    torch._dynamo.reset()
    objective = measure.objective()
    compiled = torch.compile(objective, backend="aot_eager", fullgraph=True)
    _same("compiled_agrees", measure, compiled(*inputs.members), objective(*inputs.members))


PAIR_LAWS: tuple[Callable[..., None], ...] = (
    one_value_a_pair,
    order_goes_with_the_pairs,
    a_pair_stands_alone,
    counts_are_copies,
    single_clusters_are_pairs,
    parts_merge_to_the_whole,
    float32_agrees,
    narrow_precision_is_safe,
    nan_is_not_scored,
    map_has_places,
    stays_within_bounds,
    gradient_is_right,
    second_derivative_is_right_or_refused,
    bad_input_is_refused,
    compiled_agrees,
)


def laws_of_pairs(measure: PairMeasure) -> tuple[Callable[..., None], ...]:
    """Every law the measure keeps: those of all pair measures but its exceptions, then those it declares.

    Raises:
        UsageError: an exception that names no such law.
    """
    names = [law.__name__ for law in PAIR_LAWS]
    for name in measure.exceptions:
        if name not in names:
            raise UsageError(f"{measure.name}: exceptions: {name!r} is no law of pair measures")
    return (*(law for law in PAIR_LAWS if law.__name__ not in measure.exceptions), *measure.laws)


# -- laws that a measure declares -----------------------------------------------------------------------------------


def symmetric_pairs(measure: PairMeasure, inputs: PairInputs) -> None:
    """Exchanging the two members changes nothing."""
    x, y = inputs.members
    _same("symmetric_pairs", measure, measure(y, x), measure(x, y))


def map_means_value(measure: PairMeasure, inputs: PairInputs) -> None:
    """The value is the mean of the map."""
    _same("map_means_value", measure, measure.map(*inputs.members).mean((1, 2)), measure(*inputs.members))


def ignores_length(measure: PairMeasure, inputs: PairInputs) -> None:
    """Only the direction of an embedding counts, not its length."""
    g = inputs.generator()
    longer = [m * (0.5 + torch.rand(len(m), 1, dtype=m.dtype, generator=g)) for m in inputs.members]
    _same("ignores_length", measure, measure(*longer), measure(*inputs.members))


def value_on_equal(value: float) -> Callable[[PairMeasure, PairInputs], None]:
    """A pair of equal members has this value."""

    def law(measure: PairMeasure, inputs: PairInputs) -> None:
        got = measure(inputs.members[0], inputs.members[0])
        _same(law.__name__, measure, got, torch.full_like(got, value))

    law.__name__ = f"value_on_equal_{value:g}"
    return law


def _same(law: str, measure: PairMeasure, got: Tensor, expected: Tensor, relative: float = 1e-9) -> None:
    scale = max(1.0, float(expected.detach().abs().max()))
    if got.shape != expected.shape or not float((got - expected).detach().abs().max()) <= relative * scale:
        raise LawBroken(f"{law}: {measure.name} gives {got}, expected {expected}")


def _same_estimate(law: str, measure: PairMeasure, got: Estimate, expected: Estimate) -> None:
    def numbers(e: Estimate) -> Any:
        return torch.tensor(
            [e.value, e.corrected, e.std_error, e.low, e.high, e.n_x or 0], dtype=torch.float64
        )

    _same(law, measure, numbers(got), numbers(expected), 1e-8)
