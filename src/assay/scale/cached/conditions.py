"""What does a forward pass depend on beside its inputs and parameters? The random state, and autocast.

Both are recorded around one pass and put in force again for another, so that the second computes the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

RandomState = dict[torch.device, Tensor]

_CPU = torch.device("cpu")


def devices_of(tensors: Iterable[Tensor]) -> list[torch.device]:
    """The devices whose random numbers a pass over these tensors may draw: theirs, and always the CPU's."""
    found = {tensor.device for tensor in tensors if tensor.device.type != "meta"}
    return [_CPU, *sorted(found - {_CPU}, key=str)]


def random_state(devices: Iterable[torch.device], before: RandomState | None = None) -> RandomState:
    """The state of every device's generator; what is as it was `before` is not held twice."""
    state = {}
    for device in devices:
        now = _read(device)
        then = None if before is None else before[device]
        state[device] = now if then is None or not torch.equal(now, then) else then
    return state


def restore(state: RandomState) -> None:
    """Put the generators back."""
    for device, value in state.items():
        if device.type == "cpu":
            torch.set_rng_state(value)
        elif device.type == "mps":
            torch.mps.set_rng_state(value)
        else:
            torch.get_device_module(device).set_rng_state(value, device)


def _read(device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.get_rng_state()
    if device.type == "mps":
        return torch.mps.get_rng_state()
    state: Tensor = torch.get_device_module(device).get_rng_state(device)
    return state


@dataclass(frozen=True)
class Autocast:
    """Which kinds of devices compute in which lower precision."""

    kinds: tuple[tuple[str, bool, torch.dtype], ...]
    caches_weights: bool

    @classmethod
    def now(cls, devices: Iterable[torch.device]) -> Autocast:
        """What is in force here."""
        kinds = sorted({device.type for device in devices if torch.amp.is_autocast_available(device.type)})
        states = ((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds)
        return cls(tuple(states), torch.is_autocast_cache_enabled())

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Within the block, precisions are as they were; also in another thread, where backward passes run."""
        with contextlib.ExitStack() as stack:
            for kind, enabled, dtype in self.kinds:
                stack.enter_context(
                    torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=self.caches_weights)
                )
            yield
