"""A batch objective as a module to minimise, over the rows of all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from .errors import UsageError
from .scale.agreement import told_by_all
from .scale.gather import several_processes

if TYPE_CHECKING:
    from .batch_objective import BatchObjective

Gradients = Literal["mean", "sum", "none"]


class BatchLoss(torch.nn.Module):
    """A batch objective over the rows of all processes; made by `BatchObjective.objective`.

    Every process gathers the batch and computes the same number (an objective may know a way without gathering). Each
    then holds the gradient of its own rows, scaled so that the processes' mean (or sum, as asked for) of the
    parameters' gradients is the one of the whole batch. Options with a gradient, a learnable temperature, have the
    whole gradient on every process alike.

    The rows' values are not looked at. A temperature that is a tensor is, once a step, for which a GPU is waited for.
    """

    def __init__(
        self, objective: BatchObjective, options: Mapping[str, Any], gradients: Gradients, group: Any
    ) -> None:
        super().__init__()
        self.objective = objective
        self.gradients = gradients
        self.group = group
        self._plain: dict[str, Any] = {}
        self._held: list[str] = []
        for name, value in options.items():
            if isinstance(value, Tensor) and not isinstance(value, torch.nn.Parameter):
                self.register_buffer(name, value)
            elif isinstance(value, (torch.nn.Module, torch.nn.Parameter)):
                setattr(self, name, value)
            else:
                self._plain[name] = value
                continue
            self._held.append(name)

    def forward(self, *batch: Any, **named: Any) -> Tensor:
        """The loss, a scalar, the same on every process.

        Args:
            batch: this process's embeddings (B, d) and labels (B,), in order; processes may hold different numbers of
                rows.
            named: the rest of the batch, and options of this step alone, by name. Such options are of the whole
                batch and the same on every process.

        Raises:
            UsageError: as the call, on every process alike.
        """
        several = self.gradients != "none" and several_processes(self.group)
        error: Exception | None = None
        tensors: dict[str, Tensor] = {}
        options: dict[str, Any] = {}
        try:
            given, options = self.objective.bind(batch, named)
            tensors = self.objective.check(given)
        except Exception as caught:
            if not several:
                raise
            error = caught
        if several:
            agree(error, tuple(tensors), self.group)
        options = {**self.current_options(), **options}
        if several:
            value = self.objective.of_all_processes(tensors, options, self.gradients, self.group)
        else:
            value = self.objective.of(tensors, options)
        return value if self.objective.best == "min" else -value

    def current_options(self) -> dict[str, Any]:
        """The options of this step: parameters and buffers as they are, modules called."""
        options = dict(self._plain)
        for name in self._held:
            held = getattr(self, name)
            options[name] = self._share(held() if isinstance(held, torch.nn.Module) else held)
        return options

    def _share(self, value: Any) -> Any:
        # every process has the whole gradient of an option; where the caller sums them, each hands on its share
        if not isinstance(value, Tensor) or not value.requires_grad or self.gradients != "sum":
            return value
        world = dist.get_world_size(self.group) if several_processes(self.group) else 1
        return value if world == 1 else value + (1 / world - 1) * (value - value.detach())

    def extra_repr(self) -> str:
        defaults = self.objective.options
        options = "".join(f", {n}={v!r}" for n, v in self._plain.items() if v is not defaults[n])
        return f"{self.objective.name}, gradients={self.gradients!r}{options}"


def agree(error: Exception | None, names: tuple[str, ...], group: Any) -> None:
    """All processes come here; where one brings an error, or other tensors than the rest, all raise."""
    given = told_by_all(error, names, group)
    if len(set(given)) > 1:
        shown = "; ".join(f"rank {r}: {', '.join(own)}" for r, own in enumerate(given))
        raise UsageError(f"every process must give the same tensors; got {shown}")
