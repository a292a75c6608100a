"""How do pairs pass by once, for all measures, in the memory of a few batches?

Threads read the images of a pair together, as many pairs ahead as a bounded number of bytes allows. Pairs of one size
wait for each other until they make a batch; where many sizes wait at once, the largest group goes first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data import UnreadableImage
from ..data.batches import threads_for_decoding
from ..data.names import shown
from ..errors import DataError, UsageError
from ..pairs import PairMeasure
from .levels import Levels
from .matching import Matched
from .opened_pairs import Images
from .reading_ahead import IN_FLIGHT, Room, read_ahead
from .seen import Seen

Progress = Callable[[int, int], None]

PIXELS = 1 << 21  # a member of a batch at most, or one image: 25 MB of float32 RGB
WAITING = 2  # such batches' worth of pixels may wait for others of their size
NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Unread:
    """An image that cannot be read: of which set, its name, and why."""

    of: str
    name: str
    reason: str


@dataclass
class Passed:
    """What one pass over the pairs found.

    Attributes:
        values: candidate -> measure -> (n,) float64; NaN for pairs that were left out.
        measured: (n,) whether the pair could be read.
        unread: the images that could not.
        digests: set -> a digest an image of what is stored, in order of the pairs, of those that could be read.
        half_grey: candidate -> in how many pairs one image is grey and the other in colour.
        cut: set -> how many images have 16 bits a channel of which eight were read.
        equal: candidate -> how many restored images equal their target pixel by pixel.
    """

    values: dict[str, dict[str, NDArray[np.float64]]]
    measured: NDArray[np.bool_]
    unread: list[Unread] = field(default_factory=list)
    digests: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    half_grey: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cut: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    equal: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class _Read:
    levels: dict[str, Levels]  # the target's under its name, as the others'
    digests: dict[str, bytes]


def one_pass(
    target: Images,
    candidates: Sequence[Images],
    pairs: Matched,
    measures: Mapping[str, PairMeasure],
    *,
    seen: Seen,
    device: torch.device,
    batch_size: int,
    workers: int | None,
    skip_bad: bool,
    progress: Progress | None,
) -> Passed:
    """Every measure of every candidate's pairs.

    Raises:
        DataError: images that cannot be read, unless they are to be skipped and a pair is left; a pair of two sizes;
            images too small for a measure; a value that is NaN.
        UsageError: a batch_size or workers below 1.
    """
    workers = threads_for_decoding() if workers is None else workers
    for argument, value in {"batch_size": batch_size, "workers": workers}.items():
        if value < 1:
            raise UsageError(f"{argument} must be at least 1, not {value}")
    n = len(pairs.target)
    found = Passed(
        {c.name: {name: np.full(n, np.nan) for name in measures} for c in candidates}, np.zeros(n, np.bool_)
    )
    groups: dict[tuple[int, ...], list[tuple[int, dict[str, Tensor]]]] = defaultdict(list)
    waiting = 0

    def measure_group(shape: tuple[int, ...]) -> None:
        nonlocal waiting
        group = groups.pop(shape)
        waiting -= len(group) * _pixels(shape)
        rows = [row for row, _ in group]
        x = _stacked([images[target.name] for _, images in group]).to(device)
        for one in candidates:
            y = _stacked([images[one.name] for _, images in group]).to(device)
            for name, measure in measures.items():
                found.values[one.name][name][rows] = _values(measure, name, y, x, one, pairs, rows)

    reading = read_ahead(
        _reader(target, candidates, pairs), n, workers=workers, at_most=2 * workers, in_flight=IN_FLIGHT
    )
    with closing(reading) as outcomes:
        for row, outcome in enumerate(outcomes):
            if progress is not None:
                progress(row, n)
            if isinstance(outcome, list):
                found.unread += outcome
            elif not found.unread or skip_bad:
                prepared = _prepared(outcome, target, candidates, pairs, row, seen, found)
                shape = tuple(prepared[target.name].shape)
                groups[shape].append((row, prepared))
                waiting += _pixels(shape)
                full = len(groups[shape]) == batch_size or len(groups[shape]) * _pixels(shape) >= PIXELS
                if full:
                    measure_group(shape)
                while waiting > WAITING * PIXELS or sum(map(len, groups.values())) > 4 * batch_size:
                    measure_group(max(groups, key=lambda s: len(groups[s]) * _pixels(s)))
    if found.unread and not skip_bad:
        raise _unreadable(found.unread, n * (1 + len(candidates)))
    if found.unread and not found.measured.any():
        raise DataError(
            f"no pair is left to score, because each has an image that cannot be read: {_named(found.unread)}"
        )
    for shape in list(groups):
        measure_group(shape)
    if progress is not None:
        progress(n, n)
    return found


def _values(
    measure: PairMeasure, name: str, y: Tensor, x: Tensor, one: Images, pairs: Matched, rows: Sequence[int]
) -> NDArray[np.float64]:
    members = (y, x)[: len(measure.members)]
    first = f"{one.name}/{one.names[pairs.candidates[one.name][rows[0]]]}"
    try:
        with torch.no_grad():
            values = measure(*members).double().cpu().numpy()
    except UsageError as error:
        height, width = y.shape[-2:]
        raise DataError(
            f"{shown(first)} ({height} x {width} pixels as measured): {name} cannot be had of it: {error}"
        ) from None
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        row = rows[int(bad[0])]
        worst = f"{one.name}/{one.names[pairs.candidates[one.name][row]]}"
        raise DataError(f"{shown(worst)}: {name} of it is no number; leave {name} out of the measures")
    return values


def _prepared(
    read: _Read,
    target: Images,
    candidates: Sequence[Images],
    pairs: Matched,
    row: int,
    seen: Seen,
    found: Passed,
) -> dict[str, Tensor]:
    """What is measured of each image of a pair, after a look at its size."""
    of_target = f"{target.name}/{target.names[pairs.target[row]]}"
    x = read.levels[target.name]
    prepared = {target.name: seen.of(x.unit(), shown(of_target))}
    for one in candidates:
        y = read.levels[one.name]
        name = f"{one.name}/{one.names[pairs.candidates[one.name][row]]}"
        if y.pixels.shape != x.pixels.shape:
            raise _different(name, y, of_target, x)
        prepared[one.name] = seen.of(y.unit(), shown(name))
        found.half_grey[one.name] += x.grey != y.grey
        found.equal[one.name] += bool(torch.equal(prepared[one.name], prepared[target.name]))
    for name, levels in read.levels.items():
        found.cut[name] += levels.cut
        found.digests[name].append(read.digests[name])
    found.measured[row] = True
    return prepared


def _different(name: str, y: Levels, of_target: str, x: Levels) -> DataError:
    if y.pixels.shape[:2] == x.pixels.shape[:2]:
        return DataError(
            f"{shown(name)} has {y.pixels.shape[2]} channels and {shown(of_target)} {x.pixels.shape[2]}: a pair needs "
            "as many of both"
        )
    sizes = [" x ".join(str(side) for side in each.pixels.shape[:2]) for each in (y, x)]
    return DataError(
        f"{shown(name)} is {sizes[0]} and {shown(of_target)} {sizes[1]} (height x width): a pair needs one size, and "
        "nothing is resized here, because the way of resizing would be part of the score; crop or resize one set first"
    )


def _unreadable(unread: Sequence[Unread], total: int) -> DataError:
    return DataError(
        f"{len(unread)} of {total} images cannot be read: {_named(unread)}; remove them or pass --skip-bad / "
        "skip_bad=True"
    )


def _named(unread: Sequence[Unread]) -> str:
    named = ", ".join(f"{shown(f'{each.of}/{each.name}')} ({each.reason})" for each in unread[:NAMED_AT_MOST])
    more = len(unread) - NAMED_AT_MOST
    return f"{named}{f' and {more} more' if more > 0 else ''}"


def _reader(
    target: Images, candidates: Sequence[Images], pairs: Matched
) -> Callable[[int, Room], _Read | list[Unread]]:
    """A function that reads the images of one pair, or says which of them cannot be read."""

    def read(row: int, room: Room) -> _Read | list[Unread]:
        levels: dict[str, Levels] = {}
        digests: dict[str, bytes] = {}
        bad = []
        kept = 0

        def need(size: int) -> None:
            room.need(row, kept + size)

        at = [(target, pairs.target[row]), *((one, pairs.candidates[one.name][row]) for one in candidates)]
        for one, index in at:
            try:
                levels[one.name], digests[one.name] = one.read(index, need)
            except UnreadableImage as error:
                bad.append(Unread(one.name, error.name, error.reason))
            else:
                kept += levels[one.name].pixels.nbytes
        room.keep(row, 0 if bad else kept)
        return bad or _Read(levels, digests)

    return read


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """A batch; one image, which is alone because it is large, is not copied."""
    return images[0][None] if len(images) == 1 else torch.stack(list(images))


def _pixels(shape: tuple[int, ...]) -> int:
    return shape[-1] * shape[-2]
