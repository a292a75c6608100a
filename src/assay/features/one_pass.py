"""How does a set become shards of features: found again where they are kept, computed where they are not?

Images are taken in runs of some hundred, in the order of the source, and no batch of the network holds images of two
runs. So what the network sees together, and with it every bit of the features, is the same whether a pass ran through,
was cut off and went on, or was dealt to several processes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.data import ImageSource, Progress, Unreadable
from assay.data.batches import different_sizes
from assay.data.decode import Raw, UnreadableImage, pixels_of
from assay.data.facts import FACTS, facts_of
from assay.data.names import shown
from assay.errors import DataError
from assay.features.cache import FullDisk, ShardCache, shown_bytes
from assay.features.claims import Claim
from assay.features.content import content_of, digest_of, digest_of_failure, shard_key
from assay.features.extractor import Extractor
from assay.features.growing_shard import Growing, Prepared
from assay.features.shard import Shard
from assay.features.thumbnails import thumbnail

HELD_BYTES = 128 << 20  # of files that were read to be told apart and are not decoded yet
ANOTHER_LOOK = 0.1  # seconds between two looks at what other runs are at

FACTS_VERSION = ",".join(f"{name}:{np.dtype(dtype)}" for name, dtype in FACTS.items())


@dataclass(frozen=True)
class Cut:
    """How a source of `total` images is cut into shards of `size`."""

    total: int
    size: int

    def __len__(self) -> int:
        return -(-self.total // self.size)

    def images(self, number: int) -> range:
        """The images of shard `number`."""
        return range(number * self.size, min((number + 1) * self.size, self.total))


@dataclass(frozen=True)
class Made:
    """Shard `number` of a pass, and the file it is kept in, if it is."""

    number: int
    shard: Shard
    path: Path | None


@dataclass(frozen=True)
class _Read:
    """An image whose bytes were looked at: `raw` is None where they are to be read again, or could not be."""

    digest: bytes
    raw: Raw | None
    reason: str | None


@dataclass(frozen=True)
class _Image:
    """An image on its way."""

    index: int
    outcome: Future[Prepared | Unreadable | None]


@dataclass(frozen=True)
class _End:
    """After a shard's last image: under which key it is kept."""

    number: int
    key: str
    content: str
    claim: Claim | None
    unread: bool


class _Reader:
    """Reads images in threads to tell them apart, and holds what it read, within bounds, until it is decoded."""

    def __init__(self, source: ImageSource, transform: Callable[..., NDArray[np.float32]]) -> None:
        self._source = source
        self._transform = transform
        self._held = 0
        self._lock = threading.Lock()
        self.decode_only = False  # a pass that fails already is only to name what else cannot be read

    def read(self, index: int) -> _Read:
        try:
            raw = self._source.read(index)
        except UnreadableImage as error:
            return _Read(digest_of_failure(error.reason), None, error.reason)
        size = len(raw) if isinstance(raw, bytes) else raw.nbytes
        with self._lock:
            hold = self._held + size <= HELD_BYTES
            self._held += size if hold else 0
        return _Read(digest_of(raw), raw if hold else None, None)

    def let_go(self, read: _Read) -> None:
        if read.raw is not None:
            with self._lock:
                self._held -= len(read.raw) if isinstance(read.raw, bytes) else read.raw.nbytes

    def prepare(self, index: int, read: _Read) -> Prepared | Unreadable | None:
        """What the network and the shard want of an image; None where only its being readable counts."""
        name = self._source.names[index]
        if read.reason is not None:
            return Unreadable(name, read.reason)
        try:
            raw = read.raw
            if raw is None:
                raw = self._source.read(index)
                if digest_of(raw) != read.digest:
                    raise _changed(self._source, name)
            pixels = pixels_of(raw, name)
        except UnreadableImage as error:
            # Not the exception itself: its traceback would keep the frames, and their pixels, alive.
            return Unreadable(error.name, error.reason)
        finally:
            self.let_go(read)
        if self.decode_only:
            return None
        return Prepared(self._transform(pixels), facts_of(raw, pixels), thumbnail(pixels))


