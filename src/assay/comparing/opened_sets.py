"""What was given to be compared, and do all sets live in one feature space?"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import DataError, UsageError
from ..note import Note
from .compared_reference import as_reference, reference_set
from .compared_sets import ComparedSet
from .study import Progress

if TYPE_CHECKING:
    from ..data import ImageSource
    from ..features import Extractor, Features

UNNAMED = "features"  # the space of ready features that do not say what made them


@dataclass(frozen=True)
class Opened:
    """A set that is known to be there; images are not decoded yet.

    Attributes:
        space, fingerprint: which features, where they are ready; None for images, which take any, and for statistics
            that do not say, which are taken to be of the other sets' features.
        notes: what a reader must know of it.
        exact: statistics that came with the images, as in published reference batches.
    """

    name: str
    source: ImageSource | None
    ready: ComparedSet | None
    space: str | None
    fingerprint: str | None
    notes: tuple[Note, ...] = ()
    exact: Mapping[str, Any] = field(default_factory=dict)

    def size(self) -> tuple[int, str]:
        """How many items there are, and what an item is."""
        if self.source is not None:
            return len(self.source), "images"
        assert self.ready is not None
        return self.ready.total, self.ready.unit


def open_set(given: Any, name: str, argument: str) -> Opened:
    """Look at what was given without decoding any image.

    Args:
        given: a path or URL of images, a `.npy` or `.safetensors` file of features, a file of statistics (see
            `assay.references`), features (n, d), uint8 images (N, 3, H, W), an `ImageSource`, a PyTorch or Hugging Face
            data set or a `DataLoader` of images, `Features` from `assay.features.extract`, or statistics.
        name: what it is called.
        argument: "real" or "generated", for messages.

    Raises:
        UsageError: a thing of another kind.
        DataError: a path that is missing, empty or damaged; features that are not fit to be measured.
    """
    from ..data import (
        FeatureArray,
        ImageSource,
        array_images,
        as_features,
        dataset_images,
        holds_images,
        is_url,
        load_features,
        open_images,
        sampler,
        torch_dataset_images,
        torch_loader_images,
    )
    from ..features import Features

    reference = as_reference(given)
    if reference is not None:
        side = reference_set(reference, name)
        beside = _images_beside(given)
        if beside is not None and argument == "real":
            return Opened(name, beside, None, None, None, side.notes, side.ready.exact)
        if beside is not None:  # of a candidate its images: what varies is to be seen
            return Opened(name, beside, None, None, None)
        space = (side.extractor or UNNAMED) if side.named else None
        return Opened(name, None, side.ready, space, side.fingerprint, side.notes)
    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        of_features = path.suffix.lower() in (".npy", ".safetensors") and not is_url(os.fspath(given))
        if of_features and not path.is_dir() and not (path.is_file() and holds_images(given)):
            space, fingerprint = _recorded_space(path)
            loaded = load_features(path)
            return _ready(name, loaded.description, loaded.features, space or UNNAMED, fingerprint)
        return Opened(name, open_images(given), None, None, None)
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
    if isinstance(given, DataLoader):
        return Opened(name, torch_loader_images(given), None, None, None)
    if isinstance(given, Dataset):
        return Opened(name, torch_dataset_images(given), None, None, None)
    if type(given).__module__.partition(".")[0] == "datasets":
        return Opened(name, dataset_images(given), None, None, None)
    if callable(given):
        return Opened(name, sampler(given), None, None, None)
    raise UsageError(
        f"{argument}: expected a path, features (n, d) or uint8 images (N, 3, H, W), or a dataset or loader of "
        f"images, got {type(given).__name__}"
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
        if s.source is not None or s.space is not None
    ]
    if not spaces:
        return UNNAMED
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


def _extracted(
    opened: Opened,
    extractor: Extractor,
    *,
    batch_size: int,
    workers: int | None,
    skip_bad: bool,
    cache: bool,
    progress: Callable[[int, int], None] | None,
) -> ComparedSet:
    """The set's features: as they are, or by one pass over its images."""
    from ..features import extract

    if opened.ready is not None:
        return opened.ready
    assert opened.source is not None
    made = extract(
        opened.source,
        extractor,
        batch_size=batch_size,
        workers=workers,
        skip_bad=skip_bad,
        cache=cache,
        progress=progress,
    )
    return _of_features(made, opened.name)


def features_of(
    opened: Sequence[Opened],
    extractor: Extractor | None,
    features: str,
    *,
    progress: Progress | None,
    **how: Any,
) -> tuple[str, str | None, list[ComparedSet]]:
    """The space's name, its fingerprint, and every set in it; nothing is decoded before all is known to be there."""
    if extractor is None:
        space = common_space(opened, features, None)
        known = next((s.fingerprint for s in opened if s.fingerprint is not None), None)
        return space, known, [s.ready for s in opened if s.ready is not None]
    space = common_space(opened, extractor.name, extractor.fingerprint)
    sets = []
    for one in opened:
        report = None if progress is None else _under(progress, f"features of {one.name}")
        made = _extracted(one, extractor, progress=report, **how)
        if one.exact:
            _refuse_other_width(one, made)
            made = replace(made, exact=one.exact)
        sets.append(made)
    return space, extractor.fingerprint, sets


def _under(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _images_beside(given: Any) -> ImageSource | None:
    """The images in a published file of statistics, where it holds some."""
    if not isinstance(given, (str, os.PathLike)) or not os.fspath(given).lower().endswith(".npz"):
        return None
    from ..data import open_images

    with zipfile.ZipFile(given) as file:
        return open_images(f"{os.fspath(given)}#arr_0") if "arr_0.npy" in file.namelist() else None


def _refuse_other_width(one: Opened, made: ComparedSet) -> None:
    width = int(one.exact["features"].width)
    if width != made.width:
        raise DataError(
            f"{one.name} holds statistics of {width} features beside its images, and the extractor has {made.width}: "
            "choose the extractor they were made with by --features / features= or --protocol / protocol="
        )


def _of_features(made: Features, name: str) -> ComparedSet:
    dropped = tuple((bad.name, bad.reason) for bad in made.skipped)
    positions = made.positions
    if positions is None and not dropped:
        positions = torch.arange(len(made))
    return ComparedSet(
        name=name,
        description=made.description,
        features=made.features,
        total=len(made) + len(dropped) if made.total is None else made.total,
        unit="images",
        probabilities=made.probabilities,
        extra=made.extra,
        positions=positions,
        dropped=dropped,
        names=made.names,
        facts=made.facts,
        thumbnails=made.thumbnails,
        digest=made.content or None,
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
    from ..statistics.files import read_metadata

    try:
        header = read_metadata(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    return header.get("extractor"), header.get("fingerprint")
