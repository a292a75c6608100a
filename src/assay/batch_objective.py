"""`@batch_objective`: one plain function of a batch's embeddings becomes a checked function and a training module."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from .batch_arguments import as_labels, as_rows, of_one_batch
from .batch_loss import BatchLoss, Gradients
from .declaration import found_again, options_of, positional_of, refuse_unknown, shown_as
from .errors import UsageError
from .scale.gather import gather
from .scale.precision import full_precision

BatchLaw = Callable[..., None]

# keywords of `objective`, which no option may shadow
RESERVED = frozenset(("gradients", "group"))


def batch_objective(
    *,
    best: Literal["min", "max"],
    reference: str,
    samples: Sequence[str],
    labels: Sequence[str] = (),
    aligned: Sequence[Sequence[str]] | None = None,
    widths: Sequence[Sequence[str]] | None = None,
    anchors: Callable[..., Tensor] | None = None,
    over_processes: Callable[..., Tensor] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    laws: Sequence[BatchLaw] = (),
    exceptions: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[..., Tensor]], BatchObjective]:
    """Make a batch objective of a plain function of a batch's embeddings and labels.

    The function's positional parameters are the batch: embeddings (B, d) and labels (B,), those with the default None
    optional. Its keyword-only parameters are the options. It returns a scalar; where it has an option `reduction`,
    "mean" is that scalar and "none" one value an anchor, (B,). It is pure: what processes have to say to one another
    is said by `.objective()`.

    Args:
        best: which direction is better.
        reference: where the definition is published.
        samples: positional parameters that are embeddings (B, d), with gradient, all of one width.
        labels: positional parameters that are whole numbers (B,).
        aligned: groups of positional parameters whose rows belong together; all of them unless given.
        widths: groups of samples that have one width; all of them unless given.
        anchors: of the same positional tensors, the mask (B,) of the rows that the mean is over; every row if None.
        over_processes: a way to the value of all processes' rows that does not gather them: this process's positional
            tensors, every option but `reduction`, `gradients` ("mean" or "sum") and `group` -> the scalar, the same
            on every process, with gradients as `assay.scale.gather` leaves them.
        lower, upper: bounds of the value, None where there is none.
        laws: laws of `assay.batch_laws` that hold beside those every batch objective keeps.
        exceptions: laws every batch objective keeps that this one does not, by name, each with its reason.

    Raises:
        UsageError: at the definition, where a positional parameter is neither samples nor labels, or an option has no
            default.
    """

    def decorate(function: Callable[..., Tensor]) -> BatchObjective:
        batch = positional_of(function)
        names = tuple(p.name for p in batch)
        options = options_of(function, RESERVED)
        if set(names) != {*samples, *labels} or not names or names[0] not in samples:
            raise UsageError(
                f"{function.__name__}: its positional parameters ({', '.join(names) or 'none'}) must be its samples "
                f"and labels ({', '.join((*samples, *labels))}), samples first"
            )
        for what, groups in (("aligned", aligned), ("widths", widths)):
            for name in [name for group in groups or () for name in group]:
                if name not in names:
                    raise UsageError(f"{function.__name__}: {what}: {name!r} is no positional parameter")
        return BatchObjective(
            name=function.__name__,
            function=function,
            batch=names,
            optional=tuple(p.name for p in batch if p.default is not inspect.Parameter.empty),
            samples=tuple(samples),
            labels=tuple(labels),
            aligned=(names,) if aligned is None else tuple(tuple(group) for group in aligned),
            widths=(tuple(samples),) if widths is None else tuple(tuple(group) for group in widths),
            options=MappingProxyType(options),
            best=best,
            lower=lower,
            upper=upper,
            laws=tuple(laws),
            reference=reference,
            anchors=anchors,
            over_processes=over_processes,
            exceptions=MappingProxyType(dict(exceptions)),
        )

    return decorate


@dataclass(frozen=True, eq=False)
class BatchObjective:
    """A value of a batch that depends on how its rows relate; made by `batch_objective`.

    Call it with the batch's embeddings and labels::

        info_nce(a, b, temperature=0.1)      # a scalar, differentiable

    Half precision is worked in float32, autocast is off inside; the value has the embeddings' precision, float32 for
    narrower ones. It never communicates: `.objective()` is the module for training, on one process or many.
    """

    name: str
    function: Callable[..., Tensor] = field(repr=False)
    batch: tuple[str, ...]
    optional: tuple[str, ...]
    samples: tuple[str, ...]
    labels: tuple[str, ...]
    aligned: tuple[tuple[str, ...], ...] = field(repr=False)
    widths: tuple[tuple[str, ...], ...] = field(repr=False)
    options: Mapping[str, Any]
    best: Literal["min", "max"]
    lower: float | None
    upper: float | None
    laws: tuple[BatchLaw, ...] = field(repr=False)
    reference: str = field(repr=False)
    anchors: Callable[..., Tensor] | None = field(repr=False)
    over_processes: Callable[..., Tensor] | None = field(repr=False)
    exceptions: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        shown_as(self, self.function)

    def __call__(self, *batch: Any, **keywords: Any) -> Tensor:
        """The value, a scalar; with `reduction="none"`, where there is that option, one value an anchor, (B,).

        Args:
            batch: embeddings (B, d) and labels (B,), in order.
            keywords: the rest of the batch, and options, by name.

        Raises:
            UsageError: a wrong number, shape, width or dtype of tensors, or an unknown option.
        """
        given, options = self.bind(batch, keywords)
        return self.of(self.check(given), options)

    def of(self, tensors: Mapping[str, Tensor], options: Mapping[str, Any]) -> Tensor:
        """The value of a batch that has been checked."""
        options = {**self.options, **options}
        reduction = options.get("reduction", "mean")
        if reduction not in ("mean", "none"):
            raise UsageError(f'{self.name}: reduction: expected "mean" or "none", got {reduction!r}')
        ready, wide = self._ready(tensors)
        with full_precision(tensors[self.batch[0]].device):
            value = self.function(**ready, **options)
        expected = () if reduction == "mean" else tensors[self.batch[0]].shape[:1]
        if value.shape != expected:
            raise UsageError(
                f"{self.name}: its function must return the shape {tuple(expected)} with "
                f"reduction={reduction!r}, not {tuple(value.shape)}"
            )
        return value.to(wide)

    def of_all_processes(
        self, tensors: Mapping[str, Tensor], options: Mapping[str, Any], gradients: Gradients, group: Any
    ) -> Tensor:
        """The value of all processes' rows, from this process's, which have been checked."""
        way: Literal["mean", "sum"] = "sum" if gradients == "sum" else "mean"
        if self.over_processes is None:
            return self.of({n: gather(t, gradients=way, group=group) for n, t in tensors.items()}, options)
        rest = {name: v for name, v in {**self.options, **options}.items() if name != "reduction"}
        ready, wide = self._ready(tensors)
        with full_precision(tensors[self.batch[0]].device):
            value = self.over_processes(**ready, **rest, gradients=way, group=group)
        return value.to(wide)

    def bind(
        self, batch: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The batch by name, without what was left out, and the options.

        Raises:
            UsageError: too many or too few tensors, one given twice, or an unknown option.
        """
        options = {name: value for name, value in keywords.items() if name not in self.batch}
        refuse_unknown(self.name, self.options, options)
        if len(batch) > len(self.batch):
            raise UsageError(f"{self.name}: expected at most {self._expected()}, got {len(batch)}")
        given = dict(zip(self.batch, batch, strict=False))
        for name, value in keywords.items():
            if name in self.batch:
                if name in given:
                    raise UsageError(f"{self.name}: {name} is given twice, by position and by name")
                given[name] = value
        given = {
            name: given[name]
            for name in self.batch
            if name in given and not (given[name] is None and name in self.optional)
        }
        for name in self.batch:
            if name not in given and name not in self.optional:
                raise UsageError(f"{self.name}: expected {self._expected()}; {name} is missing")
        return given, options

    def check(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        """The batch as tensors that belong together; shapes only.

        Raises:
            UsageError: a wrong type, shape, width, dtype or number of rows.
        """
        tensors = {
            name: (as_rows if name in self.samples else as_labels)(value, name)
            for name, value in given.items()
        }
        of_one_batch(tensors, self.widths, self.aligned)
        return tensors

    def __reduce__(self) -> Any:
        return found_again, (self.function.__module__, self.function.__qualname__, dict(self.options))

    def with_options(self, **options: Any) -> BatchObjective:
        """The same objective with other defaults."""
        refuse_unknown(self.name, self.options, options)
        return replace(self, options=MappingProxyType({**self.options, **options})) if options else self

    def objective(self, *, gradients: Gradients = "mean", group: Any = None, **options: Any) -> BatchLoss:
        """A module to minimise: the value of the whole batch of all processes, minus it where the best is the maximum.

        Args:
            gradients: how the processes put their parameters' gradients together: "mean" (DistributedDataParallel,
                FSDP), "sum", or "none" for a loss of this process's own rows, without communication.
            group: the process group, by default all processes.
            options: the objective's options. An `nn.Parameter` becomes the module's parameter, another tensor its
                buffer, and a module is called at every step for the option's value
                (``temperature=LearnableTemperature(0.07)``).

        Raises:
            UsageError: an unknown option, or `reduction="none"`: a loss is one number.
        """
        refuse_unknown(self.name, self.options, options)
        if gradients not in ("mean", "sum", "none"):
            raise UsageError(
                f'gradients: expected "mean" (DDP, FSDP), "sum" or "none" (own rows alone), got {gradients!r}'
            )
        merged = {**self.options, **options}
        if merged.get("reduction", "mean") != "mean":
            raise UsageError(
                f"{self.name}.objective: a loss is one number; reduction={merged['reduction']!r} is "
                f"an option of the function {self.name}(...)"
            )
        return BatchLoss(self, merged, gradients, group)

    def _ready(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], torch.dtype]:
        found = [tensors[name].dtype for name in self.samples if name in tensors]
        wide = torch.float64 if torch.float64 in found else torch.float32
        return {name: t.to(wide) if t.is_floating_point() else t for name, t in tensors.items()}, wide

    def _expected(self) -> str:
        shown = [f"[{name}]" if name in self.optional else name for name in self.batch]
        return f"{len(shown)} argument{'s' if len(shown) > 1 else ''} ({', '.join(shown)})"
