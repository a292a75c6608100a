"""By how much may a value differ from another package's? Each peer on the same features, beside assay.

    python docs/error_budgets.py          prints what is measured now
    python docs/error_budgets.py --write  also rewrites error_budgets.json, which the page shows

Needs the extra `bench`; a peer that is not installed is left out.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import assay

Array = np.ndarray
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """One number of one peer.

    Attributes:
        peer: the distribution's name.
        measure: what is compared.
        case: on which of `cases()`.
        budget: the largest |peer - assay| / |assay| to expect; None where the definitions differ.
        why: where the difference comes from.
        peer_value, own_value: functions of (real, made) float32 arrays.
    """

    peer: str
    measure: str
    case: str
    budget: float | None
    why: str
    peer_value: Callable[[Array, Array], float]
    own_value: Callable[[Array, Array], float]


def cases() -> dict[str, tuple[Array, Array]]:
    """Features as extractors give them: correlated, skewed, never negative, off the origin.

    "full": 2,000 and 2,000 samples of 128 features; "short": 100 and 120 samples, fewer than features;
    "near": the real samples with a little noise, 16 features that are always zero and 16 that repeat others;
    "copies": three quarters of the generated samples are real ones.
    """
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((128, 128)) / np.sqrt(128)
    blend = 0.7 * np.eye(128) + 0.3 * rng.standard_normal((128, 128)) / np.sqrt(128)

    def draw(n: int, by: Array, shift: float) -> Array:
        return np.maximum(rng.standard_normal((n, 128)) @ by + 0.4 + shift, 0).astype(np.float32)

    real, made = draw(2000, mix, 0.0), draw(2000, mix @ blend, 0.1)
    copies = made.copy()
    copies[:1500] = real[:1500]
    rng.shuffle(copies)
    flat = real.copy()
    flat[:, :16], flat[:, 16:32] = 0, flat[:, 32:48]
    near = flat + 0.03 * rng.standard_normal(flat.shape).astype(np.float32) * (flat > 0)
    return {
        "full": (real, made),
        "short": (real[:100], made[:120]),
        "near": (flat, near),
        "copies": (real, copies),
    }


def moments(features: Array) -> tuple[Array, Array]:
    """Mean and covariance as the peers expect them: float64, n - 1."""
    wide = features.astype(np.float64)
    return wide.mean(0), np.cov(wide, rowvar=False)


def pytorch_fid_distance(x: Array, y: Array) -> float:
    from pytorch_fid.fid_score import calculate_frechet_distance

    return float(calculate_frechet_distance(*moments(x), *moments(y)))


def clean_fid_distance(x: Array, y: Array) -> float:
    from cleanfid.fid import frechet_distance

    return float(frechet_distance(*moments(x), *moments(y)))


def torch_fidelity_distance(x: Array, y: Array) -> float:
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    sides = [dict(zip(("mu", "sigma"), moments(s), strict=True)) for s in (x, y)]
    return float(fid_statistics_to_metric(*sides, False)["frechet_inception_distance"])


def torchmetrics_distance(x: Array, y: Array) -> float:
    from torchmetrics.image.fid import _compute_fid

    return float(_compute_fid(*(torch.from_numpy(t) for s in (x, y) for t in moments(s))))


def torchmetrics_memorization(x: Array, y: Array) -> float:
    from torchmetrics.image.mifid import _mifid_compute

    sides = [(*map(torch.from_numpy, moments(s)), torch.from_numpy(s)) for s in (x, y)]
    return float(_mifid_compute(*sides[0], *sides[1]))


def torchmetrics_memorization_exchanged(x: Array, y: Array) -> float:
    return torchmetrics_memorization(y, x)


def clean_fid_kernel(x: Array, y: Array) -> float:
    from cleanfid.fid import kernel_distance

    np.random.seed(0)  # the peer draws from numpy's global generator
    return float(kernel_distance(x, y))


def torch_fidelity_kernel_all(x: Array, y: Array) -> float:
    from torch_fidelity.metric_kid import kernel_mmd

    wide = (s.astype(np.float64) for s in (x, y))
    options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    return float(kernel_mmd(*wide, **options, kid_kernel_poly_coef0=1.0))


def torch_fidelity_kernel(x: Array, y: Array) -> float:
    from torch_fidelity.metric_kid import kid_features_to_metric

    found = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), verbose=False)
    return float(found["kernel_inception_distance_mean"])


def torchmetrics_kernel_all(x: Array, y: Array) -> float:
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)))


def logits(features: Array) -> torch.Tensor:
    return 3 * torch.from_numpy(features[:, :10])


def torch_fidelity_score(splits: int) -> Callable[[Array, Array], float]:
    def score(_: Array, y: Array) -> float:
        from torch_fidelity.metric_isc import isc_features_to_metric

        return float(isc_features_to_metric(logits(y), splits=splits)["inception_score_mean"])

    return score


def prdc_value(name: str) -> Callable[[Array, Array], float]:
    def value(x: Array, y: Array) -> float:
        from prdc import compute_prdc

        return float(compute_prdc(x, y, nearest_k=5)[name])

    return value


def torch_fidelity_precision(name: str) -> Callable[[Array, Array], float]:
    def value(x: Array, y: Array) -> float:
        from torch_fidelity.metric_prc import calculate_precision_recall_full

        # the first argument is the generated side there
        both = calculate_precision_recall_full(torch.from_numpy(y), torch.from_numpy(x), 5, 10_000)
        return float(both[0 if name == "precision" else 1])

    return value


def vendi_value(x: Array, y: Array) -> float:
    from vendi_score import vendi

    return float(vendi.score_dual(y.astype(np.float64)))


def own(measure: assay.Measure) -> Callable[[Array, Array], float]:
    def value(x: Array, y: Array) -> float:
        sets = [torch.from_numpy(s.astype(np.float64)) for s in (x, y)]
        return float(measure(*sets[-len(measure.sides) :]))

    return value


def own_score(_: Array, y: Array) -> float:
    return float(assay.inception_score(logits(y).double().softmax(1)))


FD, KD = own(assay.frechet_distance), own(assay.kernel_distance)
MIFD = own(assay.memorization_informed_frechet_distance)

ROOT = "the root of a product of covariances loses half of the digits where it is nearly singular"
SINGULAR = "fewer samples than features: the product is singular, and its root is the peer's least exact part"
NEAR = "a small distance between singular covariances: what the root loses is a share of the total variance"
FLOAT32 = "the peer sums float32 products of float32 features; assay accumulates in float64"
SUBSETS = (
    "the peer averages random subsets of 1,000: the same expectation, with the subsets' own noise on top"
)
SAME = "the same numbers in another order"
SPLITS = "ten splits in place of one: each split's score is biased low by its size, here 200 samples"
TIES = "the same counts; a distance rounded the other way may move one of them"
OPEN = "the peer's balls are open, assay's (and the paper's) closed: they differ where samples coincide"
DIRECTION = "the peer averages over its first argument, the paper over the generated samples"

ROWS = (
    Row("pytorch-fid", "frechet_distance", "full", 1e-6, ROOT, pytorch_fid_distance, FD),
    Row("pytorch-fid", "frechet_distance", "short", 1e-3, SINGULAR, pytorch_fid_distance, FD),
    Row("pytorch-fid", "frechet_distance", "near", 1e-3, NEAR, pytorch_fid_distance, FD),
    Row("clean-fid", "frechet_distance", "full", 1e-6, ROOT, clean_fid_distance, FD),
    Row("clean-fid", "frechet_distance", "short", 1e-3, SINGULAR, clean_fid_distance, FD),
    Row("clean-fid", "frechet_distance", "near", 1e-3, NEAR, clean_fid_distance, FD),
    Row("clean-fid", "kernel_distance", "full", 0.05, SUBSETS, clean_fid_kernel, KD),
    Row("torch-fidelity", "frechet_distance", "full", 1e-6, ROOT, torch_fidelity_distance, FD),
    Row("torch-fidelity", "frechet_distance", "short", 1e-3, SINGULAR, torch_fidelity_distance, FD),
    Row("torch-fidelity", "frechet_distance", "near", 1e-3, NEAR, torch_fidelity_distance, FD),
    Row("torch-fidelity", "kernel_distance", "full", 1e-9, SAME, torch_fidelity_kernel_all, KD),
    Row("torch-fidelity", "kernel_distance, subsets", "full", 0.05, SUBSETS, torch_fidelity_kernel, KD),
    Row("torch-fidelity", "inception_score", "full", 1e-9, SAME, torch_fidelity_score(1), own_score),
    Row("torch-fidelity", "inception_score, 10 splits", "full", None, SPLITS, torch_fidelity_score(10), own_score),
    *(
        Row("torch-fidelity", m.name, "full", 2e-3, TIES, torch_fidelity_precision(m.name), own(m))
        for m in (assay.sets.precision, assay.sets.recall)
    ),
    Row("torchmetrics", "frechet_distance", "full", 1e-6, ROOT, torchmetrics_distance, FD),
    Row("torchmetrics", "frechet_distance", "short", 1e-3, SINGULAR, torchmetrics_distance, FD),
    Row("torchmetrics", "frechet_distance", "near", 1e-3, NEAR, torchmetrics_distance, FD),
    Row("torchmetrics", "kernel_distance", "full", 1e-3, FLOAT32, torchmetrics_kernel_all, KD),
    Row("torchmetrics", "memorization_informed_frechet_distance", "copies", None, DIRECTION,
        torchmetrics_memorization, MIFD),
    Row("torchmetrics", "memorization_informed_frechet_distance, sides exchanged", "copies", 1e-4, FLOAT32,
        torchmetrics_memorization_exchanged, MIFD),
    *(
        Row("prdc", m.name, "full", 2e-3, TIES, prdc_value(m.name), own(m))
        for m in assay.prdc.measures
    ),
    *(
        Row("prdc", f"{m.name}, copies", "copies", None, OPEN, prdc_value(m.name), own(m))
        for m in assay.prdc.measures
    ),
    Row("vendi-score", "vendi_score", "full", 1e-9, SAME, vendi_value, own(assay.vendi_score)),
)  # fmt: skip


def measured(rows: tuple[Row, ...] = ROWS) -> list[dict[str, object]]:
    """What each installed peer gives, beside assay."""
    name_missing_operators()
    sets, out = cases(), []
    for row in rows:
        try:
            version = importlib.metadata.version(row.peer)
        except importlib.metadata.PackageNotFoundError:
            continue
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            theirs, ours = row.peer_value(*sets[row.case]), row.own_value(*sets[row.case])
        out.append(
            {
                "peer": row.peer, "version": version, "measure": row.measure, "case": row.case,
                "peer_value": theirs, "assay": ours, "difference": abs(theirs - ours) / abs(ours),
                "budget": row.budget, "why": row.why,
            }
        )  # fmt: skip
    return out


def name_missing_operators() -> None:
    """torchvision's operators do not load beside a PyTorch built without CUDA; the peers only need their names."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor d, Tensor s, float t) -> Tensor",
        "qnms(Tensor d, Tensor s, float t) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):  # defined already: the operators did load
            library.define(schema)
    KEPT.append(library)


KEPT: list[torch.library.Library] = []  # a library's names vanish with it


if __name__ == "__main__":
    found = measured()
    for entry in found:
        shown = f"{entry['peer_value']:<12.8g} {entry['assay']:<12.8g} {entry['difference']:.1e}"
        print(
            f"{entry['peer']:15s} {entry['measure']:40s} {entry['case']:7s} {shown}  budget {entry['budget']}"
        )
    if "--write" in sys.argv:
        (HERE / "error_budgets.json").write_text(json.dumps(found, indent=2) + "\n")
