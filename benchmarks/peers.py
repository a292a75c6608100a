"""The peers, imported where they are installed; each function returns the peer's own function."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

import torch


@lru_cache(maxsize=1)
def _torchvision_names() -> Any:
    """torchvision's Python side imports beside a PyTorch its compiled operators do not fit, given their two names."""
    if hasattr(torch.ops.torchvision, "nms"):
        return None
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _from(module: str, name: str) -> Any:
    _torchvision_names()
    return getattr(importlib.import_module(module), name)


def pytorch_fid() -> Any:
    return _from("pytorch_fid.fid_score", "calculate_frechet_distance")


def clean_fid() -> Any:
    return _from("cleanfid.fid", "frechet_distance")


def torchmetrics_fid() -> Any:
    return _from("torchmetrics.image.fid", "_compute_fid")


def torch_fidelity() -> Any:
    compute = _from("torch_fidelity.metric_fid", "fid_statistics_to_metric")

    def distance(m1: Any, c1: Any, m2: Any, c2: Any) -> float:
        found = compute({"mu": m1, "sigma": c1}, {"mu": m2, "sigma": c2}, False)
        return float(found["frechet_inception_distance"])

    return distance


def polynomial_mmd() -> Any:
    kernel, mmd = (_from("torch_fidelity.metric_kid", name) for name in ("kernel_poly", "mmd2"))

    def distance(x: Any, y: Any) -> float:
        settings = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
        return float(mmd(*(kernel(a, b, **settings) for a, b in ((x, x), (x, y), (y, y)))))

    return distance


def prdc() -> Any:
    return _from("prdc", "compute_prdc")
