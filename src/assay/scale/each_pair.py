"""A function of single pairs over a batch of them, with the memory of a few pairs, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .first_derivative import differentiable_again

# of one member: on a processor what stays in its cache, on a device what keeps it busy
CHUNK_BYTES = {"cpu": 1 << 20}
DEVICE_CHUNK_BYTES = 64 << 20


def each_pair(function: Callable[..., Tensor], *members: Tensor) -> Tensor:
    """function(*members), (B,), a few pairs at a time; entry i must depend on pair i alone.

    A pair's gradient is known as soon as its value is, up to the factor that comes from behind: it is computed in the
    forward pass, while the pair's intermediates are at hand, and nothing but the gradient itself is kept. A gradient
    that is to be differentiated again is computed anew, of all pairs at once.

    Args:
        function: (b, ...) tensors -> (b,) values, differentiable; it must not depend on other tensors with gradient.
        members: (B, ...) floating-point tensors.

    Complexity: the function's own time; memory of one chunk's graph and of the members' gradients.
    """
    size = at_once(members[0])
    if torch.compiler.is_compiling() or size >= len(members[0]):
        return function(*members)
    if torch.is_grad_enabled() and any(m.requires_grad for m in members):
        return _EachPair.apply(function, size, *members)  # type: ignore[no-untyped-call,no-any-return]
    return torch.cat([function(*(m[k : k + size] for m in members)) for k in range(0, len(members[0]), size)])


def at_once(entries: Tensor) -> int:
    """How many of the entries (B, ...) to work on at once, at least one."""
    limit = CHUNK_BYTES.get(entries.device.type, DEVICE_CHUNK_BYTES)
    return max(1, limit // max(1, entries[0].numel() * entries.element_size()))


class _EachPair(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], size: int, *members: Tensor) -> Tensor:
        wanted = [k for k, needed in enumerate(ctx.needs_input_grad[2:]) if needed]
        slopes = [torch.empty_like(members[k]) for k in wanted]
        values = []
        for start in range(0, len(members[0]), size):
            rows = slice(start, start + size)
            parts = [m[rows].detach().requires_grad_(k in wanted) for k, m in enumerate(members)]
            with torch.enable_grad():
                value = function(*parts)
                found = torch.autograd.grad(value.sum(), [parts[k] for k in wanted], allow_unused=True)
            for slope, part in zip(slopes, found, strict=True):
                slope[rows] = 0.0 if part is None else part
            values.append(value.detach())
        # the members too, of which a second derivative takes the function again
        ctx.save_for_backward(*members, *slopes)
        ctx.function, ctx.wanted, ctx.count = function, wanted, len(members)
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: a checkpoint hands them out no second time
        members = saved[: ctx.count]
        if torch.is_grad_enabled():
            wanted = [k in ctx.wanted for k in range(ctx.count)]
            return None, None, *differentiable_again(ctx.function, members, wanted, slope)
        out: list[Tensor | None] = [None] * ctx.count
        for k, own in zip(ctx.wanted, saved[ctx.count :], strict=True):
            out[k] = own * slope.reshape(-1, *[1] * (own.ndim - 1))
        return None, None, *out
