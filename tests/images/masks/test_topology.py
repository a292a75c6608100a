"""Betti numbers of known shapes, by another way of counting, and of random masks by Gudhi."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from skimage.measure import euler_number, label

from assay.errors import MissingExtra, UsageError
from assay.images.masks import betti_error, betti_numbers


def ring() -> torch.Tensor:
    mask = torch.zeros(9, 9)
    mask[2:7, 2:7] = 1
    mask[3:6, 3:6] = 0
    return mask


def test_flat_shapes():
    shapes = torch.zeros(4, 1, 9, 9)
    shapes[0, 0] = ring()
    shapes[1, 0] = ring()
    shapes[1, 0, 4, 4] = 1  # a piece in the hole
    shapes[2, 0, 4, 4] = shapes[2, 0, 5, 5] = 1  # two places that touch at a corner
    shapes[3, 0] = 1  # everything, up to the border
    assert betti_numbers(shapes)[:, 0].tolist() == [[1, 1], [2, 1], [1, 0], [1, 0]]
    assert betti_numbers(shapes, connectivity="faces")[:, 0].tolist() == [[1, 1], [2, 1], [2, 0], [1, 0]]


def test_connections_of_foreground_and_background_are_dual():
    diamond = torch.zeros(1, 1, 7, 7)
    for k in range(3):
        for row, column in ((3 - k, k + 1), (3 + k, k + 1)):
            diamond[0, 0, row, column] = diamond[0, 0, row, 6 - column] = 1
    # a circle of corners: closed where corners connect, pieces and no hole where they do not
    assert betti_numbers(diamond)[0, 0].tolist() == [1, 1]
    assert betti_numbers(diamond, connectivity="faces")[0, 0, 1] == 0


def test_solid_shapes():
    shell, torus = torch.zeros(2, 1, 1, 9, 9, 9)
    shell[0, 0, 2:7, 2:7, 2:7] = 1
    shell[0, 0, 3:6, 3:6, 3:6] = 0
    torus[0, 0, 4] = ring()
    assert betti_numbers(torch.cat([shell, torus]))[:, 0].tolist() == [[1, 0, 1], [1, 1, 0]]
    assert float(betti_error(shell, torus)) == 2
    assert [float(betti_error(shell, torus, dimension=k)) for k in range(3)] == [0, 1, 1]


@pytest.mark.parametrize("connectivity", ["full", "faces"])
@pytest.mark.parametrize("places", [(12, 15), (7, 8, 9)])
def test_random_masks_as_scikit_image(places, connectivity):
    masks = np.random.default_rng(0).random((12, 2, *places)) < np.linspace(0.2, 0.8, 12).reshape(
        12, *[1] * (len(places) + 1)
    )
    d = len(places)
    full = connectivity == "full"
    got = betti_numbers(torch.from_numpy(masks), connectivity=connectivity).numpy()
    for i in range(12):
        for c in range(2):
            mask = np.pad(masks[i, c], 1)
            pieces = label(mask, connectivity=d if full else 1, return_num=True)[1]
            cavities = label(~mask, connectivity=1 if full else d, return_num=True)[1] - 1
            euler = euler_number(mask, connectivity=d if full else 1)
            expected = [pieces, cavities] if d == 2 else [pieces, pieces + cavities - euler, cavities]
            assert got[i, c].tolist() == expected
            if d == 2:
                assert pieces - cavities == euler


def test_random_masks_as_gudhi():
    # gudhi 3.13.0, CubicalComplex(top_dimensional_cells=...) and (vertices=...), persistent_betti_numbers(0.5, 0.5)
    masks = torch.from_numpy(
        np.random.default_rng(5).random((3, 1, 8, 9, 10)) < np.array([0.3, 0.5, 0.7]).reshape(3, 1, 1, 1, 1)
    )
    assert betti_numbers(masks)[:, 0].tolist() == [[2, 59, 0], [1, 49, 2], [1, 5, 16]]
    assert betti_numbers(masks, connectivity="faces")[:, 0].tolist() == [[59, 1, 0], [20, 32, 0], [3, 49, 0]]


def test_error_and_empty_masks():
    p, t = torch.zeros(1, 2, 9, 9), torch.zeros(1, 2, 9, 9)
    assert float(betti_error(p, t)) == 0
    t[0, 0] = ring()
    assert float(betti_error(p, t)) == 1.0  # the mean of 2, a piece and a hole, and 0
    p[0, 0] = 0.6 * ring()
    assert float(betti_error(p, t)) == 0
    assert float(betti_error(p, t, threshold=0.7)) == 1.0


def test_refused(monkeypatch):
    mask = ring()[None, None]
    with pytest.raises(UsageError, match="betti_error has no gradient"):
        betti_error.objective()
    with pytest.raises(UsageError, match=r"dimension: expected None or one of \[0, 1\], got 2"):
        betti_error(mask, mask, dimension=2)
    for wrong in (True, False, 1.0, torch.tensor(1)):
        with pytest.raises(UsageError, match="dimension: expected None or one of"):
            betti_error(mask, mask, dimension=wrong)
    assert torch.equal(betti_numbers(mask.bfloat16()), betti_numbers(mask))
    with pytest.raises(UsageError, match="connectivity: expected 'full' or 'faces', got 8"):
        betti_error(mask, mask, connectivity=8)
    with pytest.raises(UsageError, match="threshold: expected"):
        betti_error(mask, mask, threshold=127)
    with pytest.raises(UsageError, match="masks: expected"):
        betti_numbers(mask[0])
    found = builtins.__import__

    def without(name, *rest):
        if name.startswith("scipy"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"scipy.*assay\[masks\]"):
        betti_numbers(mask)
