"""What does a tensor's graph lead to?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


def nodes_behind(tensors: Iterable[Tensor]) -> Iterator[Any]:
    """Every node of the graph that the tensors are the ends of, each once."""
    waiting: list[Any] = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        for following, _ in getattr(node, "next_functions", ()):
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)


def leaves_behind(tensors: Iterable[Tensor]) -> Iterator[Tensor]:
    """The tensors that a backward pass would accumulate a gradient in."""
    for node in nodes_behind(tensors):
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
