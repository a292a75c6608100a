"""A measure class by class as something to minimise: its weighted mean over a batch's classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .arguments import known
from .checks import as_samples, finite
from .conditional import shares
from .errors import DataError, UsageError
from .population import Memory
from .scale.gather import gather
from .warm_up import agree, fill, shared

if TYPE_CHECKING:
    from .objective import Gradients
    from .set_measure import Measure


def conditional_objective(
    measure: Measure,
    *,
    reference: Any,
    labels: Any = None,
    weights: Mapping[Any, float] | None = None,
    population: int | None = None,
    memory: Memory = "queue",
    gradients: Gradients = "mean",
    group: Any = None,
    **options: Any,
) -> ConditionalObjective:
    r"""A module to minimise: the weighted mean of a measure's values class by class, over the batch's classes.

    $$ L = \frac{\sum_{u \in \text{batch}} w_u D_u}{\sum_{u \in \text{batch}} w_u} $$

    A class that a batch has not got adds nothing, and the weights are divided by the sum of the others', so that the
    loss stays a mean over classes whichever a batch holds. Over many batches a class is therefore pulled with its
    weight times how often it appears.

    Args:
        measure: of two sets, differentiable.
        reference: the real side: (n, d) features with `labels`, or class -> features or statistic.
        labels: (n,) whole numbers, the reference's classes, where it is given as features.
        weights: class -> weight, above zero, for every class; by default by the reference's counts.
        population: samples **a class** that its statistic covers; see `Measure.objective`. A class's population moves
            on when a batch has samples of it. Without one a batch needs enough samples of each class it holds: two for
            a covariance.
        memory, gradients, group: as for `Measure.objective`.
        options: the measure's options.

    Returns:
        `ConditionalObjective`, called with features and labels.

    Raises:
        UsageError: labels that do not match, a class without weight, and what `Measure.objective` refuses.
        DataError: when called: a class that the reference lacks.

    Which classes a batch holds is read at every step, for which a GPU is waited for.
    """
    return ConditionalObjective(
        measure,
        reference=reference,
        labels=labels,
        weights=weights,
        population=population,
        memory=memory,
        gradients=gradients,
        group=group,
        options=options,
    )


class ConditionalObjective(torch.nn.Module):
    """Made by `conditional_objective`.

    Attributes:
        parts: class -> the measure's value at the last call, without gradient.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        reference: Any,
        labels: Any,
        weights: Mapping[Any, float] | None,
        population: int | None,
        memory: Memory,
        gradients: Gradients,
        group: Any,
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        if len(measure.sides) != 2:
            raise UsageError(
                f"conditional_objective: {measure.name} takes {len(measure.sides)} sets, expected two"
            )
        known(measure, options)
        sets, counts = _by_class(measure, reference, labels)
        self.weights = shares(counts if weights is None else weights, list(sets))
        self.gradients: Gradients = gradients
        self.group = group
        # gathered once for all classes, hence each class's own objective is left to itself
        self.classes = torch.nn.ModuleDict()
        for label, one in sets.items():
            self.classes[str(label)] = measure.objective(
                reference=one, population=population, memory=memory, gradients="none", **options
            )
        if gradients not in ("mean", "sum", "none"):
            raise UsageError(f'gradients: expected "mean", "sum" or "none", got {gradients!r}')
        self.parts: dict[int, Tensor] = {}

    def forward(self, batch: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar of the batch's precision; with several processes the same on every one.

        Args:
            batch: (n, d) features of the generated side, with gradient; this process's share of the batch.
            labels: (n,) their classes, whole numbers.
        """
        error: Exception | None = None
        try:
            labels, batch = _whole(labels, "labels"), as_samples(batch, "batch")
            if labels.shape != (len(batch),):
                raise UsageError(f"labels: expected shape ({len(batch)},), got {tuple(labels.shape)}")
        except Exception as caught:
            error = caught
        group = self.group if self.gradients != "none" else False
        agree(error, None, group)
        if self.gradients != "none":
            batch = gather(batch, gradients=self.gradients, group=self.group)
            labels = gather(labels, group=self.group)
        present = torch.unique(labels).tolist()
        self._known(present)
        everyone = sum(self.weights[label] for label in present)
        loss: Tensor | None = None
        parts = {}
        for label in present:
            rows = (labels == label).nonzero()[:, 0].to(batch.device)
            try:
                value = self.classes[str(label)](batch[rows])
            except UsageError as error:
                raise UsageError(f"class {label}: {error}") from None
            parts[label] = value.detach()
            part = (self.weights[label] / everyone) * value
            loss = part if loss is None else loss + part
        self.parts = parts
        assert loss is not None
        return loss

    def warm_up(
        self, batches: Iterable[Any], features: Callable[[Any], Tensor] | None = None
    ) -> dict[int, int]:
        """Fill the classes' populations, from pairs that are read to their end and held; all processes call it.

        Args:
            batches: pairs of a feature batch (n, d), or whatever `features` makes such of, and labels (n,).
            features: from one item to (n, d) features, called without gradient.

        Returns:
            class -> how many samples its population now holds, for the classes that came.

        Raises:
            UsageError: without populations, shapes that do not match.
            DataError: NaN or infinity, an unknown class, no samples. On every process, whichever met it.
        """
        if any(one.population is None for one in self.classes.values()):
            raise UsageError("warm_up: this objective has no populations; make it with population=")
        group = self.group if self.gradients != "none" else False
        rows: list[Tensor] = []
        classes: list[Tensor] = []
        width: int = next(iter(self.classes.values()))._width()  # type: ignore[operator]
        error: Exception | None = None
        try:
            for item, given in batches:
                with torch.no_grad():
                    samples = as_samples(item if features is None else features(item), "batches").detach()
                labels = _whole(given, "labels")
                if labels.shape != (len(samples),):
                    raise UsageError(f"labels: expected shape ({len(samples)},), got {tuple(labels.shape)}")
                finite(samples, "batches")
                if samples.shape[1] != width:
                    raise UsageError(f"batches: {samples.shape[1]} features, the reference has {width}")
                self._known(torch.unique(labels).tolist())
                rows.append(samples)
                classes.append(labels)
            if not rows:
                raise DataError("batches: no samples to warm up with")
        except Exception as caught:
            error = caught
        agree(error, width, group)
        every, everyones = torch.cat(rows), torch.cat(classes)
        if shared(group):
            every, everyones = gather(every, group=group), gather(everyones, group=group)
        found = {}
        for label in torch.unique(everyones).tolist():
            memory: Any = self.classes[str(label)].population
            found[label] = fill(memory, every[(everyones == label).nonzero()[:, 0].to(every.device)])
        return found

    def _known(self, labels: list[int]) -> None:
        for label in labels:
            if label not in self.weights:
                raise DataError(f"labels: the reference has no class {label}; it has {_some(self.weights)}")

    def extra_repr(self) -> str:
        return f"{len(self.weights)} classes"


def _by_class(measure: Measure, reference: Any, labels: Any) -> tuple[dict[int, Any], dict[Any, float]]:
    """The reference by class, and each class's count."""
    if isinstance(reference, Mapping):
        if labels is not None:
            raise UsageError("labels: a reference that is a dictionary by class needs none")
        sets = {_label(label): one for label, one in reference.items()}
        counts = {}
        for label, one in sets.items():
            weight = one.weight if hasattr(one, "weight") else len(as_samples(one, f"reference[{label}]"))
            counts[label] = float(weight)
        return sets, counts
    features = as_samples(reference, "reference").detach()
    if labels is None:
        raise UsageError(
            "labels: expected (n,) whole numbers, the classes of the reference's samples, got none"
        )
    given = _whole(labels, "labels").to(features.device)
    if given.shape != (len(features),):
        raise UsageError(f"labels: expected shape ({len(features)},), got {tuple(given.shape)}")
    sets = {label: features[given == label] for label in torch.unique(given).tolist()}
    return sets, {label: float(len(one)) for label, one in sets.items()}


def _label(label: Any) -> int:
    if isinstance(label, bool) or not isinstance(label, int):
        raise UsageError(f"reference: classes are whole numbers, got {label!r}")
    return label


def _whole(labels: Any, name: str) -> Tensor:
    try:
        tensor = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            f"{name}: expected (n,) whole numbers, got {type(labels).__name__} of something else; number the classes"
        ) from None
    if tensor.ndim != 1 or tensor.is_floating_point() or tensor.is_complex():
        raise UsageError(
            f"{name}: expected (n,) whole numbers, got {tensor.dtype} of shape {tuple(tensor.shape)}"
        )
    return tensor


def _some(classes: Iterable[Any]) -> str:
    named = [str(label) for label in classes]
    return ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
