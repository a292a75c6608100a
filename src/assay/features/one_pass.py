"""How does a set become shards of features: found again where they are kept, computed where they are not?

Images are taken in runs of some hundred, in the order of the source, and no batch of the network holds images of two
runs. So what the network sees together, and with it every bit of the features, is the same whether a pass ran through,
was cut off and went on, or was dealt to several processes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.data import ImageSource, Progress, Unreadable
from assay.data.batches import different_sizes
from assay.data.facts import FACTS
from assay.features.cache import ShardCache
from assay.features.claims import Claim
from assay.features.content import content_of, shard_key
from assay.features.extractor import Extractor
from assay.features.growing_shard import Growing, Prepared
from assay.features.keeping import Keeping
from assay.features.reading_ahead import NOTHING_READ, Read, Reader, changed
from assay.features.shard import Shard

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
    reader = Reader(source, extractor.transform)
    shapes = SameShape(source, cut)
    keeping = Keeping(cache, total)
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
                    keeping.let_go(item.claim)
                else:
                    kept = keeping.keep(item.key, item.claim, shard)
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
    reader: Reader,
    pool: ThreadPoolExecutor,
    cache: ShardCache | None,
    claims: list[Claim],
) -> Generator[_Image | _End | Made | None, None, None]:
    """What is to be done, shard by shard: a kept one, or its images and their end. None: nothing just now."""
    listed = None
    if cache is not None and source.signature is not None:
        listed = cache.listed(source.description, source.signature, cut.total, cut.size)
    contents: dict[int, str] = {} if listed is None else dict(enumerate(listed))
    reading: dict[int, list[Future[Read]]] = {}
    turns = deque(mine)
    in_vain = 0

    def read_whole(number: int) -> list[Read]:
        started = reading.pop(number, [])
        rest = cut.images(number)[len(started) :]
        reads = [future.result() for future in [*started, *(pool.submit(reader.read, k) for k in rest)]]
        content = content_of(read.digest for read in reads)
        if contents.setdefault(number, content) != content:
            if cache is not None and source.signature is not None:
                cache.forget_listing(source.description, source.signature, cut.total, cut.size)
            raise changed(source, source.names[cut.images(number).start])
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
            reads[place] = NOTHING_READ  # the bytes go when they are decoded
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
