"""The two passes of a cached backward: features in chunks without a graph, then each chunk again with its slope."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import UsageError
from .autograd_graph import leaves_behind
from .batch_dependence import Versions, changed, refuse_changed_buffers, versions
from .chunk_features import ChunkFeatures
from .conditions import Autocast, RandomState, devices_of, random_state, restore
from .nested import tensors_of
from .reduction import last_uses, reduced_if
from .towers import Span, Tower


@dataclass(frozen=True)
class Step:
    """One chunk through one encoder; not `real` where it only keeps the other processes company."""

    tower: int
    span: Span
    state: RandomState
    real: bool = True


@dataclass(frozen=True)
class Record:
    """All that the second pass needs of the first."""

    towers: tuple[Tower, ...]
    steps: tuple[Step, ...]
    devices: tuple[torch.device, ...]
    autocast: Autocast
    inputs: Versions
    parameters: Versions
    buffers: dict[nn.Module, Versions]
    seen_twice: frozenset[nn.Module]
    defer: bool


def first_pass(
    towers: Sequence[Tower], spans: Sequence[Sequence[Span]], surplus: Sequence[int], defer: bool
) -> tuple[list[Any], Record]:
    """Each tower's features, in the structure that its encoder gives, without a graph.

    Args:
        towers: encoders with inputs.
        spans: the chunks of each.
        surplus: how many passes more each makes, of one row, whose result is dropped.
        defer: kept for the second pass.
    """
    devices = devices_of(t for tower in towers for t in _all_tensors(tower))
    features: list[Any] = []
    steps: list[Step] = []
    buffers: dict[nn.Module, Versions] = {}
    twice: set[nn.Module] = set()
    state: RandomState | None = None
    with torch.no_grad():
        for number, (tower, parts, more) in enumerate(zip(towers, spans, surplus, strict=True)):
            gathered = ChunkFeatures(tower.name, tower.rows)
            for span in parts:
                state = random_state(devices, state)
                steps.append(Step(number, span, state))
                gathered.add(span, tower.encoder(tower.chunk(span)[0]))
                _same_encoder(tower, buffers, twice)
            features.append(gathered.structure)
            after = random_state(devices, state)
            for _ in range(more):
                steps.append(Step(number, (0, 1), after, real=False))
                tower.encoder(tower.chunk((0, 1))[0])
            restore(after)
    autocast = Autocast.now(devices)
    if any(enabled for _, enabled, _ in autocast.kinds):
        # weights that were cast without a graph would be taken for those of the second pass
        torch.clear_autocast_cache()
    record = Record(
        tuple(towers),
        tuple(steps),
        tuple(devices),
        autocast,
        versions(_inputs_of(towers)),
        versions(_parameters_of(towers)),
        buffers,
        frozenset(twice),
        defer,
    )
    return features, record


def second_pass(
    record: Record, slopes: Sequence[Sequence[Tensor | None]], wanted: Sequence[Tensor]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Every chunk again, with a graph, and backward through it.

    Args:
        record: of the first pass.
        slopes: the loss's derivative by every tensor of every tower's features.
        wanted: parameters whose gradient is returned; those of wrapped encoders are accumulated in `.grad`.

    Returns:
        The gradients of `wanted`, and of every tower's inputs that ask for one, tower by tower.
    """
    _unchanged(record)
    sums = _Sums(len(wanted))
    sources = [tower.sources for tower in record.towers]
    first = [sum(len(s) for s in sources[:i]) for i in range(len(sources))]
    by_source: list[Tensor | None] = [None] * sum(len(s) for s in sources)
    buffers, twice = dict(record.buffers), set(record.seen_twice)
    steps = [s for s in record.steps if any(slope is not None for slope in slopes[s.tower])]
    last = last_uses([record.towers[s.tower].wrapped for s in steps])
    looked_at: set[int] = set()
    with _random_numbers_kept(record.devices), _hooks_left_out(wanted), torch.enable_grad():
        for step, final in zip(steps, last, strict=True):
            tower = record.towers[step.tower]
            restore(step.state)
            inputs, leaves = tower.chunk(step.span)
            with reduced_if(final, tower.averaged, tower.sharded if record.defer else ()):
                with record.autocast.in_force():
                    output = [t for _, t in tensors_of(tower.encoder(inputs))]
                _same_encoder(tower, buffers, twice)
                ends, cotangents = _ends(tower, step, output, slopes[step.tower])
                if tower.wrapped:
                    torch.autograd.backward(ends, cotangents)
                    by_leaf = [leaf.grad for leaf in leaves]
                else:
                    if step.tower not in looked_at:
                        looked_at.add(step.tower)
                        _no_strangers(tower, ends, [*wanted, *leaves])
                    gradients = torch.autograd.grad(ends, [*wanted, *leaves], cotangents, allow_unused=True)
                    sums.add(gradients[: len(wanted)])
                    by_leaf = list(gradients[len(wanted) :])
            del output, ends, cotangents
            if not step.real:
                continue
            for i, (source, gradient) in enumerate(zip(sources[step.tower], by_leaf, strict=True)):
                if gradient is not None:
                    whole = by_source[first[step.tower] + i]
                    if whole is None:
                        whole = by_source[first[step.tower] + i] = torch.zeros_like(source)
                    whole[slice(*step.span)] = gradient
    return sums.values, by_source


