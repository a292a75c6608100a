"""A batch objective as a module to minimise, over the rows of all processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from .errors import UsageError
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

    Values are not looked at, so that a step never waits for a GPU's values.
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
        problem: str | None = None
        tensors: dict[str, Tensor] = {}
        options: dict[str, Any] = {}
        try:
            given, options = self.objective.bind(batch, named)
            tensors = self.objective.check(given)
        except UsageError as error:
            if not several:
                raise
            problem = str(error)
        if several:
            agree(problem, tuple(tensors), self.group)
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


def agree(problem: str | None, names: tuple[str, ...], group: Any) -> None:
    """Every process learns of one process's bad input, which would otherwise leave the others waiting for its rows."""
    said: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(said, (problem, names), group=group)
    for rank, (other, _) in enumerate(said):
        if other is not None:
            raise UsageError(other if other == problem else f"rank {rank}: {other}")
    if len({given for _, given in said}) > 1:
        shown = "; ".join(f"rank {r}: {', '.join(given)}" for r, (_, given) in enumerate(said))
        raise UsageError(f"every process must give the same tensors; got {shown}")
