"""Images -> a reference: one pass over them in constant memory, on any number of processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from .comparing.opened_sets import UNNAMED, Opened, open_set
from .devices import chosen_device
from .errors import DataError, UsageError
from .references import FEATURES, Origin, Reference, Shard, from_bytes, is_reference, to_bytes
from .references.reference import folded
from .scale.ranks import Ranks, current_ranks
from .sets import Predictions
from .statistics import Moments, Samples
from .version import __version__

if TYPE_CHECKING:
    from .data import ImageSource
    from .features import Extractor

Keep = Literal["moments", "samples"]
Progress = Callable[[str, int, int], None]
ROWS = 65_536  # ready rows that are put into a digest at once


def make_reference(
    given: Any,
    *,
    features: str | Extractor = "efficientnet-lite0",
    keep: Keep = "moments",
    protocol: str | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    shard_size: int = 512,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> Reference:
    """What stands for a set of images in later comparisons; `assay.references.save_reference` makes a file of it.

    Args:
        given: images or features as `assay.compare` takes them, or what `open_for_reference` made of them.
        features: the extractor, by name or itself. Features that are ready stay as they are.
        keep: `moments`, which serve the Fréchet distance in a size that does not grow; `samples`, which serve every
            measure and grow with the set. Class predictions, where there are classes, are summed in both.
        protocol: the published set-up's name, to be written down with it; of images only.
        batch_size, workers, skip_bad, device: as for `assay.compare`.
        cache, shard_size: as for `assay.features.extract`; features of a great many images may not be worth their
            room. A digest of the images goes into the reference: it tells the same images in the same order, cut
            alike, from all others.
        progress: called as progress(what, done, total).

    Returns:
        The reference. Within `assay.scale.ranks.joined()` the images are dealt to the processes, and every rank
        returns the reference of them all.

    Raises:
        UsageError: another `keep`, an unknown extractor or device, a protocol for features that are ready, statistics,
            or a thing that `assay.compare` does not take.
        DataError: images that cannot be read, none at all, features that are not numbers. Where several processes
            work, the error of one is the error of all.
    """
    if keep not in get_args(Keep):
        raise UsageError(f"keep: expected {' or '.join(get_args(Keep))}, got {keep!r}")
    opened = given if isinstance(given, Opened) else open_for_reference(given)
    source = opened.source
    if source is None:
        refuse_set_up(opened, {"protocol": protocol})
        return _of_ready(opened, keep)
    extractor = _extractor(features, device)
    how = {
        "batch_size": batch_size,
        "workers": workers,
        "skip_bad": skip_bad,
        "cache": cache,
        "shard_size": shard_size,
    }
    mine = _pass(source, extractor, keep, how, progress)
    origin = Origin(
        extractor.name,
        extractor.fingerprint,
        protocol=protocol,
        description=source.description,
        version=__version__,
    )
    ranks = current_ranks()
    if ranks is None:
        return _whole([mine], origin, source)
    return _together(ranks, mine, origin, source)


def open_for_reference(given: Any) -> Opened:
    """What `make_reference` was given, looked at; no image is decoded yet.

    Raises:
        UsageError: a thing that `assay.compare` does not take, features behind a URL, or statistics.
        DataError: what is missing, damaged or not fit to be measured.
    """
    from .data import refuse_url

    if isinstance(given, str) and given.lower().endswith(".safetensors"):
        refuse_url(given, "features and references")
    opened = open_set(given, "a set in memory", "given")
    if opened.source is None and _is_statistics(given):
        what = given if isinstance(given, (str, os.PathLike)) else f"given: {type(given).__name__}"
        raise UsageError(
            f"{what} holds statistics already: assay compare takes it as it is, and assay merge adds references up; "
            "expected images or features"
        )
    return opened


def refuse_set_up(opened: Opened, settings: Mapping[str, Any]) -> None:
    """Features that are ready were made by whatever they were made by.

    Raises:
        UsageError: one of the settings, by its name, is not None and the set is not of images.
    """
    asked = next((name for name, value in settings.items() if value is not None), None)
    if opened.source is None and asked is not None:
        what = opened.name if opened.ready is None else opened.ready.description
        raise UsageError(f"{asked}: says how images are turned into features, but {what} is features already")


def _is_statistics(given: Any) -> bool:
    return isinstance(given, (Reference, Moments, Samples)) or (
        isinstance(given, (str, os.PathLike)) and is_reference(given)
    )


def _extractor(features: str | Extractor, device: torch.device | str | None) -> Extractor:
    from .features import get_extractor

    return get_extractor(features, device=chosen_device(device)) if isinstance(features, str) else features


def _of_ready(opened: Opened, keep: Keep) -> Reference:
    assert opened.ready is not None and opened.ready.features is not None
    ready, rows = opened.ready, opened.ready.features
    digest = hashlib.sha256()
    for start in range(0, len(rows), ROWS):
        digest.update(rows[start : start + ROWS].detach().cpu().contiguous().numpy().tobytes())
    classes = None if ready.probabilities is None else Predictions.of(ready.probabilities)
    samples = Samples.of(rows.cpu()) if keep == "samples" else None
    origin = Origin(
        None if opened.space == UNNAMED else opened.space,
        opened.fingerprint,
        description=ready.description,
        shards=(Shard(digest.hexdigest(), len(rows)),),
        left_out=ready.total - len(rows),
        version=__version__,
    )
    return Reference({FEATURES: Moments.of(rows)}, samples, classes, origin)


@dataclass(frozen=True)
class _Run:
    """Consecutive images of the source: from which on, a digest of their content, and how many could be read."""

    start: int
    content: str
    count: int


@dataclass(frozen=True)
class _Part:
    """What one process found; the reference is None where it had no image."""

    runs: tuple[_Run, ...]
    reference: Reference | None


def _pass(
    source: ImageSource, extractor: Extractor, keep: Keep, how: dict[str, Any], progress: Progress | None
) -> _Part:
    from .features import extract_shards

    moments: dict[str, Moments] = {}
    predictions: Predictions | None = None
    samples: list[Tensor] = []
    runs: list[_Run] = []
    report = None if progress is None else _under(progress, f"features of {source.description}")
    for found in extract_shards(source, extractor, progress=report, **how):
        assert found.positions is not None
        runs.append(_Run(int(found.positions[0]), found.content, len(found)))
        for space, rows in {FEATURES: found.features, **found.extra}.items():
            part = Moments.of(rows)
            moments[space] = moments[space].merge(part) if space in moments else part
        if found.probabilities is not None:
            of_part = Predictions.of(found.probabilities)
            predictions = of_part if predictions is None else predictions.merge(of_part)
        if keep == "samples":
            samples.append(found.features.clone())
    if not runs:
        return _Part((), None)
    kept = Samples.of(torch.cat(samples)) if samples else None
    return _Part(tuple(runs), Reference(moments, kept, predictions))


def _under(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _whole(parts: Sequence[_Part], origin: Origin, source: ImageSource) -> Reference:
    """All parts as one, the samples in the order of the source."""
    there = [part.reference for part in parts if part.reference is not None]
    if not there:
        raise DataError(f"none of the {len(source)} images in {source.description} can be read")
    runs = sorted((run for part in parts for run in part.runs), key=lambda run: run.start)
    digest = hashlib.sha256("".join(run.content for run in runs).encode()).hexdigest()
    count = sum(run.count for run in runs)
    found = replace(origin, shards=(Shard(digest, count),), left_out=len(source) - count)
    whole = folded(there, [origin.description] * len(there), found)
    if whole.samples is None or len(there) == 1:
        return whole
    return replace(whole, samples=_in_order(parts, whole.samples))


def _in_order(parts: Sequence[_Part], samples: Samples) -> Samples:
    rows = iter(torch.split(samples.features, [run.count for part in parts for run in part.runs]))
    placed = {run.start: next(rows) for part in parts for run in part.runs}
    return Samples(torch.cat([placed[start] for start in sorted(placed)]), samples.counts)


def _together(ranks: Ranks, mine: _Part, origin: Origin, source: ImageSource) -> Reference:
    """To rank 0, where the parts are merged in the order of the ranks, and from there to all."""
    parts = [mine]
    for other in range(1, ranks.world):
        if ranks.rank == other:
            ranks.send(json.dumps([vars(run) for run in mine.runs]).encode(), 0)
            ranks.send(b"" if mine.reference is None else to_bytes(mine.reference), 0)
        elif ranks.rank == 0:
            runs = tuple(_Run(**run) for run in json.loads(ranks.receive(other)))
            content = ranks.receive(other)
            parts.append(_Part(runs, from_bytes(content) if content else None))
        ranks.agree()  # whose turn it is not must not wait in a transfer, which has an end
    whole: Reference | None = None
    failed: DataError | None = None
    if ranks.rank == 0:
        try:
            whole = _whole(parts, origin, source)
        except DataError as error:
            failed = error
    ranks.agree(failed)
    content = b"" if whole is None else to_bytes(whole)
    for other in range(1, ranks.world):
        if ranks.rank == 0:
            ranks.send(content, other)
        elif ranks.rank == other:
            content = ranks.receive(0)
        ranks.agree()
    return whole if whole is not None else from_bytes(content)
