"""What holds of every batch objective, and what one may declare of itself.

A law is a function of (objective, inputs) that raises `LawBroken` with what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from .batch_law_inputs import BatchInputs, cast
from .errors import UsageError
from .gradient_laws import second_derivative
from .law_inputs import LawBroken, refuses

if TYPE_CHECKING:
    from .batch_objective import BatchObjective


# -- laws of every batch objective ----------------------------------------------------------------------------------


def is_a_scalar(objective: BatchObjective, inputs: BatchInputs) -> None:
    """One finite number of the embeddings' precision, the same at every call."""
    for dtype in (torch.float64, torch.float32):
        batch = cast(objective, inputs, dtype)
        value = objective(**batch)
        if value.shape != () or value.dtype != dtype or not bool(value.isfinite()):
            raise LawBroken(f"is_a_scalar: {objective.name}: expected a finite {dtype} scalar, got {value!r}")
        if not torch.equal(value, objective(**batch)):
            raise LawBroken(f"is_a_scalar: {objective.name} gives two values for one batch")


def order_is_irrelevant(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Permuting rows that belong together, together, changes nothing, and permutes the values an anchor."""
    g = inputs.generator()
    order: dict[str, Tensor] = {}
    for group in objective.aligned:
        given = [name for name in group if name in inputs.batch]
        if given:
            order |= dict.fromkeys(given, torch.randperm(len(inputs.batch[given[0]]), generator=g))
    moved = {name: tensor[order[name]] for name, tensor in inputs.batch.items()}
    _same("order_is_irrelevant", objective, objective(**moved), objective(**inputs.batch))
    if "reduction" in objective.options:
        each = objective(**inputs.batch, reduction="none")
        _same(
            "order_is_irrelevant", objective, objective(**moved, reduction="none"), each[order[objective.batch[0]]]
        )  # fmt: skip


def mean_is_of_the_anchors(objective: BatchObjective, inputs: BatchInputs) -> None:
    """The value is the mean, over the rows that are anchors, of the values with `reduction="none"`."""
    if "reduction" not in objective.options:
        return
    each = objective(**inputs.batch, reduction="none")
    kept = torch.ones_like(each, dtype=torch.bool)
    if objective.anchors is not None:
        kept = objective.anchors(**inputs.batch)
    if bool(each[~kept].any()):
        raise LawBroken(
            f"mean_is_of_the_anchors: {objective.name}: rows that are no anchors are not 0: {each}"
        )
    mean = each[kept].mean() if bool(kept.any()) else each.sum()
    _same("mean_is_of_the_anchors", objective, objective(**inputs.batch), mean)


def float32_agrees(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Single precision gives the value of double precision to 1e-4."""
    narrow = cast(objective, inputs, torch.float32)
    wide = cast(objective, BatchInputs(narrow, inputs.seed), torch.float64)
    _same("float32_agrees", objective, objective(**narrow).to(torch.float64), objective(**wide), 1e-4)


def half_precision_works(objective: BatchObjective, inputs: BatchInputs) -> None:
    """float16 and bfloat16 rows give the float32 value of those rows, under autocast too, and a finite gradient."""
    for dtype in (torch.float16, torch.bfloat16):
        batch = cast(objective, inputs, dtype, gradient=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = objective(**batch)
        if value.dtype != torch.float32:
            raise LawBroken(
                f"half_precision_works: {objective.name} gives {value.dtype} for {dtype}, not float32"
            )
        plain = {name: t.detach() for name, t in batch.items()}
        exact = objective(**cast(objective, BatchInputs(plain, inputs.seed), torch.float32))
        _same("half_precision_works", objective, value, exact, 1e-6)
        rows = [batch[name] for name in objective.samples if name in batch]
        for grad in torch.autograd.grad(value, rows):
            if grad.dtype != dtype or not bool(grad.isfinite().all()):
                raise LawBroken(
                    f"half_precision_works: {objective.name}: a gradient of {dtype} rows is {grad}"
                )


def stays_within_bounds(objective: BatchObjective, inputs: BatchInputs) -> None:
    """The value is not beyond the declared bounds."""
    value = float(objective(**inputs.batch))
    slack = 1e-9 * max(1.0, abs(value))
    if objective.lower is not None and value < objective.lower - slack:
        raise LawBroken(f"stays_within_bounds: {objective.name}: {value} is below {objective.lower}")
    if objective.upper is not None and value > objective.upper + slack:
        raise LawBroken(f"stays_within_bounds: {objective.name}: {value} is above {objective.upper}")


def gradient_is_right(objective: BatchObjective, inputs: BatchInputs) -> None:
    """The gradient of the value, and of a weighted sum of the values an anchor, equals central differences."""
    g = inputs.generator()
    batch = cast(objective, inputs, torch.float64, gradient=True)
    names = [name for name in objective.samples if name in batch]
    weights = torch.rand(len(batch[names[0]]), dtype=torch.float64, generator=g)

    def weighted(**tensors: Tensor) -> Tensor:
        return objective(**tensors, reduction="none") @ weights

    for value_of in (objective, weighted) if "reduction" in objective.options else (objective,):
        found_all = torch.autograd.grad(value_of(**batch), [batch[n] for n in names], allow_unused=True)
        gradients = [
            torch.zeros_like(batch[name]) if grad is None else grad
            for name, grad in zip(names, found_all, strict=True)
        ]
        moves = {name: torch.randn(batch[name].shape, dtype=torch.float64, generator=g) for name in names}
        step = 1e-5
        with torch.no_grad():
            up, down = (
                float(value_of(**{n: t + sign * step * moves[n] if n in moves else t for n, t in batch.items()}))
                for sign in (1, -1)
            )  # fmt: skip
        slope = (up - down) / (2 * step)
        found = float(sum((grad * moves[name]).sum() for grad, name in zip(gradients, names, strict=True)))
        if not abs(slope - found) <= 1e-6 * max(1.0, abs(found), abs(up)):
            raise LawBroken(
                f"gradient_is_right: {objective.name} has the slope {slope:.8g}, autograd says {found:.8g}"
            )


def second_derivative_is_right_or_refused(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Where the gradient is differentiated again it is right, or says that it cannot be."""
    names = [name for name in objective.samples if name in inputs.batch]

    def value_of(tensors: Sequence[Tensor]) -> Tensor:
        return objective(**{**inputs.batch, **dict(zip(names, tensors, strict=True))})

    second_derivative(value_of, [inputs.batch[name] for name in names], inputs.generator())


def bad_input_is_refused(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Wrong shapes, widths, dtypes, numbers of rows and options raise a ValueError that names the argument."""
    good = dict(inputs.batch)
    first = objective.samples[0]
    rows = good[first]

    def with_(name: str, value: object) -> Callable[[], Tensor]:
        return lambda: objective(**{**good, name: value})

    refuses(with_(first, rows[:, 0]), "one dimension", (first, "shape"))
    refuses(with_(first, rows[None]), "three dimensions", (first, "shape"))
    refuses(with_(first, rows[:0]), "no rows", (first, "empty"))
    refuses(with_(first, rows.long()), "whole numbers", (first, "floating-point"))
    refuses(with_(first, [1.0]), "a list", (first, "list"))
    refuses(lambda: objective(*good.values(), *[rows] * 9), "too many tensors", (objective.name, "at most"))
    refuses(lambda: objective(), "nothing", (first, "missing"))
    refuses(lambda: objective(rows, **good), "one tensor twice", (first, "twice"))
    refuses(with_("no_such_option", 1), "an unknown option", ("no_such_option",))
    for group in objective.widths:
        alike = [name for name in group if name in good]
        for name in alike[1:]:
            refuses(with_(name, rows[:, :-1]), "two widths", (alike[0], name, "features"))
    for name in good:
        if name in objective.labels:
            refuses(with_(name, good[name].double()), "labels that are not whole", (name, "whole numbers"))
            refuses(with_(name, good[name][:, None]), "labels in a column", (name, "shape"))
    for group in objective.aligned:
        given = [name for name in group if name in good]
        for name in given[1:]:
            refuses(with_(name, good[name][1:]), "one row less", (given[0], name, "rows"))
    if "reduction" in objective.options:
        refuses(with_("reduction", "sum"), "an unknown reduction", ("reduction", "sum"))
    refuses(lambda: objective.objective(no_such_option=1), "an unknown option", ("no_such_option",))
    unknown: Any = "all"
    refuses(lambda: objective.objective(gradients=unknown), "an unknown way of gradients", ("gradients",))


def module_is_the_function(objective: BatchObjective, inputs: BatchInputs) -> None:
    """On one process the module's loss is the value, or minus it where the best is the maximum."""
    sign = 1 if objective.best == "min" else -1
    ways: tuple[Literal["mean", "sum", "none"], ...] = ("mean", "sum", "none")
    for gradients in ways:
        module = objective.objective(gradients=gradients)
        _same("module_is_the_function", objective, sign * module(**inputs.batch), objective(**inputs.batch))


BATCH_LAWS: tuple[Callable[..., None], ...] = (
    is_a_scalar,
    order_is_irrelevant,
    mean_is_of_the_anchors,
    float32_agrees,
    half_precision_works,
    stays_within_bounds,
    gradient_is_right,
    second_derivative_is_right_or_refused,
    bad_input_is_refused,
    module_is_the_function,
)


def laws_of_batches(objective: BatchObjective) -> tuple[Callable[..., None], ...]:
    """Every law the objective keeps: those of all batch objectives but its exceptions, then those it declares.

    Raises:
        UsageError: an exception that names no such law.
    """
    names = [law.__name__ for law in BATCH_LAWS]
    for name in objective.exceptions:
        if name not in names:
            raise UsageError(f"{objective.name}: exceptions: {name!r} is no law of batch objectives")
    kept = (law for law in BATCH_LAWS if law.__name__ not in objective.exceptions)
    return (*kept, *objective.laws)


# -- laws that an objective declares --------------------------------------------------------------------------------


def ignores_length(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Only the direction of an embedding counts, not its length."""
    g = inputs.generator()
    longer = dict(inputs.batch)
    for name in objective.samples:
        if name in longer:
            longer[name] = longer[name] * (
                0.5 + torch.rand(len(longer[name]), 1, dtype=torch.float64, generator=g)
            )
    _same("ignores_length", objective, objective(**longer), objective(**inputs.batch))


def rotation_invariant(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Rotating all embeddings alike changes nothing."""
    d = inputs.batch[objective.samples[0]].shape[1]
    q, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=inputs.generator()))
    turned = {name: t @ q if name in objective.samples else t for name, t in inputs.batch.items()}
    _same("rotation_invariant", objective, objective(**turned), objective(**inputs.batch))


def symmetric(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Exchanging the first two embeddings changes nothing."""
    first, second = objective.samples[:2]
    swapped = {**inputs.batch, first: inputs.batch[second], second: inputs.batch[first]}
    _same("symmetric", objective, objective(**swapped), objective(**inputs.batch))


def only_equality_of_labels_counts(objective: BatchObjective, inputs: BatchInputs) -> None:
    """Renaming the classes changes nothing."""
    renamed = {name: 1000 - 7 * t if name in objective.labels else t for name, t in inputs.batch.items()}
    _same("only_equality_of_labels_counts", objective, objective(**renamed), objective(**inputs.batch))


def _same(law: str, objective: BatchObjective, got: Tensor, expected: Tensor, relative: float = 1e-9) -> None:
    size = max(1.0, float(expected.detach().abs().max()))
    if got.shape != expected.shape or not float((got - expected).detach().abs().max()) <= relative * size:
        raise LawBroken(f"{law}: {objective.name} gives {got}, expected {expected}")
