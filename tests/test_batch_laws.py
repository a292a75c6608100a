"""Every law of every batch objective; and that each law catches the objective it is there to catch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import assay
from assay import batch_laws
from assay.batch_law_inputs import draw_batch_inputs
from assay.batch_laws import BATCH_LAWS, laws_of_batches
from assay.batch_objective import BatchObjective, batch_objective
from assay.law_inputs import LawBroken

ROOMS = [importlib.import_module(f"assay.{room}") for room in ("embeddings", "images", "sets")]
OBJECTIVES = [value for room in ROOMS for value in vars(room).values() if isinstance(value, BatchObjective)]
NAMED = {objective.name: objective for objective in OBJECTIVES}


def variants() -> list[BatchObjective]:
    """Other options, each of which takes another path."""
    nce, supcon = NAMED["info_nce"], NAMED["supcon"]
    return [
        nce.with_options(negatives="both"),
        nce.with_options(negatives="both", temperature=0.01),
        nce.with_options(temperature=0.01, normalise=False),
        nce.with_options(weights=equal_class, temperature=0.5),
        supcon.with_options(temperature=0.01),
        supcon.with_options(normalise=False, temperature=2.0),
        NAMED["alignment"].with_options(alpha=1.0),
        NAMED["uniformity"].with_options(t=50.0),
    ]


def equal_class(anchors: Tensor, others: Tensor) -> Tensor:
    """The same for any order of the samples."""
    return torch.full((len(anchors), len(others)), 0.5)


VARIANTS = [*OBJECTIVES, *variants()]
CASES = [
    pytest.param(o, law, optional, id=f"{o.name}-{k}-{law.__name__}{'-all' if optional else ''}")
    for k, o in enumerate(VARIANTS)
    for law in laws_of_batches(o)
    for optional in ((False, True) if o.optional else (False,))
]


@pytest.mark.parametrize(("objective", "law", "optional"), CASES)
def test_law(objective: BatchObjective, law: Callable[..., None], optional: bool) -> None:
    @settings(max_examples=3)
    @given(
        n=st.integers(8, 20),
        d=st.sampled_from([3, 5, 12]),
        classes=st.sampled_from([2, 6]),
        seed=st.integers(0, 2**16),
    )
    def check(n: int, d: int, classes: int, seed: int) -> None:
        law(objective, draw_batch_inputs(objective, n=n, d=d, classes=classes, seed=seed, optional=optional))

    check()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.name)
def test_what_an_objective_says_of_itself(objective: BatchObjective) -> None:
    for name, reason in objective.exceptions.items():
        assert name in {law.__name__ for law in BATCH_LAWS}
        assert len(reason.split()) >= 4, f"{name}: {reason!r} is no reason"
    text = objective.__doc__
    assert text and "Args:" in text and "Returns:" in text and "Raises:" in text and "$$" in text
    assert "Complexity:" in text and "arXiv" in objective.reference


def test_every_room_is_here() -> None:
    assert set(NAMED) >= {"info_nce", "supcon", "alignment", "uniformity", "tolerance"}


# -- broken objectives, each with the law that must catch it ---------------------------------------------------------


def decoy(**promised: Any) -> Callable[[Callable[..., Tensor]], BatchObjective]:
    return batch_objective(**{"best": "min", "reference": "decoy", "samples": ("a", "b"), **promised})


@decoy()
def looks_at_the_first(a: Tensor, b: Tensor) -> Tensor:
    return (a[0] * b[0]).sum()


@decoy()
def not_finite(a: Tensor, b: Tensor) -> Tensor:
    return (a - a).norm() / (b - b).norm()


@decoy()
def sums_instead(a: Tensor, b: Tensor, *, reduction: str = "mean") -> Tensor:
    values = (a * b).sum(1)
    return values.sum() if reduction == "mean" else values


@decoy(anchors=lambda a, b: a[:, 0] > 0)
def values_of_no_anchors(a: Tensor, b: Tensor, *, reduction: str = "mean") -> Tensor:
    values = (a * b).sum(1)
    return values[a[:, 0] > 0].mean() if reduction == "mean" else values


@decoy()
def narrow(a: Tensor, b: Tensor) -> Tensor:
    dtype = torch.bfloat16 if a.dtype == torch.float32 else torch.float64
    return (a.to(dtype) * b.to(dtype)).sum(1).mean().to(a.dtype)


@decoy()
def steep_at_zero(a: Tensor, b: Tensor) -> Tensor:
    """Below half precision's smallest number the slope of a root is infinite."""
    return ((a * 0).square().sum() + (b * 0).square().sum()).sqrt() + (a * b).mean()


@decoy(upper=0.0)
def out_of_bounds(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean()


@decoy()
def hides_a_part(a: Tensor, b: Tensor) -> Tensor:
    return (a * b.detach()).sum(1).mean()


@decoy()
def hides_it_an_anchor(a: Tensor, b: Tensor, *, reduction: str = "mean") -> Tensor:
    values = (a * b).sum(1)
    return values.mean() if reduction == "mean" else values + (a * b).sum(1).detach()


class _SquareOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * slope


@decoy()
def straight_to_its_gradient(a: Tensor, b: Tensor) -> Tensor:
    """Its gradient by a is taken for a constant."""
    square: Tensor = _SquareOnce.apply(a)
    return square.mean() + b.mean()


@decoy(laws=[batch_laws.symmetric])
def lopsided(a: Tensor, b: Tensor) -> Tensor:
    return (a.square() - b).mean()


@decoy(laws=[batch_laws.rotation_invariant])
def by_axes(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean()


@decoy(laws=[batch_laws.ignores_length])
def by_length(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1).mean()


@batch_objective(
    best="min",
    reference="decoy",
    samples=("a",),
    labels=("y",),
    laws=[batch_laws.only_equality_of_labels_counts],
)
def orders_classes(a: Tensor, y: Tensor) -> Tensor:
    return (a.sum(1) * y).mean()


DECOYS: list[tuple[BatchObjective, str]] = [
    (not_finite, "is_a_scalar"),
    (looks_at_the_first, "order_is_irrelevant"),
    (sums_instead, "mean_is_of_the_anchors"),
    (values_of_no_anchors, "mean_is_of_the_anchors"),
    (narrow, "float32_agrees"),
    (steep_at_zero, "half_precision_works"),
    (out_of_bounds, "stays_within_bounds"),
    (hides_a_part, "gradient_is_right"),
    (hides_it_an_anchor, "gradient_is_right"),
    (straight_to_its_gradient, "second_derivative_is_right_or_refused"),
    (lopsided, "symmetric"),
    (by_axes, "rotation_invariant"),
    (by_length, "ignores_length"),
    (orders_classes, "only_equality_of_labels_counts"),
]


@pytest.mark.parametrize(("broken", "name"), DECOYS, ids=lambda v: v if isinstance(v, str) else v.name)
def test_a_broken_objective_is_caught_by_its_law(broken: BatchObjective, name: str) -> None:
    (law,) = [law for law in laws_of_batches(broken) if law.__name__ == name]
    with pytest.raises(LawBroken, match=name):
        law(broken, draw_batch_inputs(broken, n=9, d=4, classes=3, seed=1))


def test_an_exception_must_name_a_law() -> None:
    @decoy(exceptions={"no_such_law": "because it does not exist"})
    def excused(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).mean()

    with pytest.raises(assay.UsageError, match="no_such_law"):
        laws_of_batches(excused)
