"""What an argument must be, said in one sentence when it is not: which argument, what came, what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import DataError, UsageError


def as_samples(value: Any, name: str) -> Tensor:
    """A tensor (n, d) of floating-point features from a tensor or a numpy array; shapes only, no look at the values.

    Raises:
        UsageError: another type, a wrong number of dimensions, no samples, no features, or not floating point.
    """
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise UsageError(
                f"{name}: an object array is not features; expected floating-point numbers (n, d)"
            )
        value = torch.from_numpy(value)
    if not isinstance(value, Tensor):
        raise UsageError(
            f"{name}: expected a tensor (n, d) of features or a statistic, got {type(value).__name__}; "
            "images go through assay.compare or a feature extractor first"
        )
    if value.ndim != 2:
        hint = (
            "; one feature a sample is x[:, None]" if value.ndim == 1 else "; flatten each sample to one row"
        )
        raise UsageError(f"{name}: expected shape (n, d), got {tuple(value.shape)}{hint}")
    if not value.is_floating_point():
        raise UsageError(
            f"{name}: expected floating-point features, got {value.dtype}; cast with {name}.float()"
        )
    if value.shape[0] == 0 or value.shape[1] == 0:
        what = "samples" if value.shape[0] == 0 else "features"
        raise UsageError(f"{name}: has no {what}: shape {tuple(value.shape)}")
    return value


def as_counts(value: Any, n: int, name: str) -> Tensor:
    """Weights (n,) that are counts.

    Raises:
        UsageError: a wrong shape, negative or non-finite weights, or weights that sum to 0 or to 1.
    """
    weights = torch.as_tensor(value)
    if weights.shape != (n,):
        raise UsageError(f"{name}: expected one weight a sample, shape ({n},), got {tuple(weights.shape)}")
    if torch.compiler.is_compiling():
        return weights.to(torch.float64)
    weights = weights.to(torch.float64)
    plain = weights.detach()
    if not bool(torch.isfinite(plain).all()) or bool((plain < 0).any()):
        raise UsageError(f"{name}: expected counts, finite and not below zero; got {_shown(plain)}")
    total = float(plain.sum())
    if total == 0:
        raise UsageError(f"{name}: all weights are zero, so the set is empty")
    if n > 1 and abs(total - 1) < 1e-6:
        raise UsageError(f"{name}: weights are counts and these sum to 1; multiply by n = {n}")
    return weights


def finite(samples: Tensor, name: str) -> None:
    """Refuse NaN and infinity, naming the first rows that hold them.

    Raises:
        DataError: with how many rows are affected.
    """
    bad = (~torch.isfinite(samples)).any(1).nonzero()[:, 0]
    if len(bad):
        rows = ", ".join(str(int(i)) for i in bad[:5]) + (", ..." if len(bad) > 5 else "")
        raise DataError(
            f"{name}: {len(bad)} of {len(samples)} samples hold NaN or infinity (rows {rows}); "
            "remove them or mend the extractor that made them"
        )


def sane(samples: Tensor, name: str, domain: str) -> None:
    """Refuse values that are not finite, and rows that are not probabilities where those are asked for.

    Raises:
        DataError: with how many rows are affected.
    """
    finite(samples, name)
    if domain != "probabilities":
        return
    wide = samples.to(torch.float64)
    bad = (wide < -1e-6).any(1) | ((wide.sum(1) - 1).abs() > 1e-2)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise DataError(
            f"{name}: {int(bad.sum())} of {len(samples)} rows are not class probabilities (row {row} sums to "
            f"{float(wide[row].sum()):g}, smallest {float(wide[row].min()):g}); pass logits.softmax(1)"
        )


def nearest_name(name: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' where a known name is close, else ''; case, spaces, - and _ make no difference."""
    spelled = {plain_name(each): each for each in reversed(list(known))}
    close = difflib.get_close_matches(plain_name(name), list(spelled), n=1, cutoff=0.6)
    return f" (did you mean {spelled[close[0]]!r}?)" if close else ""


def plain_name(name: str) -> str:
    """`MS-SSIM`, `MsSsim` and `ms_ssim` as one: `msssim`."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _shown(values: Tensor) -> str:
    head = ", ".join(f"{float(v):g}" for v in values[:4])
    return f"[{head}{', ...' if len(values) > 4 else ''}]"
