"""References as files: one safetensors file an extractor, written whole or not at all, nothing in it can run.

The header says what made it and of what; `<space>.weight`, `.mean` and `.upper` (the scatter's upper triangle, row by
row) are a space's moments, or `.rows` and `.counts` where there are few samples; `samples.*` and `predictions.*` are
those statistics' own tensors.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..data import refuse_url
from ..errors import DataError, UsageError
from ..printable import printable
from ..sets import Predictions
from ..statistics import Moments, Samples, load
from ..statistics.files import metadata_in, read_metadata
from ..written_whole import written_whole
from .origin import Origin, Shard, merged_origin
from .published import NPZ, PICKLES, is_published, read_published, refuse_pickle
from .reference import FEATURES, Reference, folded
from .symmetric import packed, unpacked

FORMAT = "1"
WHOLE: Mapping[str, type] = {"samples": Samples, "predictions": Predictions}  # kept as their own tensors


def save_reference(reference: Reference, path: str | os.PathLike[str]) -> None:
    """Write a reference, under a temporary name first and renamed when complete; folders on the way are made.

    Raises:
        DataError: the file cannot be written.
    """
    tensors = _tensors(reference)
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(target) as temporary:
            safetensors.torch.save_file(tensors, temporary, metadata=_header(reference, tensors))
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{target} cannot be written: {reason.lower()}") from None


def to_bytes(reference: Reference) -> bytes:
    """What the reference's file holds, for a row of a table or a message between processes."""
    tensors = _tensors(reference)
    written: bytes = safetensors.torch.save(tensors, metadata=_header(reference, tensors))
    return written


def from_bytes(content: bytes) -> Reference:
    """The reference that `to_bytes` gave.

    Raises:
        DataError: the bytes are damaged, or something else.
    """
    header = metadata_in(io.BytesIO(content), "the reference")
    if "assay.reference" not in header:
        raise DataError("the reference: the bytes are not what assay.references.to_bytes gave")
    return _read("the reference", header, lambda: safetensors.torch.load(content))


def load_reference(path: str | os.PathLike[str]) -> Reference:
    """Read a reference: one that `save_reference` wrote, a single `Moments` or `Samples` of
    `assay.statistics.save`, or a published `.npz`; see `read_published`.

    Raises:
        UsageError: a URL.
        DataError: the file is missing or damaged, holds something else, or would have to be unpickled.
    """
    refuse_url(path, "references")
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix in PICKLES:
        raise refuse_pickle(source)
    if not source.is_file():
        raise DataError(f"{source}: no such file")
    try:
        if suffix == NPZ:
            return read_published(source)
        header = read_metadata(source)
        if "assay.reference" not in header:
            return _single(source, header)
        return _read(str(source), header, lambda: safetensors.torch.load_file(str(source)))
    except OSError as error:
        raise DataError(f"{source} cannot be read: {(error.strerror or str(error)).lower()}") from None


def merge_files(
    paths: Sequence[str | os.PathLike[str]], progress: Callable[[int, int], None] | None = None
) -> Reference:
    """The reference of all files' images together; two files are held at once, and all headers are looked at first.

    progress: called as progress(files done, all files).

    Raises:
        DataError: as `load_reference` and `merge_references` do.
    """
    if not paths:
        raise UsageError("merge: no files; expected at least one")
    for path in paths:
        refuse_url(path, "references")
    names = [str(path) for path in paths]
    where = [os.path.realpath(name) for name in names]
    for k, name in enumerate(names):
        if where.index(where[k]) < k:
            raise DataError(f"{name} is given twice: merged, its images would count twice")
    origin = merged_origin([_origin_of(Path(path)) for path in paths], names)

    def one_by_one() -> Any:
        for k, path in enumerate(paths):
            yield load_reference(path)
            if progress is not None:
                progress(k + 1, len(paths))

    return folded(one_by_one(), names, origin)


