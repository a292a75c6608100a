"""The picture of the features: their principal components, of few points, with any number of features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from assay import Comparison, compare
from assay.comparing.compared_sets import ComparedSet
from assay.report.html.picture import POINTS, picture_of


def test_the_axes_are_the_principal_components(full: Comparison) -> None:
    picture = picture_of(full, 0)
    assert picture is not None
    pooled = np.concatenate([one.features.numpy() for one in full.sets]).astype(np.float64)
    centred = pooled - pooled.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert np.allclose(picture.explained, values[:2] / values.sum(), atol=1e-5)
    axes = np.linalg.svd(centred)[2][:2]
    real = picture.clouds[0]
    for axis in range(2):  # drawn places are an increasing or decreasing map of the true coordinates
        true = centred[real.rows] @ axes[axis]
        assert abs(np.corrcoef(true, real.at[:, axis])[0, 1]) > 0.999


def test_the_picture_of_wide_and_of_many_features() -> None:
    g = torch.Generator().manual_seed(0)
    real, made = torch.randn(9000, 40, generator=g), torch.randn(9000, 40, generator=g) + 1
    found = replace(compare(real[:50], {"a": made[:50]}, measures=["fd"]))

    def sets(*tensors: torch.Tensor) -> tuple[ComparedSet, ...]:
        names = ["real", "a", "b", "c"]
        return tuple(ComparedSet(n, n, t, len(t), "samples") for n, t in zip(names, tensors, strict=False))

    many = picture_of(replace(found, sets=sets(real, made, made, made)), 0)
    assert many is not None and many.fitted == (5000, 5001)
    assert sum(len(cloud.rows) for cloud in many.clouds) <= POINTS and len(many.clouds[0].rows) == POINTS // 2
    # rank 2 in 3000 dimensions: two axes explain it all
    flat = torch.randn(80, 2, generator=g) @ torch.randn(2, 3000, generator=g)
    wide = picture_of(replace(found, sets=sets(flat[:40], flat[40:])), 0)
    assert wide is not None and sum(wide.explained) == pytest.approx(1, abs=1e-4)
    for narrow in (real[:20, :1], torch.zeros(20, 3)):
        assert picture_of(replace(found, sets=sets(narrow, narrow)), 0) is not None
    only_statistics = replace(sets(real)[0], features=None)
    assert picture_of(replace(found, sets=(only_statistics, *sets(made))), 0) is None
