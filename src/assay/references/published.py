"""Statistics as the field ships them: `.npz` files with `mu` and `sigma`, or with features."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from ..statistics import Moments, Samples
from .origin import Origin
from .reference import FEATURES, Reference

NPZ = ".npz"
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
WIDEST = 16_384  # features; their covariance in float64 is 2 GiB
MOST_SAMPLES = 2**33  # bytes of features read from one file
ROUNDING = (
    1e-6  # of the norm: float32 moves entries by 6e-8 of themselves, and eigenvalues by no more of the norm
)
SPACES = {FEATURES: ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}


def is_published(path: str | os.PathLike[str]) -> bool:
    """Whether an `.npz` file holds statistics (`mu`, or `feats`), images beside them or not; False where it is none."""
    source = Path(path)
    if source.suffix.lower() != NPZ or not source.is_file():
        return False
    try:
        with zipfile.ZipFile(source) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    return bool(names & {"mu.npy", "sigma.npy", "feats.npy"})


def read_published(path: str | os.PathLike[str]) -> Reference:
    """Statistics from an `.npz` file: nothing in it is unpickled.

    | arrays | become |
    |---|---|
    | `mu` (d,), `sigma` (d, d) | the moments of the features |
    | `mu_s`, `sigma_s` | the moments of the spatial features |
    | `feats` (n, d) | samples |

    `sigma` has n - 1 in its denominator, as numpy's covariance has. The files do not say of how many images they are,
    nor by which extractor they were made: the moments are taken as a population's. Images beside them (`arr_0`) are
    another reader's.

    Raises:
        DataError: a damaged file, arrays of Python objects, none of these arrays, a covariance that is none: of
            another shape, NaN, not symmetric, or with eigenvalues below zero beyond rounding.
    """
    source = Path(path)
    wanted = {name for pair in SPACES.values() for name in pair} | {"feats"}
    try:
        with zipfile.ZipFile(source) as archive:
            held = [n.removesuffix(".npy") for n in archive.namelist()]
            arrays = {name: _array(archive, name, source) for name in held if name in wanted}
    except OSError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError) as error:
        raise DataError(f"{source} is not a whole .npz file: {' '.join(str(error).split())[:120]}") from None
    moments = {}
    for space, (mean, covariance) in SPACES.items():
        if mean in arrays or covariance in arrays:
            moments[space] = _moments(source, mean, covariance, arrays)
    samples = _samples(source, arrays["feats"]) if "feats" in arrays else None
    if FEATURES not in moments and samples is None:
        shown = ", ".join(sorted(held)[:10]) or "nothing"
        raise DataError(f"{source} holds no statistics (mu and sigma, or feats): it holds {shown}")
    return Reference(moments, samples, origin=Origin(description=str(source)))


def refuse_pickle(path: Path) -> DataError:
    """What is said of files that could run anything when they are read."""
    return DataError(
        f"{path} would have to be unpickled, which can run anything, so it is not read: load it where you trust it and "
        "write numpy.savez('ref.npz', mu=mean, sigma=covariance)"
    )


def _array(archive: zipfile.ZipFile, name: str, source: Path) -> NDArray[np.floating]:
    """One array, its header looked at before any memory is taken."""
    with archive.open(f"{name}.npy") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        except ValueError as error:
            raise DataError(
                f"{source}: {name} is not a whole array ({' '.join(str(error).split())[:80]})"
            ) from None
    if dtype.hasobject:
        raise DataError(f"{source}: {name} is an array of Python objects, which would have to be unpickled")
    if dtype.kind != "f":
        raise DataError(f"{source}: {name} must be floating point, not {dtype}")
    dimensions = {"mu": 1, "mu_s": 1}.get(name, 2)
    too_large = (
        max(shape[-1:], default=0) > WIDEST or np.prod(shape, dtype=float) * dtype.itemsize > MOST_SAMPLES
    )
    if len(shape) != dimensions or 0 in shape or too_large:
        wanted = {"mu": "(d,)", "mu_s": "(d,)", "feats": "(n, d)"}.get(name, "(d, d)")
        raise DataError(
            f"{source}: {name} must have the shape {wanted} with d from 1 to {WIDEST}, not {shape}"
        )
    with archive.open(f"{name}.npy") as file:
        try:
            return np.lib.format.read_array(file, allow_pickle=False)
        except ValueError as error:
            raise DataError(
                f"{source}: {name} is not a whole array ({' '.join(str(error).split())[:80]})"
            ) from None


def _moments(source: Path, mean: str, covariance: str, arrays: Mapping[str, NDArray[np.floating]]) -> Moments:
    for name in (mean, covariance):
        if name not in arrays:
            raise DataError(f"{source} holds one of {mean} and {covariance} only: {name} is missing")
        if not np.isfinite(arrays[name]).all():
            raise DataError(f"{source}: {name} holds NaN or infinity")
    d = len(arrays[mean])
    if arrays[covariance].shape != (d, d):
        raise DataError(
            f"{source}: {covariance} must have the shape ({d}, {d}), as {mean} has {d} entries, "
            f"not {arrays[covariance].shape}"
        )
    return Moments.from_covariance(
        _tensor(arrays[mean]), _positive(source, covariance, _tensor(arrays[covariance])), None
    )


def _positive(source: Path, name: str, matrix: Tensor) -> Tensor:
    """The symmetric part, once it is known to be a covariance up to rounding to float32."""
    rounding = ROUNDING * float(matrix.norm())
    if float((matrix - matrix.T).abs().max()) > rounding:
        raise DataError(f"{source}: {name} is not symmetric, so it is not a covariance")
    symmetric = 0.5 * (matrix + matrix.T)
    # Cholesky's factor exists where no eigenvalue is below the shift: a sixth of the eigenvalues' work
    shifted = symmetric + torch.eye(len(matrix), dtype=torch.float64) * rounding
    if rounding > 0 and int(torch.linalg.cholesky_ex(shifted).info) != 0:
        values = torch.linalg.eigvalsh(symmetric)
        raise DataError(
            f"{source}: {name} has eigenvalues from {float(values[0]):.3g} to {float(values[-1]):.3g}: below zero "
            "beyond rounding, so it is not a covariance"
        )
    return symmetric


def _samples(source: Path, features: NDArray[np.floating]) -> Samples:
    if not np.isfinite(features).all():
        raise DataError(f"{source}: feats holds NaN or infinity")
    return Samples.of(
        _tensor(features) if features.dtype.itemsize > 4 else torch.from_numpy(features.astype("f4"))
    )


def _tensor(array: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
