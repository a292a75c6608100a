"""The published weights that LPIPS and DISTS give to feature channels: small files that two packages carry."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from assay.errors import DataError, MissingExtra, UsageError
from assay.features.backbone_file import read_tensors
from assay.features.weights import given_file

Backbone = Literal["alex", "vgg", "squeeze"]

CHANNELS: dict[str, tuple[int, ...]] = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
# the image itself, then VGG-16's five layers
DISTS_CHANNELS = (3, 64, 128, 256, 512, 512)
EXTRA = "perceptual"


@dataclass(frozen=True)
class DistsHeads:
    """Non-negative weights of texture (alpha, of the means) and structure (beta, of the covariances), a tensor (C,) a
    layer; all of both sum to 1."""

    alpha: tuple[Tensor, ...]
    beta: tuple[Tensor, ...]


def lpips_heads(
    backbone: Backbone = "alex", *, file: str | os.PathLike[str] | None = None
) -> tuple[Tensor, ...]:
    """The linear heads of LPIPS, version 0.1: a tensor (C,) of non-negative channel weights a layer.

    Args:
        backbone: alex, vgg or squeeze.
        file: in place of the file that the package `lpips` carries (lpips/weights/v0.1/BACKBONE.pth).

    Raises:
        UsageError: an unknown backbone, no such file.
        MissingExtra: without a file, where the package is not installed.
        DataError: a file of something else, or with negative weights.
    """
    if backbone not in CHANNELS:
        raise UsageError(f"backbone: expected one of {', '.join(CHANNELS)}, got {backbone!r}")
    path = _found(file, "lpips", f"weights/v0.1/{backbone}.pth", "LPIPS")
    state, channels = read_tensors(path), CHANNELS[backbone]
    names = [f"lin{k}.model.1.weight" for k in range(len(channels))]
    _expect(path, state, dict(zip(names, channels, strict=True)), f"the LPIPS heads of {backbone}")
    return tuple(state[name].to(torch.float32).flatten() for name in names)


def dists_heads(*, file: str | os.PathLike[str] | None = None) -> DistsHeads:
    """The published weights of DISTS.

    Args:
        file: in place of the file that the package `DISTS_pytorch` carries (weights.pt). Its tensors were saved on a
            GPU; they are read on the CPU, and nothing is unpickled.

    Raises:
        UsageError: no such file.
        MissingExtra: without a file, where the package is not installed.
        DataError: a file of something else, or with negative weights.
    """
    path = _found(file, "DISTS_pytorch", "weights.pt", "DISTS")
    state = read_tensors(path)
    _expect(path, state, dict.fromkeys(("alpha", "beta"), sum(DISTS_CHANNELS)), "the weights of DISTS")
    alpha, beta = (state[name].to(torch.float32).flatten() for name in ("alpha", "beta"))
    total = alpha.sum() + beta.sum()
    if not total > 0:
        raise DataError(f"{path} does not hold the weights of DISTS: all are 0")
    return DistsHeads(*(torch.split(each / total, list(DISTS_CHANNELS)) for each in (alpha, beta)))


def _found(file: str | os.PathLike[str] | None, distribution: str, ending: str, purpose: str) -> Path:
    """The file that was given, or else the package's own."""
    return given_file(file, "file") if file is not None else _in_package(distribution, ending, purpose)


def _in_package(distribution: str, ending: str, purpose: str) -> Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtra(distribution, EXTRA, purpose) from None
    found = [Path(str(file.locate())) for file in files if file.as_posix().endswith(ending)]
    existing = [file for file in found if file.is_file()]
    if not existing:
        raise DataError(f"{distribution} is installed without {ending}: reinstall it, or give file=")
    return existing[0]


def _expect(path: Path, state: dict[str, Tensor], counts: dict[str, int], what: str) -> None:
    for name, count in counts.items():
        if name not in state or state[name].numel() != count:
            found = "is missing" if name not in state else f"has {state[name].numel()} values, not {count}"
            raise DataError(f"{path} does not hold {what}: {name} {found}")
        if not bool((state[name] >= 0).all()):
            raise DataError(f"{path} does not hold {what}: {name} has negative or undefined weights")
