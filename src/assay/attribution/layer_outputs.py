"""What does a layer inside a network give, and nothing left behind on the network?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError

Change = Callable[
    [Any], Any
]  # what the layer gave -> what the network goes on with; None to go on with the same


def layer_named(model: nn.Module, layer: nn.Module | str) -> nn.Module:
    """The part of a model that a dotted name or the part itself means.

    Raises:
        UsageError: no such part, or a module that is no part of the model.
    """
    parts = dict(model.named_modules())
    if isinstance(layer, str):
        if layer not in parts:
            shown = ", ".join([name for name in parts if name][-5:])
            raise UsageError(f"layer: the model has no part {layer!r}; its last ones are {shown}")
        part: nn.Module = parts[layer]
        return part
    if not isinstance(layer, nn.Module) or not any(layer is part for part in parts.values()):
        raise UsageError(
            f"layer: expected a part of the model or its dotted name, got {type(layer).__name__} that is not in it"
        )
    return layer


@contextlib.contextmanager
def changed_output(layer: nn.Module, change: Change) -> Iterator[None]:
    """Within the block, `change` is called with what the layer gives; the hook is gone after it, whatever happens."""

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return change(output)

    with layer.register_forward_hook(hook):
        yield


@contextlib.contextmanager
def ordinary_gradients() -> Iterator[None]:
    """Within the block a gradient can be asked for, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def part_in_gradients(value: Tensor) -> Tensor:
    """The tensor, or a copy of it where it was made in inference mode and could take no part in a gradient."""
    return value.detach().clone() if value.is_inference() else value.detach()
