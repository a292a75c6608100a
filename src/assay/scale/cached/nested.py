"""What tensors does a nested structure hold, and how does it look with others in their place?

Dictionaries, lists, tuples (named ones too) and dataclasses are gone through; everything else is a leaf.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from torch import Tensor


def tensors_of(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor, in order, with the way to it as it would be written after the structure's name."""
    if isinstance(value, Tensor):
        yield path, value
    for step, part in _parts(value):
        yield from tensors_of(part, path + step)


def replaced(value: Any, new: Callable[[Tensor], Any]) -> Any:
    """The same structure with `new(tensor)` for each tensor, asked for in the order of `tensors_of`."""
    if isinstance(value, Tensor):
        return new(value)
    if isinstance(value, MutableMapping):
        out = copy.copy(value)
        for key, part in value.items():
            out[key] = replaced(part, new)
        return out
    if isinstance(value, Mapping):
        return {key: replaced(part, new) for key, part in value.items()}
    if isinstance(value, list):
        return [replaced(part, new) for part in value]
    if isinstance(value, tuple):
        parts = [replaced(part, new) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if _is_record(value):
        out = copy.copy(value)
        for field in dataclasses.fields(value):
            object.__setattr__(out, field.name, replaced(getattr(value, field.name), new))
        return out
    return value


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", part) for i, part in enumerate(value)]
    if _is_record(value):
        return [(f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value)]
    return []


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