class _Sums:
    """Sums of gradients; the first summand is autograd's, which may give one tensor to two parameters."""

    def __init__(self, count: int) -> None:
        self.values: list[Tensor | None] = [None] * count
        self._own = [False] * count

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        for i, gradient in enumerate(gradients):
            value = self.values[i]
            if gradient is None:
                continue
            if value is None:
                self.values[i] = gradient
            elif self._own[i]:
                value += gradient
            else:
                self.values[i], self._own[i] = value + gradient, True


def _ends(
    tower: Tower, step: Step, output: list[Tensor], slopes: Sequence[Tensor | None]
) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs that a slope arrives at, and the slopes of this chunk's rows."""
    ends, cotangents = [], []
    for tensor, slope in zip(output, slopes, strict=True):
        if slope is None or not tensor.requires_grad:
            continue
        part = slope[slice(*step.span)] if step.real else torch.zeros_like(tensor)
        if part.shape != tensor.shape:
            raise UsageError(
                f"{tower.name}: gave {tuple(tensor.shape)} in the second pass over a chunk and {tuple(part.shape)} in "
                "the first; it must compute the same twice"
            )
        ends.append(tensor)
        cotangents.append(part)
    if not ends:
        raise UsageError(
            f"{tower.name}: its output carries no gradient, though its parameters or inputs ask for one; it detaches "
            "them, or keeps a result of the first pass (a cache of weights or of outputs)"
        )
    return ends, cotangents


def _no_strangers(tower: Tower, ends: Sequence[Tensor], known: Sequence[Tensor]) -> None:
    """Refuse an encoder that trains what is neither a parameter nor an input: it would get no gradient."""
    ours = {id(t) for t in known}
    for leaf in leaves_behind(ends):
        if id(leaf) not in ours:
            raise UsageError(
                f"{tower.name}: uses a tensor of shape {tuple(leaf.shape)} that asks for a gradient and is neither one "
                "of its parameters nor among the inputs, so its gradient would be lost. Make it an nn.Parameter of "
                "the encoder, pass it in the inputs (one row a sample), or use it in the loss"
            )


def _same_encoder(tower: Tower, buffers: dict[nn.Module, Versions], twice: set[nn.Module]) -> None:
    """After a forward pass: is the encoder what it was after the one before?

    The first is left out: what a module prepares once is in place then, and wrappers have synchronised the processes.
    """
    encoder = tower.encoder
    if encoder in twice:
        return
    if encoder in buffers:
        refuse_changed_buffers(buffers[encoder], encoder, tower.name)
        twice.add(encoder)
    else:
        buffers[encoder] = versions(dict(encoder.named_buffers()))


def _unchanged(record: Record) -> None:
    name = changed(record.inputs, _inputs_of(record.towers))
    if name is not None:
        raise UsageError(
            f"{name}: was written to after the loss was computed and before its backward pass, which reads it again; "
            "call backward before the inputs' memory is reused"
        )
    name = changed(record.parameters, _parameters_of(record.towers))
    if name is not None:
        raise UsageError(
            f"{name}: was changed after the loss was computed and before its backward pass, which computes the "
            "features again; call backward before optimizer.step()"
        )


def _inputs_of(towers: Sequence[Tower]) -> dict[str, Tensor]:
    return {
        f"{tower.name.replace('encoder', 'inputs', 1)}{path}": t
        for tower in towers
        for path, t in tensors_of(tower.inputs)
    }


def _parameters_of(towers: Sequence[Tower]) -> dict[str, Tensor]:
    # sharded parameters are other tensors while they are gathered
    return {
        f"{tower.name}.{path}": p
        for tower in towers
        if not tower.sharded
        for path, p in tower.encoder.named_parameters()
    }


def _all_tensors(tower: Tower) -> Iterator[Tensor]:
    yield from tower.encoder.parameters()
    yield from tower.encoder.buffers()
    yield from (t for _, t in tensors_of(tower.inputs))


@contextlib.contextmanager
def _random_numbers_kept(devices: Sequence[torch.device]) -> Iterator[None]:
    state = random_state(devices)
    try:
        yield
    finally:
        restore(state)


@contextlib.contextmanager
def _hooks_left_out(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Within the block a parameter's own hooks are not called: they belong to the whole gradient, not to a chunk's."""
    hooked = [(p, p._backward_hooks) for p in parameters if p._backward_hooks]
    for p, _ in hooked:
        p._backward_hooks = None
    try:
        yield
    finally:
        for p, hooks in hooked:
            p._backward_hooks = hooks
