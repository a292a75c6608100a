"""Where do statistics come from, and may they be added up?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DataError

SHOWN_AT_MOST = 5


@dataclass(frozen=True)
class Shard:
    """One pass over images: a digest of their content in its order, whatever their names, and how many there were."""

    digest: str
    count: int


@dataclass(frozen=True)
class Origin:
    """What made the statistics, and of what.

    Attributes:
        extractor, fingerprint: which features these are; None where the file does not say.
        protocol: the published set-up they were made by, or None.
        description: where the images came from, without credentials.
        shards: the passes that were added up; empty where nobody knows.
        left_out: how many images could not be read and are not in it; None where nobody knows.
        version: of assay that made it, or None.
    """

    extractor: str | None = None
    fingerprint: str | None = None
    protocol: str | None = None
    description: str = "statistics"
    shards: tuple[Shard, ...] = ()
    left_out: int | None = None
    version: str | None = None


def merged_origin(origins: Sequence[Origin], names: Sequence[str]) -> Origin:
    """The origin of all together.

    Args:
        origins: at least one.
        names: what messages call them.

    Raises:
        DataError: different extractors, versions of one, or protocols; the same images twice, by their digests.
    """
    first = origins[0]
    for other, name in zip(origins[1:], names[1:], strict=True):
        _alike(first, names[0], other, name)
    _no_shard_twice(origins, names)
    if len(origins) == 1:
        return first
    texts = list(dict.fromkeys(origin.description for origin in origins))
    left_out = [origin.left_out for origin in origins]
    more = f" and {len(texts) - SHOWN_AT_MOST} more" if len(texts) > SHOWN_AT_MOST else ""
    return Origin(
        extractor=first.extractor,
        fingerprint=first.fingerprint,
        protocol=first.protocol,
        description=f"{len(origins)} parts: {', '.join(texts[:SHOWN_AT_MOST])}{more}",
        # one part of unknown making, and the list would claim to be whole
        shards=tuple(s for o in origins for s in o.shards) if all(o.shards for o in origins) else (),
        left_out=None if None in left_out else sum(known for known in left_out if known is not None),
        version=first.version,
    )


def _alike(first: Origin, first_name: str, other: Origin, name: str) -> None:
    if other.extractor != first.extractor:
        raise DataError(
            f"{first_name} holds statistics of {_of(first)} and {name} of {_of(other)}: "
            "only those of one extractor can be merged"
        )
    if other.fingerprint != first.fingerprint:
        raise DataError(
            f"{first_name} and {name} were made by different versions of {_of(first)} "
            f"({first.fingerprint or 'unknown'} and {other.fingerprint or 'unknown'}): make both again with one"
        )
    if other.protocol != first.protocol:
        raise DataError(f"{first_name} was made by {_by(first)} and {name} by {_by(other)}: make both by one")


def _of(origin: Origin) -> str:
    return f"the features {origin.extractor!r}" if origin.extractor else "features without a name"


def _by(origin: Origin) -> str:
    return f"the protocol {origin.protocol!r}" if origin.protocol else "no protocol"


def _no_shard_twice(origins: Sequence[Origin], names: Sequence[str]) -> None:
    first_in: dict[str, str] = {}
    for origin, name in zip(origins, names, strict=True):
        for shard in origin.shards:
            if shard.digest in first_in:
                raise DataError(
                    f"{first_in[shard.digest]} and {name} hold the same {shard.count} images "
                    f"(digest {shard.digest[:12]}): merged, they would count twice; leave one of the files out"
                )
            first_in[shard.digest] = name