def one_pass(
    source: ImageSource,
    extractor: Extractor,
    cut: Cut,
    mine: Sequence[int],
    *,
    cache: ShardCache | None,
    batch_size: int,
    workers: int,
    skip_bad: bool,
    progress: Progress,
    check: Callable[[], None],
) -> Generator[Made, None, None]:
    """The shards `mine`, in the order they come to be known: those another run is at come later than their turn.

    check: called between batches; may raise to end the pass.

    Without `skip_bad` a shard with images that cannot be read comes without rows, and after it every shard does that
    is not kept: `skipped` is all that is still looked for.
    Closing the generator ends the threads and gives up the claims.
    """
    total = sum(len(cut.images(number)) for number in mine)
    reader = _Reader(source, extractor.transform)
    shapes = SameShape(source, cut)
    keeping = _Keeping(cache, total)
    growing = Growing()
    done = told = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="assay-decode")
    steps = _steps(source, extractor, cut, mine, reader, pool, cache, keeping.claims)
    try:
        for item in _ahead(steps, 2 * batch_size, check):
            made: Made | None = None
            if isinstance(item, _Image):
                outcome = item.outcome.result()
                if isinstance(outcome, Prepared):
                    shapes.see(item.index, outcome.image.shape)
                growing.add(item.index - cut.images(item.index // cut.size).start, outcome)
                done += 1
            elif isinstance(item, _End):
                growing.flush(extractor)
                shard = growing.shard(len(cut.images(item.number)), item.content, unread=item.unread)
                kept = None
                if growing.partial:
                    keeping.let_go(item)
                else:
                    kept = keeping.keep(item, shard)
                made, growing = Made(item.number, shard, kept), Growing()
            else:
                shapes.look_at(item.number, item.shard)
                made = item
                done += item.shard.total
            if (growing.bad or (made is not None and made.shard.skipped)) and not skip_bad:
                reader.decode_only = True
            if reader.decode_only:
                growing.drop_rows()
            if growing.pending == batch_size:
                growing.flush(extractor)
            if made is not None:
                yield made
            if not growing.pending and done - told >= batch_size:
                check()
                keeping.beat()
                progress(done, total)
                told = done
        if told < done:
            progress(done, total)
    finally:
        steps.close()
        pool.shutdown(wait=True, cancel_futures=True)
        keeping.release_all()


def _ahead(
    steps: Iterator[_Image | _End | Made | None], prefetch: int, check: Callable[[], None]
) -> Iterator[_Image | _End | Made]:
    """The steps in their order, started some ahead; None, for nothing to do now, is waited out."""
    waiting: deque[_Image | _End | Made] = deque()
    shards = 0
    look_again = 0.0
    exhausted = False
    while True:
        # No more than one whole shard waits: they are large.
        while not exhausted and not shards and len(waiting) < prefetch and time.monotonic() >= look_again:
            step = next(steps, "exhausted")
            if isinstance(step, str):
                exhausted = True
            elif step is None:
                look_again = time.monotonic() + ANOTHER_LOOK
            else:
                waiting.append(step)
                shards += isinstance(step, Made)
        if waiting:
            item = waiting.popleft()
            shards -= isinstance(item, Made)
            yield item
        elif exhausted:
            return
        else:
            check()
            time.sleep(ANOTHER_LOOK)


def _steps(
    source: ImageSource,
    extractor: Extractor,
    cut: Cut,
    mine: Sequence[int],
    reader: _Reader,
    pool: ThreadPoolExecutor,
    cache: ShardCache | None,
    claims: list[Claim],
) -> Generator[_Image | _End | Made | None, None, None]:
    """What is to be done, shard by shard: a kept one, or its images and their end. None: nothing just now."""
    listed = None
    if cache is not None and source.signature is not None:
        listed = cache.listed(source.description, source.signature, cut.total, cut.size)
    contents: dict[int, str] = {} if listed is None else dict(enumerate(listed))
    reading: dict[int, list[Future[_Read]]] = {}
    turns = deque(mine)
    in_vain = 0

    def read_whole(number: int) -> list[_Read]:
        started = reading.pop(number, [])
        rest = cut.images(number)[len(started) :]
        reads = [future.result() for future in [*started, *(pool.submit(reader.read, k) for k in rest)]]
        content = content_of(read.digest for read in reads)
        if contents.setdefault(number, content) != content:
            if cache is not None and source.signature is not None:
                cache.forget_listing(source.description, source.signature, cut.total, cut.size)
            raise _changed(source, source.names[cut.images(number).start])
        return reads

    while turns:
        number = turns.popleft()
        reads = [] if number in contents else read_whole(number)
        key = shard_key(contents[number], extractor.fingerprint, FACTS_VERSION)
        claim: Claim | bool = True
        found = None if cache is None else cache.find(key)
        if cache is not None and found is None:
            claim = cache.claim(key)
            # It may have been finished between the look and the claim.
            found = cache.find(key) if isinstance(claim, Claim) else None
        if found is not None or claim is False:
            for read in reads:
                reader.let_go(read)
            if isinstance(claim, Claim):
                claim.release()
            if found is not None and cache is not None:
                in_vain = 0
                yield Made(number, found, cache.path(key))
                continue
            turns.append(number)
            in_vain += 1
            if in_vain >= len(turns):
                in_vain = 0
                yield None
            continue
        in_vain = 0
        if isinstance(claim, Claim):
            claims.append(claim)
        reads = reads or read_whole(number)
        unread = any(read.reason is not None for read in reads)
        following = turns[0] if turns and turns[0] not in contents else None
        for place, index in enumerate(cut.images(number)):
            if following is not None and place < len(cut.images(following)):
                # One of the next shard for each of this one: both the network and the disk stay busy.
                ahead = cut.images(following)[place]
                reading.setdefault(following, []).append(pool.submit(reader.read, ahead))
            yield _Image(index, pool.submit(reader.prepare, index, reads[place]))
            reads[place] = _NOTHING_READ  # the bytes go when they are decoded
        held = claim if isinstance(claim, Claim) else None
        yield _End(number, key, contents[number], held, unread)


class SameShape:
    """All images of a pass come to the network in one shape, those that are found again too."""

    def __init__(self, source: ImageSource, cut: Cut) -> None:
        self._source = source
        self._cut = cut
        self._first: tuple[int, tuple[int, ...]] | None = None

    def see(self, index: int, shape: tuple[int, ...]) -> None:
        """Raises `DataError` for another shape than before."""
        if self._first is None:
            self._first = (index, shape)
        first, known = self._first
        if shape != known:
            raise different_sizes(self._source.names[first], known, self._source.names[index], shape)

    def look_at(self, number: int, shard: Shard) -> None:
        """The same for a shard whose images had one shape among themselves."""
        if len(shard):
            self.see(self._cut.images(number)[int(shard.places[0])], shard.shape)


class _Keeping:
    """What this pass has put into the cache, and what it holds of it meanwhile."""

    def __init__(self, cache: ShardCache | None, total: int) -> None:
        self._cache = cache
        self._total = total
        self._images = 0
        self._bytes = 0
        self.claims: list[Claim] = []

    def keep(self, end: _End, shard: Shard) -> Path | None:
        path = None
        if self._cache is not None and not shard.fleeting:
            try:
                kept = self._cache.keep(end.key, shard)
            except FullDisk as error:
                raise self._full(error, shard.total) from None
            if kept:
                path = self._cache.path(end.key)
                self._images += shard.total
                self._bytes += kept
        self.let_go(end)
        return path

    def let_go(self, end: _End) -> None:
        """Give up the claim, so that nobody waits for a shard that will not be kept: a later one of this pass least."""
        if end.claim is not None:
            end.claim.release()
            self.claims.remove(end.claim)

    def beat(self) -> None:
        for claim in self.claims:
            claim.beat()

    def release_all(self) -> None:
        while self.claims:
            self.claims.pop().release()

    def _full(self, error: FullDisk, images: int) -> DataError:
        need = (self._bytes + error.size) / (self._images + images) * (self._total - self._images)
        return DataError(
            f"the disk of {error.folder} is full: about {shown_bytes(need)} more are needed to keep the features "
            f"({shown_bytes(error.free)} are free); make room (assay cache trim --to 1GB), set ASSAY_HOME to another "
            "disk, or keep nothing (--no-cache / cache=False); what was kept so far is found again"
        )


def _changed(source: ImageSource, name: str) -> DataError:
    return DataError(
        f"{source.description} changed while it was read ({shown(name)} or a neighbour of it): "
        "run again when nothing writes to it"
    )


_NOTHING_READ = _Read(b"", None, None)
