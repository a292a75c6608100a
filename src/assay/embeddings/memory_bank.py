"""What if the batch's candidates are too few? The rows of past batches, held against the present one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..batch_loss import BatchLoss, agree
from ..batch_objective import BatchObjective
from ..errors import UsageError
from ..scale.gather import Gradients, gather, several_processes

REFERENCE = "reference_"


class MemoryBank(torch.nn.Module):
    r"""A batch objective whose candidates are the batch's rows and the last `size` rows of earlier batches.

    Anchors, and the mean over them, stay the batch's. Rows from the bank are candidates only: constants, without
    gradient, older than the network by up to size / B steps.

    ```python
    loss = MemoryBank(info_nce.objective(temperature=0.1), size=4096, width=128)
    for images in loader:
        loss(network(one(images)), network(other(images))).backward()
    ```

    How they come in depends on the objective:

    - One with options named ``reference_`` and a positional argument's name (``reference_b`` for ``b``) is given the
      bank's rows there. A step then visits B (B + size) pairs a direction.
    - Any other with ``reduction="none"`` is given the bank's rows at the end of the batch's, and the values of the
      batch's anchors are kept: the same value at the price of (B + size)^2 pairs. That is all an objective of your own
      needs.

    While training every call puts its rows into the bank after the value is found, in place of the oldest; in `eval()`
    the bank is used and left as it is.

    Args:
        loss: an objective, or its module with options of your choice: ``info_nce.objective(temperature=0.07)``. Its
            `gradients` and `group` hold here too. The objectives of your own are made by `assay.batch_objective`.
        size: how many rows are kept.
        width: the embeddings' number of features.
        keep: which of the objective's positional arguments are kept, by default all that can be used. ``("b",)`` keeps
            the keys alone (MoCo).

    Raises:
        UsageError: not a batch objective; one that can use no bank; a size or width that is no whole number of at
            least 1; `keep` that names none of its arguments.

    Complexity: size x width memory for each argument kept, as buffers, in the state dict; a copy of it during a step.
    Over processes the rows of all are gathered and every process keeps the same bank: a bank of `size` global rows.

    FAQ:
        *Whose embeddings should be kept?* Those of a slowly moving copy of the encoder, handed in as `b` (MoCo), where
        the bank is long against the speed of training; the present encoder's own, `supcon(z, labels)` (XBM,
        cross-batch memory), once it moves slowly: give it a few epochs, or a `reset()` when it does.
        *The same sample twice, in the batch and in the bank?* Is then its own negative, unless labels say otherwise.
        Keep `size` below the number of samples in an epoch.
        *Is the loss comparable to that without a bank?* No: more candidates, a larger value of `info_nce`.

    Reference: He et al. 2020 (a queue of keys), arXiv:1911.05722; Wang et al. 2020 (cross-batch memory),
    arXiv:1912.06798.
    """

    def __init__(
        self,
        loss: BatchLoss | BatchObjective,
        size: int,
        *,
        width: int,
        keep: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(loss, BatchObjective):
            loss = loss.objective()
        if not isinstance(loss, BatchLoss):
            raise UsageError(
                f"loss: expected a batch objective or its .objective(...), got {type(loss).__name__}; "
                "a function of your own becomes one by @batch_objective"
            )
        for name, value in (("size", size), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name}: expected a whole number of at least 1, got {value!r}")
        self.loss, self.size, self.width = loss, size, width
        objective = loss.objective
        told = tuple(name for name in objective.batch if REFERENCE + name in objective.options)
        self.joins = not told
        if self.joins and "reduction" not in objective.options:
            raise UsageError(
                f"{objective.name}: has neither an option {REFERENCE}{objective.batch[0]} nor reduction='none', so "
                "rows of a bank cannot be told from the batch's"
            )
        self.keep = _kept(objective, told or objective.batch, keep, self.joins)
        for name in self.keep:
            kept = (
                torch.zeros(size, width)
                if name in objective.samples
                else torch.zeros(size, dtype=torch.int64)
            )
            self.register_buffer(f"kept_{name}", kept)
        self._next = self._filled = 0
        self._given: tuple[str, ...] = ()

    def forward(self, *batch: Any, **named: Any) -> Tensor:
        """The loss of this batch held against itself and the bank, a scalar, the same on every process.

        Args:
            batch: this process's embeddings (B, d) and labels (B,), as the objective takes them.
            named: the rest of the batch, and options of this step alone, by name.

        Raises:
            UsageError: as the objective, on every process alike; another width than the bank's; arguments that the
                rows in the bank lack, or the other way round.
        """
        tensors, options = self._of_all(batch, named)
        held = self.held()
        if not held:
            value = self.loss.objective.of(tensors, options)
        elif self.joins:
            value = _joined(self.loss.objective, tensors, held, options)
        else:
            beside = {REFERENCE + name: rows for name, rows in held.items()}
            value = self.loss.objective.of(tensors, {**options, **beside})
        if self.training:
            self._put(tensors)
        return value if self.loss.objective.best == "min" else -value

    def held(self) -> dict[str, Tensor]:
        """The rows and labels in the bank, a copy, by the argument they were given as; empty before the first step."""
        if not self._filled:
            return {}
        return {name: self.get_buffer(f"kept_{name}")[: self._filled].clone() for name in self._given}

    def enqueue(self, *batch: Any) -> None:
        """Put a batch of all processes into the bank, in place of the oldest rows, without a loss."""
        self._put(self._of_all(batch, {})[0])

    def reset(self) -> None:
        """Forget every row."""
        self._next, self._filled, self._given = 0, 0, ()

    def __len__(self) -> int:
        """How many rows the bank holds."""
        return self._filled

    def get_extra_state(self) -> Tensor:
        """Where the next row goes, how many there are, and which arguments they came with."""
        return torch.tensor([self._next, self._filled, *(int(name in self._given) for name in self.keep)])

    def set_extra_state(self, state: Tensor) -> None:
        """As `get_extra_state` gave it."""
        self._next, self._filled, *given = (int(number) for number in state)
        self._given = tuple(name for name, is_given in zip(self.keep, given, strict=True) if is_given)

    def extra_repr(self) -> str:
        return (
            f"size={self.size}, width={self.width}, keep={self.keep}, "
            f"{'joined to the batch' if self.joins else 'as reference set'}"
        )

    def _of_all(
        self, batch: Sequence[Any], named: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """This step's batch of all processes, checked on all alike, and its options."""
        loss = self.loss
        several = loss.gradients != "none" and several_processes(loss.group)
        problem: Exception | None = None
        tensors: dict[str, Tensor] = {}
        options: dict[str, Any] = {}
        try:
            given, options = loss.objective.bind(batch, named)
            tensors = loss.objective.check(given)
            self._fits(tensors)
        except Exception as error:
            if not several:
                raise
            problem = error
        if several:
            agree(problem, tuple(tensors), loss.group)
            way: Gradients = "sum" if loss.gradients == "sum" else "mean"
            tensors = {name: gather(t, gradients=way, group=loss.group) for name, t in tensors.items()}
        return tensors, {**loss.current_options(), **options}

    def _fits(self, tensors: Mapping[str, Tensor]) -> None:
        given = tuple(name for name in self.keep if name in tensors)
        objective = self.loss.objective
        if not any(set(given) <= set(group) for group in objective.aligned):
            raise UsageError(
                f"{objective.name}: {', '.join(given)} are not rows of one batch, so a bank cannot keep them together"
            )
        for name in given:
            if name in objective.samples and tensors[name].shape[1] != self.width:
                raise UsageError(
                    f"{name} has {tensors[name].shape[1]} features and the bank {self.width}: "
                    "give the bank the embeddings' width"
                )
            place = self.get_buffer(f"kept_{name}").device
            if tensors[name].device != place:
                raise UsageError(
                    f"{name} is on {tensors[name].device} and the bank on {place}; move the bank with .to(device)"
                )
        if self._filled and given != self._given:
            raise UsageError(
                f"the bank holds {', '.join(self._given)} and this batch gives {', '.join(given)}: give every batch "
                "the same arguments, or reset() the bank"
            )

    @torch.no_grad()
    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        self._given = tuple(name for name in self.keep if name in tensors)
        rows = len(tensors[self._given[0]])
        fresh = min(rows, self.size)
        before_the_end = min(fresh, self.size - self._next)
        for name in self._given:
            kept, last = self.get_buffer(f"kept_{name}"), tensors[name][rows - fresh :].detach()
            kept[self._next : self._next + before_the_end] = last[:before_the_end].to(kept.dtype)
            kept[: fresh - before_the_end] = last[before_the_end:].to(kept.dtype)
        self._next = (self._next + fresh) % self.size
        self._filled = min(self.size, self._filled + fresh)


