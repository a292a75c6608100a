"""`linear_prediction_distance` equals a slow reference by its definition, and the authors' package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images.prediction import linear_prediction, linear_prediction_distance


def predictors(z, count, decay, ridge):
    """Unit predictors of every value of an (H, W, C) array, one at a time."""
    at = np.stack(np.unravel_index(np.arange(z.size), z.shape), 1)
    flat, found = z.ravel(), np.zeros((z.size, count))
    apart = np.abs(at[:, None] - at).sum(2)
    for i in range(z.size):
        nearest = np.argsort(apart[i, :i], kind="stable")[:count]
        found[i, : len(nearest)] = flat[nearest]
    out = np.zeros((z.size, count))
    for i in range(z.size):
        weight = decay ** apart[i, :i]
        matrix = (found[:i].T * weight) @ found[:i] + ridge * np.eye(count)
        out[i] = np.linalg.solve(matrix, (found[:i].T * weight) @ flat[:i]) + 1e-6
    return out / np.linalg.norm(out, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "shape,count",
    [((9, 8, 3), 10), ((7, 12, 1), 6), ((12, 5, 2), 12), ((3, 2, 3), 4), ((1, 9, 2), 5), ((6, 1, 1), 1)],
)
@pytest.mark.parametrize("worked", [1, 1 << 20])
def test_it_equals_the_definition(shape, count, worked, monkeypatch):
    monkeypatch.setattr(linear_prediction, "WORKED", worked)  # one row a step, and all in one
    g = np.random.default_rng(0)
    a, b = g.random(shape), g.random(shape)
    apart = np.linalg.norm(
        predictors(2 * a - 1, count, 0.7, 0.5) - predictors(2 * b - 1, count, 0.7, 0.5), axis=1
    ).reshape(shape)
    x, y = (torch.tensor(z).permute(2, 0, 1)[None] for z in (a, b))
    options = {"neighbours": count, "decay": 0.7, "ridge": 0.5}
    assert linear_prediction_distance(x, y, **options).item() == pytest.approx(apart.mean(), abs=1e-12)
    found = linear_prediction_distance.map(x, y, **options)
    torch.testing.assert_close(found[0], torch.tensor(apart.mean(2)), rtol=0, atol=1e-12)


def test_it_equals_the_authors_package(formula_pair):
    # dsevero/Linear-Autoregressive-Similarity-Index at bcac40c under jax 0.10.2 with 64 bits, on 2 z - 1
    x, y = formula_pair(12, 11)
    assert linear_prediction_distance(x, y).item() == pytest.approx(0.36590436705089485, abs=1e-12)
    assert linear_prediction_distance(x.float(), y.float()).item() == pytest.approx(
        0.36590436705089485, abs=1e-5
    )


def test_steps_give_the_gradient_of_the_whole(monkeypatch, formula_pair):
    x, y = formula_pair(9, 7)
    slopes = []
    for worked in (1, 1 << 20):
        monkeypatch.setattr(linear_prediction, "WORKED", worked)
        moved = x.clone().requires_grad_()
        linear_prediction_distance(moved, y).sum().backward()
        slopes.append(moved.grad)
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize(
    "first,second", [(0.0, 0.0), (0.5, 0.5), (0.3, 0.3), (0.0, 0.5), (0.3, None), (None, 0.0)]
)
def test_flat_images_are_safe(first, second):
    noise = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    x, y = (
        (noise.clone() if v is None else torch.full_like(noise, v)).requires_grad_() for v in (first, second)
    )
    value = linear_prediction_distance(x, y)
    slopes = torch.autograd.grad(value.sum(), (x, y))
    assert value.isfinite().all() and all(bool(s.isfinite().all()) for s in slopes)
    if first == second:
        assert value.item() == 0.0 and all(not s.any() for s in slopes)


def test_what_is_refused():
    x = torch.rand(1, 1, 3, 3)
    with pytest.raises(UsageError, match="9 values are too small for 10 neighbours"):
        linear_prediction_distance(x, x)
    with pytest.raises(UsageError, match="9 values are too small for 9 neighbours"):  # the last value has 8
        linear_prediction_distance(x, x, neighbours=9)
    assert linear_prediction_distance(x, x, neighbours=8).item() == 0.0
    for options in (
        {"neighbours": 0},
        {"neighbours": 2.0},
        {"decay": 1.5},
        {"ridge": 0.0},
        {"data_range": -1},
    ):
        with pytest.raises(UsageError, match=next(iter(options))):
            linear_prediction_distance(torch.rand(1, 3, 9, 9), torch.rand(1, 3, 9, 9), **options)
