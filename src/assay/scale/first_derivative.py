"""Gradients that are differentiated again where they can be, and say so where they cannot.

PyTorch's `once_differentiable` says so only where the cotangent has a graph of its own; behind a plain sum a second
derivative would be taken for zero without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from .precision import full_precision

Backward = Callable[..., Any]


def first_derivative_only(what: str) -> Callable[[Backward], Backward]:
    """Of the `backward` of a `torch.autograd.Function`: what it returns refuses to be differentiated again.

    The inputs that have a gradient must be among the saved tensors: a graph that does not lead to them is not walked.

    Args:
        what: the function that has no second derivative, for the message.
    """

    def decorate(backward: Backward) -> Backward:
        @wraps(backward)
        def once(ctx: Any, *slopes: Any) -> Any:
            if torch.compiler.is_compiling() or not torch.is_grad_enabled():
                return backward(ctx, *slopes)
            unpacked = _Unpacked(ctx)
            with torch.no_grad():
                found = backward(unpacked, *slopes)
            known = (t for t in (*unpacked.saved_tensors, *slopes) if isinstance(t, Tensor))
            sources = [t for t in known if t.requires_grad]
            if not sources:
                return found
            if isinstance(found, Tensor):
                return _Once.apply(what, found, *sources)  # type: ignore[no-untyped-call]
            return tuple(None if g is None else _Once.apply(what, g, *sources) for g in found)  # type: ignore[no-untyped-call]

        return once

    return decorate


class _Unpacked:
    """A context whose saved tensors may be asked for twice, which a checkpoint hands out once."""

    def __init__(self, ctx: Any) -> None:
        self._ctx, self.saved_tensors = ctx, ctx.saved_tensors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


def differentiable_again(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], wanted: Sequence[bool], slope: Tensor
) -> tuple[Tensor | None, ...]:
    """The gradient of function(*inputs) from plain operations: what a hand-written one is where it gets a graph.

    Args:
        function: what the hand-written gradient belongs to, in operations that PyTorch can differentiate twice.
        inputs: as they were saved, with the graphs they have.
        wanted: for each input, whether its gradient is asked for; None comes for the others.
        slope: the cotangent, of the function's shape.

    Complexity: the function's own graph, which is kept as long as the gradient is.
    """
    with full_precision(slope.device):  # a backward pass may be called from within autocast
        # leaves of this gradient: a member that is both inputs has one gradient for each
        own = [z.view_as(z) if w else z for z, w in zip(inputs, wanted, strict=True)]
        leaves = [z for z, w in zip(own, wanted, strict=True) if w]
        found = torch.autograd.grad(function(*own), leaves, slope, create_graph=True, allow_unused=True)
    each = iter(found)
    return tuple(next(each) if w else None for w in wanted)


def differentiable_once(value: Tensor, what: str) -> Tensor:
    """The value, whose gradient is right and whose second derivative is not: asked for it, it refuses.

    Args:
        value: a scalar with a graph.
        what: the function that has no second derivative, for the message.
    """
    return _DifferentiableOnce.apply(value, what)  # type: ignore[no-untyped-call,no-any-return]


class _DifferentiableOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, what: str) -> Tensor:
        ctx.save_for_backward(value)
        ctx.what = what
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return slope, None
        return _Once.apply(ctx.what, slope, *ctx.saved_tensors), None  # type: ignore[no-untyped-call]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, what: str, gradient: Tensor, *_sources: Tensor) -> Tensor:
        ctx.what = what
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, _slope: Tensor) -> tuple[None, ...]:
        raise UsageError(
            f"{ctx.what} has no second derivative: leave it out of gradient penalties and Hessians, or take its "
            "first gradient without create_graph=True"
        )