def _kept(
    objective: BatchObjective, usable: Sequence[str], keep: Sequence[str] | None, joins: bool
) -> tuple[str, ...]:
    """Which positional arguments the bank keeps, in the objective's order."""
    if keep is None:
        return tuple(usable)
    if isinstance(keep, str) or not keep or any(name not in usable for name in keep):
        raise UsageError(f"keep: expected some of {tuple(usable)!r}, got {keep!r}")
    if joins and len(set(keep)) < len(usable):
        raise UsageError(
            f"keep={tuple(keep)!r}: {objective.name} has no option {REFERENCE}{keep[0]}, so that the bank's rows are "
            "joined to the batch whole: leave keep out"
        )
    return tuple(name for name in usable if name in keep)


def _joined(
    objective: BatchObjective,
    tensors: Mapping[str, Tensor],
    held: Mapping[str, Tensor],
    options: Mapping[str, Any],
) -> Tensor:
    """The mean over the batch's own anchors, of a batch with the bank's rows at its end."""
    n = len(tensors[objective.batch[0]])
    whole = {}
    for name, rows in tensors.items():
        wide = torch.promote_types(rows.dtype, held[name].dtype)
        whole[name] = torch.cat((rows.to(wide), held[name].to(wide)))
    values = objective.of(whole, {**options, "reduction": "none"})[:n]
    if objective.anchors is None:
        return values.mean()
    return values.sum() / objective.anchors(**whole)[:n].sum().clamp_min(1)
