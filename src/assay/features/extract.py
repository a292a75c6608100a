"""A set of images -> its features, in one pass that is kept, found again, and shared by processes."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from assay.data import ImageSource, Progress, Unreadable, UnreadableImages
from assay.data.batches import threads_for_decoding
from assay.errors import DataError, UsageError
from assay.features.assembled import Assembled
from assay.features.cache import FullDisk, ShardCache
from assay.features.content import shard_key
from assay.features.extractor import Extractor
from assay.features.features import Features
from assay.features.one_pass import FACTS_VERSION, Cut, Made, SameShape, one_pass
from assay.features.shard import DamagedShard, Shard, from_bytes
from assay.scale.ranks import Ranks, current_ranks

SHARD = 512  # images: so much is computed again at most where a run is killed


def extract(
    source: ImageSource,
    extractor: Extractor,
    *,
    batch_size: int = 64,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    shard_size: int = SHARD,
) -> Features:
    """The features of every image of `source`, in its order, computed or found in the cache.

    batch_size: images a batch of the network.
    workers: threads that read and decode; by default one a core, at most 8.
    progress: called as progress(done, total) in images.
    skip_bad: leave out images that cannot be read, and report them in `skipped`; otherwise they are an error.
    cache: keep the features under `assay.home.home_folder()`, and take from there what was kept of the same images
        and the same extractor, whatever they are called and whoever made it.
    shard_size: images that are kept in one file. It is part of what is found again.

    Memory is a few batches, the rows of one shard, and the result up to 32 MB a matrix; larger ones are mapped
    from a nameless temporary file.

    Within `assay.scale.ranks.joined()` the images are dealt to the processes. Rank 0 gets all features, bit for bit
    those of one process with as many threads; the other ranks get the rows of their own part.

    Raises `UnreadableImages` (a `DataError`) naming all images that cannot be read; `DataError` where none can, where
    images come to the network in different sizes, where the cache's disk is full, where images change meanwhile;
    `UsageError` for a batch_size, workers or shard_size below 1. Where several processes work, the error of one is
    the error of all.
    """
    cut, how = _checked(source, batch_size, workers, shard_size)
    ranks = current_ranks()
    store = ShardCache(extractor.name, extractor.fingerprint) if cache else None
    mine = _dealt(cut, ranks)
    first = ranks is None or ranks.rank == 0
    result = Assembled(source, cut, range(len(cut)) if first else mine, send=not first)
    stream = one_pass(
        source, extractor, cut, mine, cache=store, skip_bad=skip_bad, progress=progress or _no_progress, **how,
        check=_nothing if ranks is None else ranks.check,
    )  # fmt: skip
    seen = _Seen(source, cut)
    with closing(stream):
        for made in stream:
            seen.add(made)
            if skip_bad or not seen.bad:
                result.put(made)
    seen.agree(ranks, skip_bad=skip_bad, empty=False)
    if ranks is not None:
        _gather(ranks, cut, store, result, extractor)
    features = result.features(extractor)
    if first and store is not None and source.signature is not None and not result.fleeting:
        store.list_contents(source.description, source.signature, cut.total, cut.size, result.contents())
    return features


def extract_shards(
    source: ImageSource,
    extractor: Extractor,
    *,
    batch_size: int = 64,
    workers: int | None = None,
    progress: Progress | None = None,
    skip_bad: bool = False,
    cache: bool = True,
    shard_size: int = SHARD,
) -> Generator[Features, None, None]:
    """The same features shard by shard, in the order of the source, for statistics that need no row twice.

    Memory is a few batches and shards, whatever the size of the set. Shards without a readable image are left out.
    Within `assay.scale.ranks.joined()` every rank gets the shards that are dealt to it, and no feature travels; a
    rank may get none. Every rank must run the generator to its end, where they agree that all images could be read.

    Arguments and errors as for `extract`, except that a set without any readable image comes to its end without a
    word where `skip_bad` leaves them out.
    """
    cut, how = _checked(source, batch_size, workers, shard_size)
    ranks = current_ranks()
    store = ShardCache(extractor.name, extractor.fingerprint) if cache else None
    mine = _dealt(cut, ranks)
    stream = one_pass(
        source, extractor, cut, mine, cache=store, skip_bad=skip_bad, progress=progress or _no_progress, **how,
        check=_nothing if ranks is None else ranks.check,
    )  # fmt: skip
    seen = _Seen(source, cut)
    contents: list[str] = []
    fleeting = False
    with closing(stream):
        for made in _in_turn(stream, mine):
            seen.add(made)
            contents.append(made.shard.content)
            fleeting = fleeting or made.shard.fleeting
            if len(made.shard) and (skip_bad or not seen.bad):
                part = Assembled(source, cut, [made.number], send=False)
                part.put(made)
                yield part.features(extractor)
    seen.agree(ranks, skip_bad=skip_bad, empty=True)
    if ranks is None and store is not None and source.signature is not None and not fleeting:
        store.list_contents(source.description, source.signature, cut.total, cut.size, contents)


def _checked(
    source: ImageSource, batch_size: int, workers: int | None, shard_size: int
) -> tuple[Cut, dict[str, int]]:
    how = {"batch_size": batch_size, "workers": threads_for_decoding() if workers is None else workers}
    for argument, value in {**how, "shard_size": shard_size}.items():
        if value < 1:
            raise UsageError(f"{argument} must be at least 1, not {value}")
    return Cut(len(source), shard_size), how


def _dealt(cut: Cut, ranks: Ranks | None) -> range:
    return range(len(cut)) if ranks is None else range(ranks.rank, len(cut), ranks.world)


def _in_turn(stream: Iterator[Made], mine: Sequence[int]) -> Iterator[Made]:
    """Shards in their order; one that comes early waits in its file, where it has one."""
    early: dict[int, Made | Path] = {}
    turns = deque(mine)
    for made in stream:
        early[made.number] = made if made.number == turns[0] or made.path is None else made.path
        while turns and turns[0] in early:
            number = turns.popleft()
            due = early.pop(number)
            if isinstance(due, Path):
                try:
                    due = Made(number, from_bytes(due.read_bytes()), due)
                except (OSError, DamagedShard):
                    raise DataError(f"{due} was removed while it was in use: run again") from None
            yield due


class _Seen:
    """What every shard of a pass says that all ranks must agree on."""

    def __init__(self, source: ImageSource, cut: Cut) -> None:
        self._source = source
        self._cut = cut
        self.bad: list[tuple[int, str]] = []
        self.shape: tuple[int, list[int]] | None = None  # of which image

    def add(self, made: Made) -> None:
        images = self._cut.images(made.number)
        self.bad += [(images[place], reason) for place, reason in made.shard.skipped]
        if self.shape is None and len(made.shard):
            self.shape = (images[int(made.shard.places[0])], list(made.shard.shape))

    def agree(self, ranks: Ranks | None, *, skip_bad: bool, empty: bool) -> None:
        """Raises, on every rank, what is wrong with the set as a whole.

        empty: whether a set without any readable image is in order.
        """
        error: DataError | None = None
        if ranks is not None:
            ranks.agree()  # nobody waits in a transfer for a rank that is still at its part
            if ranks.rank > 0:
                ranks.send(json.dumps([self.bad, self.shape]).encode(), 0)
                ranks.agree()
                return
            error = self._of_others(ranks)
        error = error or self._error(skip_bad, empty)
        if ranks is not None:
            ranks.agree(error)
        elif error is not None:
            raise error

    def _of_others(self, ranks: Ranks) -> DataError | None:
        shapes = SameShape(self._source, self._cut)
        error = None
        told = [(self.bad, self.shape)]
        told += [json.loads(ranks.receive(other)) for other in range(1, ranks.world)]
        self.bad = sorted((index, reason) for bad, _ in told for index, reason in bad)
        known = [(shape[0], tuple(shape[1])) for _, shape in told if shape is not None]
        for index, shape in sorted(known):
            try:
                shapes.see(index, shape)
            except DataError as wrong:
                error = error or wrong
        return error

    def _error(self, skip_bad: bool, empty: bool) -> DataError | None:
        source = self._source
        if self.bad and not skip_bad:
            bad = sorted(self.bad)
            return UnreadableImages(source, [Unreadable(source.names[index], why) for index, why in bad])
        if len(self.bad) == len(source) and not empty:
            first = f", the first because: {self.bad[0][1]}" if self.bad else ""
            return DataError(f"none of the {len(source)} images in {source.description} can be read{first}")
        return None


def _gather(
    ranks: Ranks, cut: Cut, store: ShardCache | None, result: Assembled, extractor: Extractor
) -> None:
    """Every shard to rank 0, as the file it is or would be."""
    if ranks.rank > 0:
        for number in _dealt(cut, ranks):
            ranks.send(result.as_bytes(number), 0)
    else:
        for number in range(len(cut)):
            if number % ranks.world:
                shard = from_bytes(ranks.receive(number % ranks.world))
                result.put(Made(number, shard, _also_kept(shard, extractor, store)))
    ranks.agree()


def _also_kept(shard: Shard, extractor: Extractor, store: ShardCache | None) -> Path | None:
    """Where a shard of another rank is kept: in the cache both share, or now in this one's."""
    if store is None or shard.fleeting:
        return None
    key = shard_key(shard.content, extractor.fingerprint, FACTS_VERSION)
    if store.path(key).exists():
        return store.path(key)
    with contextlib.suppress(FullDisk):
        return store.path(key) if store.keep(key, shard) else None
    return None


def _nothing() -> None:
    pass


def _no_progress(done: int, total: int) -> None:
    pass
