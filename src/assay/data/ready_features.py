"""Features that were made elsewhere: are these numbers fit to be measured?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.data.urls import refuse_url
from assay.errors import DataError, UsageError

ROWS_AT_A_TIME = 65_536
NAMED_AT_MOST = 10


@dataclass(frozen=True)
class FeatureArray:
    """features: (n, d) float32 or float64, finite; description: where from, for messages and reports."""

    features: Tensor
    description: str

    @property
    def names(self) -> tuple[str, ...]:
        """The row numbers: an array has no other names."""
        return tuple(str(row) for row in range(len(self.features)))

    def __len__(self) -> int:
        return len(self.features)


def load_features(path: str | os.PathLike[str]) -> FeatureArray:
    """Features from a `.npy` (mapped, not copied, where it is float32 or float64) or a `.safetensors` file.

    The array is (n, d), one row a sample. A `.safetensors` file has one two-dimensional tensor, or one named
    `features`. float16 and bfloat16 become float32. Nothing is ever unpickled: object arrays are refused.

    Raises `DataError` for a missing or damaged file, another number of dimensions, no rows or columns,
    integers, complex numbers or objects, and NaN or infinity (with the row numbers); `UsageError` for
    another suffix, or a URL.
    """
    refuse_url(path, "features")
    where = Path(path)
    reader = READERS.get(where.suffix.lower())
    if reader is None:
        raise UsageError(f"{where} is not a file of features: expected {' or '.join(READERS)}")
    try:
        if not where.is_file():
            raise DataError(f"{where} is not a file that exists: expected features of shape (n, d)")
        return as_features(reader(where), description=str(where))
    except OSError as error:
        raise DataError(f"{where} cannot be read: {(error.strerror or str(error)).lower()}") from None


def as_features(features: NDArray[np.generic] | Tensor, *, description: str = "features") -> FeatureArray:
    """An (n, d) array or tensor in memory as checked features; float32 and float64 are not copied.

    description: what the error calls it. Raises as `load_features` does.
    """
    if isinstance(features, Tensor):
        return FeatureArray(_checked(features.detach(), description), description)
    if isinstance(features, np.ndarray):
        return FeatureArray(_checked(_from_numpy(features, description), description), description)
    raise UsageError(f"features must be a numpy array or a torch tensor, not {type(features).__name__}")


def _read_npy(path: Path) -> NDArray[np.generic]:
    # `open_memmap` reads .npy and nothing else (np.load would also take pickles and zips), and has no way to
    # unpickle. Mode "c" leaves the file alone yet gives torch the writable memory it wants.
    try:
        return np.lib.format.open_memmap(path, mode="c")
    except OSError:
        raise
    except Exception as error:  # a damaged header reaches the parser of Python literals
        if "Python objects" in str(error):
            raise _objects(str(path)) from None
        raise DataError(f"{path} is not a whole .npy file: {' '.join(str(error).split())[:120]}") from None


def _read_safetensors(path: Path) -> Tensor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if "assay.statistic" in header or "assay.reference" in header:
                held = (
                    f"the statistic {header['assay.statistic']}"
                    if "assay.statistic" in header
                    else "a reference"
                )
                raise DataError(
                    f"{path} holds {held}, not features: assay compare takes it as it is, and "
                    "assay.references.load_reference reads it"
                )
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if "features" in shapes:
                features: Tensor = file.get_tensor("features")
                return features
            matrices = [key for key, shape in shapes.items() if len(shape) == 2]
            if len(matrices) == 1:
                matrix: Tensor = file.get_tensor(matrices[0])
                return matrix
    except SafetensorError as error:
        raise DataError(f"{path} is not a whole .safetensors file: {error}") from None
    held = ", ".join(f"{key} {shape}" for key, shape in list(shapes.items())[:NAMED_AT_MOST]) or "nothing"
    raise DataError(f"{path} must hold one two-dimensional tensor, or one named features; it holds {held}")


READERS: Mapping[str, Callable[[Path], NDArray[np.generic] | Tensor]] = {
    ".npy": _read_npy,
    ".safetensors": _read_safetensors,
}


def _from_numpy(array: NDArray[np.generic], description: str) -> Tensor:
    if array.dtype.hasobject:
        raise _objects(description)
    if array.dtype.kind in "iub":
        raise _integers(description, str(array.dtype))
    if array.dtype.kind != "f":
        raise DataError(f"{description} must be floating-point features, not {array.dtype}")
    if array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy()  # torch has no negative strides, and warns of memory it must not write to
    return torch.from_numpy(array)


def _checked(features: Tensor, description: str) -> Tensor:
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    if features.is_complex():
        raise DataError(f"{description} must be floating-point features, not {features.dtype}")
    if not features.is_floating_point():
        raise _integers(description, str(features.dtype))
    if features.ndim != 2:
        advice = {1: "one feature a sample is x[:, None]", 4: "images are not features: pass them as images"}
        raise DataError(
            f"{description} must have the shape (n, d), one row a sample, not {tuple(features.shape)}: "
            f"{advice.get(features.ndim, 'flatten or pool all but the first axis')}"
        )
    if 0 in features.shape:
        raise DataError(
            f"{description} must have at least one row and one column, not {tuple(features.shape)}"
        )
    _check_finite(features, description)
    return features


def _check_finite(features: Tensor, description: str) -> None:
    bad: list[int] = []
    for start in range(0, len(features), ROWS_AT_A_TIME):
        finite = torch.isfinite(features[start : start + ROWS_AT_A_TIME]).all(dim=1)
        bad += (torch.nonzero(~finite).flatten() + start).tolist()
    if bad:
        rows = ", ".join(str(row) for row in bad[:NAMED_AT_MOST])
        more = f" and {len(bad) - NAMED_AT_MOST} more" if len(bad) > NAMED_AT_MOST else ""
        raise DataError(
            f"{description} has NaN or infinity in {len(bad)} of {len(features)} rows (counted from 0): "
            f"{rows}{more}; remove those rows, or find what made them"
        )


def _objects(description: str) -> DataError:
    return DataError(
        f"{description} is an array of Python objects, which would have to be unpickled: "
        "save plain numbers, e.g. np.save(path, np.stack(list_of_rows).astype('float32'))"
    )


def _integers(description: str, dtype: str) -> DataError:
    return DataError(
        f"{description} must be floating-point features, not {dtype}: if these are images, pass them as "
        "images; if they are features, convert them, e.g. x.astype('float32')"
    )
