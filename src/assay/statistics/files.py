"""Statistics as files: safetensors with the statistic's name in the header, written whole or not at all."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import DataError
from ..written_whole import written_whole
from .protocol import STATISTICS, Statistic

FORMAT = "1"


def save(
    statistic: Statistic, path: str | os.PathLike[str], *, metadata: dict[str, str] | None = None
) -> None:
    """Write a statistic to a safetensors file, under a temporary name first and renamed when complete.

    Args:
        statistic: any statistic of `assay.statistics`.
        path: where to; an existing file is replaced in one step.
        metadata: further strings for the header (the extractor's name, say).
    """
    target = Path(path)
    header = {**(metadata or {}), "assay.statistic": type(statistic).__name__, "assay.format": FORMAT}
    tensors = {name: t.detach().cpu().contiguous() for name, t in statistic.tensors().items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(path: str | os.PathLike[str]) -> Statistic:
    """Read a statistic that `save` wrote.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    source = Path(path)
    if not source.is_file():
        raise DataError(f"{source}: no such file")
    header = read_metadata(source)
    name = header.get("assay.statistic")
    if "assay.reference" in header:
        raise DataError(
            f"{source}: holds a reference, of several statistics: read it with assay.references.load_reference"
        )
    if name is None:
        raise DataError(
            f"{source}: not a statistic (a plain safetensors file: pass its tensor as features instead)"
        )
    if name not in STATISTICS:
        raise DataError(f"{source}: holds a {name!r}, which is not one of {', '.join(sorted(STATISTICS))}")
    if header.get("assay.format") != FORMAT:
        raise DataError(
            f"{source}: format {header.get('assay.format')!r}, this version reads {FORMAT!r}: update assay"
        )
    try:
        tensors = load_file(str(source))
        for key, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise DataError(f"the tensor {key!r} holds NaN or infinity")
        return STATISTICS[name].from_tensors(tensors)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{source}: damaged {name} file ({error})") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The strings in a safetensors header, without reading the tensors."""
    with open(path, "rb") as file:
        return metadata_in(file, str(path))


def metadata_in(file: BinaryIO, name: str) -> dict[str, str]:
    """The strings in the header of an open safetensors file; `name` is what the error calls it."""
    prefix = file.read(8)
    size = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
    if not 0 < size <= 100_000_000:
        raise DataError(f"{name}: not a safetensors file")
    try:
        header = json.loads(file.read(size))
    except ValueError as error:
        raise DataError(f"{name}: not a safetensors file") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if not isinstance(metadata, dict):
        raise DataError(f"{name}: not a safetensors file")
    return {str(k): str(v) for k, v in metadata.items()}
