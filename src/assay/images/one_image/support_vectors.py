"""A support-vector regression, read from the text that libsvm writes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...errors import DataError, UsageError
from .natural_scene import Convention

Ranges = tuple[Sequence[float], Sequence[float]]
# a table of more would be a misread number
MOST_FEATURES = 100_000


@dataclass(frozen=True, eq=False)
class SupportVectors:
    r"""$f(x) = \sum_k c_k \exp(-\gamma \| s(x) - v_k \|^2) - \rho$, where s takes [least, largest] to [-1, 1].

    Attributes:
        coefficients: (K,) float64.
        vectors: (K, d) float64.
        gamma, rho: of the kernel and the sum.
        least, largest: (d,) float64 of each feature.
        convention: of the features that it was fitted to.
        source: what to call it in messages.
    """

    coefficients: Tensor
    vectors: Tensor
    gamma: float
    rho: float
    least: Tensor
    largest: Tensor
    convention: Convention
    source: str

    def __call__(self, features: Tensor) -> Tensor:
        """(B, d) -> (B,), of the features' precision."""
        coefficients, vectors, least, largest = (
            t.to(features.device) for t in (self.coefficients, self.vectors, self.least, self.largest)
        )
        # float64: the coefficients are large, and what they weigh all but cancels
        scaled = 2 * (features.to(torch.float64) - least) / (largest - least) - 1
        apart = (scaled[:, None] - vectors).square().sum(-1)
        return (torch.exp(-self.gamma * apart) @ coefficients - self.rho).to(features.dtype)

    def __repr__(self) -> str:
        return f"SupportVectors({self.source}, {len(self.vectors)} vectors)"


def read_libsvm(
    file: str | os.PathLike[str],
    *,
    known: Mapping[tuple[int, float], tuple[Ranges, Convention]],
    ranges: Ranges | None = None,
    convention: Convention = "matlab",
) -> SupportVectors:
    """An epsilon-SVR with a Gaussian kernel from libsvm's text.

    Args:
        file: what `svm-train` or `svm_save_model` wrote.
        known: ranges and convention of known models, by number of vectors and rho.
        ranges: the least and the largest value of each feature; of a known model None.
        convention: of the features, where ranges are given.

    Raises:
        UsageError: no such file, or a model without known ranges.
        DataError: another kind of model, or text that is none.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise UsageError(f"model: there is no file {path}")
    try:
        text = path.read_text(encoding="ascii")
        head, body = _parts(text)
        if (head["svm_type"], head["kernel_type"]) != ("epsilon_svr", "rbf"):
            raise DataError(
                f"{path}: is a model of type {head['svm_type']} with kernel {head['kernel_type']}, expected "
                "epsilon_svr with rbf"
            )
        count, gamma, rho = int(head["total_sv"]), float(head["gamma"]), float(head["rho"])
        rows = [line.split() for line in body]
        entries = [[(int(k), float(v)) for k, _, v in (e.partition(":") for e in row[1:])] for row in rows]
        width = max(k for row in entries for k, _ in row)
        if width > MOST_FEATURES:
            raise ValueError(f"feature number {width}")
        vectors = torch.zeros(len(rows), width, dtype=torch.float64)
        for at, row in enumerate(entries):
            for k, v in row:
                if k < 1:
                    raise ValueError(f"feature number {k}")
                vectors[at, k - 1] = v
        coefficients = torch.tensor([float(row[0]) for row in rows], dtype=torch.float64)
        if not (vectors.isfinite().all() and coefficients.isfinite().all() and math.isfinite(gamma + rho)):
            raise ValueError("NaN or infinity")
    except DataError:
        raise
    except (ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not the text of a libsvm model ({error})") from None
    if len(rows) != count:
        raise DataError(f"{path}: says it has {count} support vectors, and has {len(rows)}")
    if not text.endswith("\n"):
        raise DataError(f"{path}: is cut off in its last line, which libsvm ends with a line break")
    found = known.get((count, rho)) if ranges is None else (ranges, convention)
    if found is None:
        raise UsageError(
            f"{path}: is not one of the published models ({count} vectors, rho {rho:g}): give the ranges that its "
            f"features were scaled by as ranges=(least, largest), {width} numbers each"
        )
    least, largest = (torch.tensor(list(r), dtype=torch.float64) for r in found[0])
    if least.shape != (width,) or largest.shape != (width,) or not bool((largest > least).all()):
        raise UsageError(
            f"ranges: expected {width} least and as many larger numbers, got {tuple(least.shape)} and "
            f"{tuple(largest.shape)}"
        )
    return SupportVectors(coefficients, vectors, gamma, rho, least, largest, found[1], path.name)


def _parts(text: str) -> tuple[dict[str, str], list[str]]:
    """What stands before "SV", by name, and the lines after it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cut = lines.index("SV")
    return dict(line.split(maxsplit=1) for line in lines[:cut]), lines[cut + 1 :]
