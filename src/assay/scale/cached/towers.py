"""Which encoder sees which rows, in how many chunks?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from ..tiles import spans
from .batch_dependence import refuse_batch_dependence
from .nested import replaced, tensors_of
from .reduction import averaged, largest_counts, sharded

Span = tuple[int, int]
Encoders = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]


@dataclass(frozen=True)
class Tower:
    """One encoder with the inputs it is to see."""

    name: str
    encoder: nn.Module
    inputs: Any
    rows: int
    averaged: tuple[nn.Module, ...] = ()
    sharded: tuple[nn.Module, ...] = ()

    @property
    def wrapped(self) -> tuple[nn.Module, ...]:
        """The parts whose gradients are put together with those of other processes as they come."""
        return (*self.averaged, *self.sharded)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are trained."""
        return [p for p in self.encoder.parameters() if p.requires_grad]

    @property
    def sources(self) -> list[Tensor]:
        """The inputs that ask for a gradient."""
        return [t for _, t in tensors_of(self.inputs) if t.requires_grad]

    def chunk(self, span: Span) -> tuple[Any, list[Tensor]]:
        """The inputs' rows, and those of them that ask for a gradient, cut from what they came from."""
        leaves: list[Tensor] = []

        def rows(x: Tensor) -> Tensor:
            part = x.detach()[slice(*span)]
            if x.requires_grad:
                leaves.append(part.requires_grad_())
            return part

        return replaced(self.inputs, rows), leaves


def encoders_of(encoder: Any) -> dict[str, nn.Module]:
    """Each module under the name that messages give it."""
    if isinstance(encoder, (Mapping, nn.ModuleDict)):
        found = {f"encoder[{key!r}]": module for key, module in encoder.items()}
    elif isinstance(encoder, (list, tuple, nn.ModuleList)):
        found = {f"encoder[{i}]": module for i, module in enumerate(encoder)}
    else:
        found = {"encoder": encoder}
    if not found:
        raise UsageError(
            "encoder: there is none in it; expected a module, or a list or dictionary of modules"
        )
    for name, module in found.items():
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"{name}: expected a torch.nn.Module, got {type(module).__name__}; its parameters, layers and devices "
                "must be known, so a function is wrapped in a module"
            )
        refuse_batch_dependence(module, name)
    return found


def towers_of(encoder: Any, inputs: Any, chunk_size: int, group: Any) -> tuple[list[Tower], list[int]]:
    """Encoders with their inputs, and how many passes each makes beyond its own chunks for other processes' sake."""
    check_chunk_size(chunk_size)
    encoders = encoders_of(encoder)
    problem: UsageError | None = None
    towers: list[Tower] = []
    try:
        given = _inputs(encoder, inputs)
        towers = [
            Tower(name, module, x, _rows(name, x), averaged(module), sharded(module))
            for (name, module), x in zip(encoders.items(), given, strict=True)
        ]
    except UsageError as error:
        problem = error
    counts = [len(spans(tower.rows, chunk_size)) for tower in towers] or [0] * len(encoders)
    most = max((tower.rows for tower in towers), default=0)
    shards = [part for module in encoders.values() for part in sharded(module)]
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    if shards and several:
        device = next((p.device for part in shards for p in part.parameters()), torch.device("cpu"))
        *largest, most = largest_counts([*counts, most], problem, device, group)
    else:
        largest = counts
        if problem is not None:
            raise problem
    # a process whose share is small must not stop alone, while the others wait for it
    if chunk_size > most and (shards or not several or torch.distributed.get_world_size() == 1):
        raise UsageError(
            f"chunk_size: {chunk_size} is above the batch of {most}; a last batch that is smaller is left out by "
            "drop_last=True in the loader, or takes min(chunk_size, rows)"
        )
    surplus = [
        high - own if sharded(module) else 0
        for high, own, module in zip(largest, counts, encoders.values(), strict=True)
    ]
    return towers, surplus


def _inputs(encoder: Any, inputs: Any) -> list[Any]:
    """One structure of inputs an encoder."""
    if isinstance(encoder, (Mapping, nn.ModuleDict)):
        if not isinstance(inputs, Mapping) or set(inputs) != set(encoder.keys()):
            got = f"keys {sorted(map(str, inputs))}" if isinstance(inputs, Mapping) else type(inputs).__name__
            raise UsageError(
                f"inputs: expected a dictionary with the encoders' keys {sorted(encoder.keys())}, got {got}"
            )
        return [inputs[key] for key in encoder.keys()]  # noqa: SIM118 (of a ModuleDict, too)
    if isinstance(encoder, (list, tuple, nn.ModuleList)):
        if not isinstance(inputs, (list, tuple)) or len(inputs) != len(encoder):
            got = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            raise UsageError(f"inputs: expected a list of {len(encoder)}, one an encoder, got {got}")
        return list(inputs)
    return [inputs]


def _rows(name: str, inputs: Any) -> int:
    """The number of samples that all tensors agree on."""
    name = name.replace("encoder", "inputs", 1)
    found = list(tensors_of(inputs))
    if not found:
        raise UsageError(
            f"{name}: expected a tensor, or a structure with tensors, got {type(inputs).__name__}"
        )
    for path, tensor in found:
        if tensor.ndim == 0:
            raise UsageError(
                f"{name}{path}: is a tensor without axes; expected one row a sample, or a plain number"
            )
    (path, reference), *others = found
    for other, tensor in others:
        if len(tensor) != len(reference):
            raise UsageError(
                f"{name}{other}: has {len(tensor)} rows and {name}{path} has {len(reference)}; all tensors of an "
                "encoder's inputs need one row a sample"
            )
    if len(reference) == 0:
        raise UsageError(f"{name}{path}: has no rows: shape {tuple(reference.shape)}")
    return len(reference)


def check_chunk_size(chunk_size: Any) -> None:
    """Refuse what is no whole number of at least 1."""
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise UsageError(f"chunk_size: expected a whole number of rows, at least 1, got {chunk_size!r}")
