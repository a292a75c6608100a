"""What is one side of a comparison, as numbers?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..contrast import Sampled
from ..errors import DataError
from ..set_measure import Measure


@dataclass(frozen=True)
class Chosen:
    """Some of the pictures of a set, under the numbers that their rows have here."""

    pictures: Any
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Any:
        return self.pictures[self.rows[row]]


@dataclass(frozen=True)
class ComparedSet:
    """One side of a comparison as numbers.

    Attributes:
        name: as it is printed.
        description: where it comes from.
        features: (n, d), or None where only statistics of them are known.
        total: how many items the source has; 0 where a file of statistics does not say.
        unit: what an item is, "images" or "samples".
        probabilities: (n, classes), where the extractor has classes.
        extra: further features of the same pass by the name of their space, (n, k) each.
        exact: statistics that are taken as exact, by the name of their space; `"features"` is the main one.
        positions: (n,) which item of the source each row is: rows are missing where images were left out. None where
            nobody knows.
        dropped: a name and a reason for each image that was left out.
        names: of the rows, where they have names.
        labels: a class a row, where they were asked for.
        facts: what was seen of each image beside its features, (n,) each.
        thumbnails: row -> a small picture's bytes, where the pass kept them.
        digest: of the content the features were made from.
    """

    name: str
    description: str
    features: Tensor | None
    total: int
    unit: str
    probabilities: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    exact: Mapping[str, Any] = field(default_factory=dict)
    positions: Tensor | None = None
    dropped: tuple[tuple[str, str], ...] = ()
    names: Sequence[str] | None = None
    labels: np.ndarray[Any, Any] | None = None
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    thumbnails: Any = None
    digest: str | None = None

    def __len__(self) -> int:
        return len(self.features) if self.features is not None else int(self.total)

    @property
    def width(self) -> int:
        """Features a sample."""
        return int(self.exact["features"].width) if self.features is None else self.features.shape[1]

    def rows(self, chosen: Tensor) -> ComparedSet:
        """Some of the rows, in the given order."""

        def taken(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[chosen.to(tensor.device)]

        names, labels = self.names, self.labels
        pictures = None if self.thumbnails is None else Chosen(self.thumbnails, tuple(chosen.tolist()))
        return replace(
            self,
            features=taken(self.features),
            probabilities=taken(self.probabilities),
            extra={space: t[chosen.to(t.device)] for space, t in self.extra.items()},
            positions=taken(self.positions),
            names=None if names is None else [names[int(row)] for row in chosen],
            labels=None if labels is None else labels[chosen.numpy()],
            facts={name: t[chosen.to(t.device)] for name, t in self.facts.items()},
            thumbnails=pictures,
            exact={},
        )

    def of_class(self, label: Any) -> ComparedSet:
        """The rows of one class."""
        assert self.labels is not None
        return self.rows(torch.from_numpy(np.flatnonzero(self.labels == label)))

    def in_space(self, space: str) -> ComparedSet:
        """The same set by other features of the same pass."""
        if space == "features":
            return self
        if space not in self.extra and space not in self.exact:
            known = ", ".join(["features", *self.extra, *self.exact])
            raise DataError(f"{self.name} has no features {space!r}; it has {known}")
        exact = {"features": self.exact[space]} if space in self.exact else {}
        return replace(self, features=self.extra.get(space), exact=exact, extra={})

    def sampled(self, measure: Measure, where: torch.device) -> Sampled:
        """This set as a side of a measure: a statistic that is taken as exact where there is one, else its samples."""
        exact = self.exact.get(measure.domain)
        if isinstance(exact, measure.statistic):
            from ..statistics.protocol import on_device

            return Sampled(exact=on_device(exact, where))
        samples = self.probabilities if measure.domain == "probabilities" else self.features
        assert samples is not None
        return Sampled(samples.detach().to(where))

    def serves(self, measure: Measure) -> bool:
        """Whether the measure can be taken of this set."""
        samples = self.probabilities if measure.domain == "probabilities" else self.features
        return samples is not None or isinstance(self.exact.get(measure.domain), measure.statistic)


def in_pairs(sets: Sequence[ComparedSet]) -> list[ComparedSet]:
    """The sets with row i of all from one unit: items are paired by their order, and one missing anywhere goes.

    Raises:
        DataError: nothing in common, or a set that does not say which of its items are left.
    """
    where: list[list[int]] = []
    for one in sets:
        if one.positions is None:
            raise DataError(
                f"paired: {one.name} does not say whether images were left out of it, and which; give the images"
            )
        where.append(one.positions.tolist())
    everywhere = set.intersection(*map(set, where))
    if not everywhere:
        raise DataError("paired: no image can be read in all sets")
    kept = [[row for row, at in enumerate(own) if at in everywhere] for own in where]
    return [one.rows(torch.tensor(rows)) for one, rows in zip(sets, kept, strict=True)]
