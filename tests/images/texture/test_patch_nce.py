"""Patch-wise contrast against cross entropy on the whole matrix; places that are the same everywhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from assay.embeddings import info_nce
from assay.errors import UsageError
from assay.images.texture import patch_nce, random_places, sample_patches
from assay.scale import row_strips


def drawn(n=3, s=20, d=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, s, d, dtype=torch.float64, generator=g)


def by_cross_entropy(q, k, t):
    q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
    return torch.stack(
        [functional.cross_entropy(a @ b.T / t, torch.arange(len(a))) for a, b in zip(q, k, strict=True)]
    )


@pytest.mark.parametrize("pairs", [1, 50, 20 * 20 * 2, 1 << 19])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_equals_cross_entropy_and_its_gradient(monkeypatch, pairs, temperature):
    monkeypatch.setitem(row_strips.PAIRS, "cpu", pairs)
    q, k = drawn().requires_grad_(), drawn(seed=1).requires_grad_()
    found, expected = patch_nce(q, k, temperature=temperature), by_cross_entropy(q, k, temperature)
    assert torch.allclose(found, expected, rtol=1e-12)
    slope = torch.tensor([1.0, -2.0, 0.3], dtype=torch.float64)
    for got, wanted in zip(
        torch.autograd.grad(found @ slope, [q, k]),
        torch.autograd.grad(expected @ slope, [q, k]),
        strict=True,
    ):
        assert torch.allclose(got, wanted, rtol=1e-9, atol=1e-14)


def test_what_the_authors_program_gives():
    """`PatchNCELoss` of taesungp/contrastive-unpaired-translation (models/patchnce.py) on these features, of length 1,
    in float64, batch_size=2, nce_T=0.07, the mean an image."""
    at = torch.arange(2 * 9 * 6, dtype=torch.float64)

    def features(phase):
        return (torch.sin(1.7 * at + phase) + 0.5 * torch.cos(0.37 * at * at + phase)).reshape(2, 9, 6)

    assert patch_nce(features(0.1), features(1.1)).tolist() == pytest.approx(GOLDEN, rel=1e-9)


GOLDEN = [5.219196718676494, 4.744050945906746]


def test_constant_features_are_at_chance():
    value = patch_nce(torch.full((2, 17, 4), 0.3), torch.full((2, 17, 4), 0.3))
    assert value.tolist() == pytest.approx([math.log(17)] * 2, rel=1e-6)
    zeros = torch.zeros(1, 17, 4, requires_grad=True)
    value = patch_nce(zeros, zeros)
    assert value.tolist() == pytest.approx([math.log(17)], rel=1e-6)
    assert bool((torch.autograd.grad(value.sum(), zeros)[0] == 0).all())


def test_order_of_places_and_length_of_features_do_not_matter():
    q, k = drawn(), drawn(seed=1)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(patch_nce(q[:, order], k[:, order]), patch_nce(q, k), rtol=1e-12)
    assert torch.allclose(patch_nce(3 * q, 0.1 * k), patch_nce(q, k), rtol=1e-12)
    assert not torch.allclose(patch_nce(3 * q, k, normalise=False), patch_nce(q, k, normalise=False))


@pytest.mark.parametrize("scale", [1e-22, 1e-14, 1e25])
def test_features_of_any_length_have_a_direction_and_a_gradient(scale):
    q, k = drawn(), drawn(seed=1)
    small = (scale * q).float().requires_grad_()
    value = patch_nce(small, k.float())
    assert torch.allclose(value, patch_nce(q, k).float(), rtol=1e-4)
    q.requires_grad_()
    expected = torch.autograd.grad(patch_nce(q, k).sum(), q)[0]
    found = scale * torch.autograd.grad(value.sum(), small)[0].double()
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_detached_keys_have_no_gradient():
    q, k = drawn().requires_grad_(), drawn(seed=1).requires_grad_()
    value = patch_nce(q, k, detach_keys=True)
    assert torch.equal(value, patch_nce(q, k))
    to_q, to_k = torch.autograd.grad(value.sum(), [q, k], allow_unused=True)
    assert to_k is None
    assert torch.allclose(to_q, torch.autograd.grad(patch_nce(q, k).sum(), q)[0], rtol=1e-12)


def test_negatives_of_the_whole_batch_are_plain_info_nce():
    q, k = drawn(), drawn(seed=1)
    everything = patch_nce(q.flatten(0, 1)[None], k.flatten(0, 1)[None])
    expected = info_nce(q.flatten(0, 1), k.flatten(0, 1), temperature=0.07, symmetric=False)
    assert float(everything) == pytest.approx(float(expected), rel=1e-9)


def test_bad_input():
    q = drawn()
    with pytest.raises(UsageError, match=r"queries: expected floating-point features \(B, S, d\)"):
        patch_nce(q[0], q[0])
    with pytest.raises(UsageError, match="keys: expected the queries' shape"):
        patch_nce(q, q[:, :5])
    with pytest.raises(UsageError, match="temperature: expected a number above zero"):
        patch_nce.objective(temperature=-1.0)(q, q)


# -- places ---------------------------------------------------------------------------------------------------------


def test_places_are_different_cells_of_the_smallest_map_and_of_larger_ones():
    places = random_places((4, 5), 12, generator=torch.Generator().manual_seed(0))
    assert places.shape == (12, 2)
    for h, w in ((4, 5), (8, 10), (9, 13)):
        cells = (places * torch.tensor([h, w])).long()
        assert len(torch.unique(cells[:, 0] * w + cells[:, 1])) == 12
    assert len(random_places((4, 5), 100)) == 20


def test_the_same_places_in_every_layer():
    """Maps that hold their own coordinates."""
    layers = []
    for h, w in ((4, 4), (8, 12)):
        rows = ((torch.arange(h) + 0.5) / h)[:, None].expand(h, w)
        columns = ((torch.arange(w) + 0.5) / w)[None].expand(h, w)
        layers.append(torch.stack([rows, columns])[None].repeat(2, 1, 1, 1))
    places = random_places((4, 4), 6, generator=torch.Generator().manual_seed(3))
    small, large = sample_patches(layers, places)
    assert small.shape == large.shape == (2, 6, 2)
    assert torch.allclose(small[0], places)
    assert bool(((large[0] - places).abs() <= torch.tensor([0.5 / 8, 0.5 / 12]) + 1e-6).all())


def test_bad_places():
    maps = [torch.rand(1, 3, 4, 4)]
    with pytest.raises(UsageError, match=r"places: expected fractions \(S, 2\)"):
        sample_patches(maps, torch.zeros(3, 2, dtype=torch.int64))
    with pytest.raises(UsageError, match="got one tensor; put it in a list"):
        sample_patches(maps[0], random_places((4, 4)))
    with pytest.raises(UsageError, match="layer 0 has the shape"):
        sample_patches([maps[0][0]], random_places((4, 4)))
    with pytest.raises(UsageError, match="at least 1"):
        random_places((0, 4))