def is_reference(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one that `load_reference` is for: a reference or a statistic, and no plain features or images.

    False where there is no such file, or another one; of a file that is damaged, its own reader speaks.
    """
    source = Path(path)
    if source.suffix.lower() == NPZ:
        return is_published(source)
    if source.suffix.lower() != ".safetensors" or not source.is_file():
        return False
    try:
        header = read_metadata(source)
    except (DataError, OSError):
        return False
    return "assay.reference" in header or "assay.statistic" in header


def _origin_of(path: Path) -> Origin:
    """From the header alone, where there is one."""
    if path.suffix.lower() == ".safetensors" and path.is_file():
        header = read_metadata(path)
        if "assay.reference" in header:
            return _origin(str(path), header)
    return load_reference(path).origin


def _tensors(reference: Reference) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for space, moments in reference.moments.items():
        tensors.update({f"{space}.{name}": t for name, t in _compact(moments).items()})
    for name in WHOLE:
        statistic = getattr(reference, name)
        if statistic is not None:
            tensors.update({f"{name}.{part}": t for part, t in statistic.tensors().items()})
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}


def _compact(moments: Moments) -> dict[str, Tensor]:
    """As few numbers as hold them: rows where they are fewer than the triangle's."""
    d = moments.width
    if moments.rows is not None and len(moments.rows) * (d + 1) <= d * (d + 1) // 2:
        return moments.tensors()
    return {"weight": moments.weight, "mean": moments.mean, "upper": packed(moments.dense_scatter())}


def _header(reference: Reference, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    origin = reference.origin
    count = reference.count
    said = {
        "assay.reference": FORMAT,
        "assay.version": origin.version,
        "extractor": origin.extractor,
        "fingerprint": origin.fingerprint,
        "protocol": origin.protocol,
        "description": origin.description,
        "count": None if count is None else f"{count:.17g}",
        "width": str(reference.width),
        "left_out": None if origin.left_out is None else str(origin.left_out),
        "shards": json.dumps([[s.digest, s.count] for s in origin.shards]),
        "digest": _digest(tensors),
    }
    return {name: text for name, text in said.items() if text is not None}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Of all numbers: a flipped bit in a file of statistics would otherwise be a wrong result."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype};".encode())
        whole.update(tensors[name].numpy().tobytes())
    return whole.hexdigest()


def _read(source: str, header: Mapping[str, str], load_tensors: Callable[[], dict[str, Tensor]]) -> Reference:
    if header["assay.reference"] != FORMAT:
        raise DataError(
            f"{source}: format {header['assay.reference']!r}, this version reads {FORMAT!r}: update assay"
        )
    try:
        tensors = load_tensors()
        if _digest(tensors) != header.get("digest"):
            raise DataError("its numbers are not those that were written")
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise DataError(f"the tensor {name!r} holds NaN or infinity")
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            space, _, part = name.rpartition(".")
            parts.setdefault(space, {})[part] = tensor
        kept: dict[str, Any] = {
            name: kind.from_tensors(parts.pop(name))  # type: ignore[attr-defined]
            for name, kind in WHOLE.items()
            if name in parts
        }
        moments = {
            space: _moments(held) for space, held in sorted(parts.items(), key=lambda p: p[0] != FEATURES)
        }
        return Reference(moments, kept.get("samples"), kept.get("predictions"), _origin(source, header))
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{source}: damaged reference file ({error})") from error


def _moments(held: dict[str, Tensor]) -> Moments:
    if "upper" in held and held.get("mean", torch.empty(())).ndim == 1:
        held["scatter"] = unpacked(held.pop("upper"), len(held["mean"]))
    return Moments.from_tensors(held)


def _origin(source: str, header: Mapping[str, str]) -> Origin:
    try:
        shards = tuple(
            Shard(str(digest), int(count)) for digest, count in json.loads(header.get("shards", "[]"))
        )
        left_out = int(header["left_out"]) if "left_out" in header else None
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{source}: damaged reference file (its list of shards or its left_out: {error})"
        ) from None
    return Origin(
        extractor=header.get("extractor"),
        fingerprint=header.get("fingerprint"),
        protocol=header.get("protocol"),
        description=printable(header.get("description", source)),
        shards=shards,
        left_out=left_out,
        version=header.get("assay.version"),
    )


def _single(source: Path, header: Mapping[str, str]) -> Reference:
    """A file of one statistic, as `assay.statistics.save` writes them."""
    statistic = load(source)
    origin = Origin(header.get("extractor"), header.get("fingerprint"), description=str(source))
    if isinstance(statistic, Moments):
        return Reference({FEATURES: statistic}, origin=origin)
    if isinstance(statistic, Samples):
        return Reference({}, statistic, origin=origin)
    raise DataError(
        f"{source}: holds a {type(statistic).__name__}, and a reference is Moments or Samples: "
        "make one from the images with assay stats"
    )
