"""What was given to be compared, what is each set called, and do all live in one feature space?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, UsageError

if TYPE_CHECKING:
    from .data import ImageSource
    from .features import Extractor

UNNAMED = "features"  # the space of ready features that do not say what made them
FILES = (".npy", ".safetensors", ".zip")


@dataclass(frozen=True)
class ComparedSet:
    """One side of a comparison as numbers.

    Attributes:
        name: as it is printed.
        description: where it comes from.
        features: (n, d).
        probabilities: (n, classes), where the extractor has classes.
        positions: (n,) which item of the source each row is: rows are missing where images were left out. None where
            nobody knows.
        dropped: a name and a reason for each image that was left out.
        total: how many items the source has.
        unit: what an item is, "images" or "samples".
    """

    name: str
    description: str
    features: Tensor
    probabilities: Tensor | None
    positions: Tensor | None
    dropped: tuple[tuple[str, str], ...]
    total: int
    unit: str

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, chosen: Tensor) -> ComparedSet:
        """Some of the rows, in the given order."""
        return ComparedSet(
            self.name,
            self.description,
            self.features[chosen.to(self.features.device)],
            None if self.probabilities is None else self.probabilities[chosen.to(self.probabilities.device)],
            None if self.positions is None else self.positions[chosen],
            self.dropped,
            self.total,
            self.unit,
        )


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


def candidates_of(generated: Any) -> dict[str, Any]:
    """Name -> candidate, from one candidate, several, or a mapping of named ones.

    A path is called by its last part, without the suffix of a file; where that is not unique, by as many of its last
    parts as are. Arrays are called `generated`, or `generated 1`, `generated 2`, ...

    Raises:
        UsageError: no candidates, a name that is not text.
    """
    if isinstance(generated, Mapping):
        for name in generated:
            if not isinstance(name, str) or not name:
                raise UsageError(f"generated: a candidate's name must be a text, got {name!r}")
        named = dict(generated)
    elif isinstance(generated, (list, tuple)):
        named = dict(zip(_unique_names(generated), generated, strict=True))
    else:
        named = dict(zip(_unique_names([generated]), [generated], strict=True))
    if not named:
        raise UsageError("generated: no candidates; expected one set, several in a list, or a dict by name")
    return named


def name_of(given: Any, default: str) -> str:
    """What one set is called: the path's last part, or the default for an array."""
    if not isinstance(given, (str, os.PathLike)):
        return default
    return _printable(_short(_parts(given), 1)) or default


def open_set(given: Any, name: str, argument: str) -> Opened:
    """Look at what was given without decoding any image.

    Args:
        given: a folder or zip of images, a `.npy` or `.safetensors` file of features, features (n, d), uint8 images
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
        dropped = tuple((bad.name, bad.reason) for bad in given.skipped)
        made = ComparedSet(
            name=name,
            description=given.description,
            features=given.features,
            probabilities=given.probabilities,
            positions=None if dropped else torch.arange(len(given)),
            dropped=dropped,
            total=len(given) + len(dropped),
            unit="images",
        )
        return Opened(name, None, made, given.extractor, given.fingerprint)
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
    progress: Any,
) -> ComparedSet:
    """The set's features: as they are, or by one pass over its images."""
    from .features import extract

    if opened.ready is not None:
        return opened.ready
    assert opened.source is not None
    source = opened.source
    made = extract(
        source, extractor, batch_size=batch_size, workers=workers, skip_bad=skip_bad, progress=progress
    )
    bad = {image.name for image in made.skipped}
    positions = torch.tensor([i for i, name in enumerate(source.names) if name not in bad])
    dropped = tuple((image.name, image.reason) for image in made.skipped)
    return ComparedSet(
        opened.name,
        source.description,
        made.features,
        made.probabilities,
        positions,
        dropped,
        len(source),
        "images",
    )


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


def _ready(name: str, description: str, features: Tensor, space: str, fingerprint: str | None) -> Opened:
    made = ComparedSet(
        name, description, features, None, torch.arange(len(features)), (), len(features), "samples"
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


def _parts(path: str | os.PathLike[str]) -> tuple[str, ...]:
    whole = Path(os.path.abspath(os.fspath(path)))  # "." and ".." have names too
    return tuple(part for part in whole.parts if part != whole.anchor)


def _short(parts: tuple[str, ...], depth: int, *, suffix: bool = False) -> str:
    """The last `depth` parts as one name, without the suffix of a file unless it is asked for."""
    if not parts:
        return ""
    last = Path(parts[-1])
    kept = last.stem if last.suffix.lower() in FILES and not suffix else last.name
    return "/".join((*parts[-depth:-1], kept))


def _unique_names(given: Sequence[Any]) -> list[str]:
    default = ["generated"] if len(given) == 1 else [f"generated {i + 1}" for i in range(len(given))]
    parts = [_parts(g) if isinstance(g, (str, os.PathLike)) else () for g in given]
    different = set(parts) - {()}
    out: list[str] = []
    for own, other_name in zip(parts, default, strict=True):
        name = _printable(_shortest_own(own, different - {own})) if own else other_name
        unique, again = name, 2
        while unique in out:
            unique, again = f"{name} ({again})", again + 1
        out.append(unique)
    return out


def _printable(name: str) -> str:
    """File names may hold line breaks, terminal codes and bytes that are no text."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _shortest_own(own: tuple[str, ...], others: set[tuple[str, ...]]) -> str:
    """The fewest last parts, the suffix first left off, that no other path shares."""
    for depth in range(1, len(own) + 1):
        beside = any(_short(o, len(o)) == _short(own, len(own)) for o in others)  # a.zip beside a.npy
        name = _short(own, depth, suffix=beside)
        if all(_short(o, depth, suffix=beside) != name for o in others):
            return name
    return "/".join(own)
