"""What was given to be compared, as numbers, and do all sets live in one feature space?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .contrast import Sampled
from .errors import DataError, UsageError
from .measure import Measure

if TYPE_CHECKING:
    from .data import ImageSource
    from .features import Extractor, Features

UNNAMED = "features"  # the space of ready features that do not say what made them


@dataclass(frozen=True)
class ComparedSet:
    """One side of a comparison as numbers.

    Attributes:
        name: as it is printed.
        description: where it comes from.
        features: (n, d), or None where only statistics of them are known.
        total: how many items the source has.
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
        return replace(
            self,
            features=taken(self.features),
            probabilities=taken(self.probabilities),
            extra={space: t[chosen.to(t.device)] for space, t in self.extra.items()},
            positions=taken(self.positions),
            names=None if names is None else [names[int(row)] for row in chosen],
            labels=None if labels is None else labels[chosen.numpy()],
            facts={name: t[chosen.to(t.device)] for name, t in self.facts.items()},
            thumbnails=None,
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
        """This set as a side of a measure: its samples on a device, or a statistic that is taken as exact."""
        samples = self.probabilities if measure.domain == "probabilities" else self.features
        if samples is not None:
            return Sampled(samples.detach().to(where))
        from .statistics.protocol import on_device

        return Sampled(exact=on_device(self.exact[measure.domain], where))

    def serves(self, measure: Measure) -> bool:
        """Whether the measure can be taken of this set."""
        samples = self.probabilities if measure.domain == "probabilities" else self.features
        return samples is not None or isinstance(self.exact.get(measure.domain), measure.statistic)


@dataclass(frozen=True)
class Opened:
    """A set that is known to be there; images are not decoded yet.

    Attributes:
        space, fingerprint: which features, where they are ready; None for images, which take any.
    """

    name: str
    source: ImageSource | None
    ready: ComparedSet | None
    space: str | None
    fingerprint: str | None


def open_set(given: Any, name: str, argument: str) -> Opened:
    """Look at what was given without decoding any image.

    Args:
        given: a path or URL of images, a `.npy` or `.safetensors` file of features, features (n, d), uint8 images
            (N, 3, H, W), an `ImageSource`, or `Features` from `assay.features.extract`.
        name: what it is called.
        argument: "real" or "generated", for messages.

    Raises:
        UsageError: a thing of another kind.
        DataError: a path that is missing, empty or damaged; features that are not fit to be measured.
    """
    from .data import FeatureArray, ImageSource, array_images, as_features, load_features, open_images
    from .features import Features

    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        if path.suffix.lower() in (".npy", ".safetensors") and not path.is_dir():
            space, fingerprint = _recorded_space(path)
            loaded = load_features(path)
            return _ready(name, loaded.description, loaded.features, space or UNNAMED, fingerprint)
        return Opened(name, open_images(path), None, None, None)
    if isinstance(given, ImageSource):
        return Opened(name, given, None, None, None)
    if isinstance(given, FeatureArray):
        return _ready(name, given.description, given.features, UNNAMED, None)
    if isinstance(given, Features):
        return Opened(name, None, _of_features(given, name), given.extractor, given.fingerprint)
    if isinstance(given, (Tensor, np.ndarray)):
        if given.ndim == 4 and given.dtype in (torch.uint8, np.uint8):
            return Opened(
                name, array_images(given, description=f"{name} (array of images)"), None, None, None
            )
        return _ready(name, f"{name} (array)", as_features(given, description=name).features, UNNAMED, None)
    raise UsageError(
        f"{argument}: expected a path, features (n, d) or uint8 images (N, 3, H, W), got {type(given).__name__}"
    )


def common_space(opened: Sequence[Opened], features: str, fingerprint: str | None) -> str:
    """The one feature space of all sets, by name.

    Args:
        opened: the real set first.
        features, fingerprint: of the extractor that images go through; fingerprint is None where there are no images.

    Raises:
        DataError: sets of different spaces, or of different versions of one.
    """
    spaces = [
        (s.name, s.space, s.fingerprint) if s.source is None else (s.name, features, fingerprint)
        for s in opened
    ]
    first_name, first, first_print = spaces[0]
    for name, space, its_print in spaces[1:]:
        if space != first:
            raise DataError(
                f"{first_name} is in the feature space {first!r} and {name} in {space!r}: they cannot be compared; "
                "give all sets as images, or all as features of one extractor"
            )
        if first_print is not None and its_print is not None and its_print != first_print:
            raise DataError(
                f"{first_name} and {name} were made by different versions of {first}: extract both again with one"
            )
    assert first is not None
    return first


def extracted(
    opened: Opened,
    extractor: Extractor,
    *,
    batch_size: int,
    workers: int | None,
    skip_bad: bool,
    progress: Callable[[int, int], None] | None,
) -> ComparedSet:
    """The set's features: as they are, or by one pass over its images."""
    from .features import extract

    if opened.ready is not None:
        return opened.ready
    assert opened.source is not None
    made = extract(
        opened.source, extractor, batch_size=batch_size, workers=workers, skip_bad=skip_bad, progress=progress
    )
    return _of_features(made, opened.name, opened.source)


def in_pairs(sets: Sequence[ComparedSet]) -> list[ComparedSet]:
    """The sets with row i of all from one unit: items are paired by their order, and one missing anywhere goes.

    Raises:
        DataError: sets of different numbers of items, or nothing in common.
    """
    first = sets[0]
    for other in sets[1:]:
        if other.total != first.total:
            raise DataError(
                f"paired: {first.name} has {first.total} {first.unit} and {other.name} {other.total}; pairs need as "
                "many, in one order"
            )
    where: list[list[int]] = []
    for one in sets:
        if one.positions is None:
            raise DataError(
                f"paired: images were left out of {one.name}, and it does not say which; give the images"
            )
        where.append(one.positions.tolist())
    everywhere = set.intersection(*map(set, where))
    if not everywhere:
        raise DataError("paired: no image can be read in all sets")
    kept = [[row for row, at in enumerate(own) if at in everywhere] for own in where]
    return [one.rows(torch.tensor(rows)) for one, rows in zip(sets, kept, strict=True)]


def _of_features(made: Features, name: str, source: ImageSource | None = None) -> ComparedSet:
    dropped = tuple((bad.name, bad.reason) for bad in made.skipped)
    positions = torch.arange(len(made)) if not dropped else None
    if dropped and source is not None:
        bad = {name for name, _ in dropped}
        positions = torch.tensor([i for i, own in enumerate(source.names) if own not in bad])
    return ComparedSet(
        name=name,
        description=made.description,
        features=made.features,
        total=len(made) + len(dropped),
        unit="images",
        probabilities=made.probabilities,
        positions=positions,
        dropped=dropped,
        names=made.names,
    )


def _ready(name: str, description: str, features: Tensor, space: str, fingerprint: str | None) -> Opened:
    made = ComparedSet(
        name, description, features, len(features), "samples", positions=torch.arange(len(features))
    )
    return Opened(name, None, made, space, fingerprint)


def _recorded_space(path: Path) -> tuple[str | None, str | None]:
    """The extractor's name and fingerprint in a safetensors header, where the file says them."""
    if path.suffix.lower() != ".safetensors" or not path.is_file():
        return None, None
    from .statistics.files import read_metadata

    try:
        header = read_metadata(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if "assay.statistic" in header:
        raise DataError(
            f"{path} holds the statistic {header['assay.statistic']}, not samples: an interval needs every sample, "
            "so give the features or the images themselves"
        )
    return header.get("extractor"), header.get("fingerprint")
