"""Contextual distance and ID-MRF against loops over patches, and against what the authors' programs gave."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.images.texture import contextual_distance, id_mrf
from assay.scale import row_strips


def maps(c, h, w, phase):
    k = torch.arange(c * h * w, dtype=torch.float64)
    return (torch.sin(1.7 * k + phase) + 0.5 * torch.cos(0.37 * k * k + phase)).reshape(1, c, h, w)


def patches(m, size):
    _, h, w = m.shape
    return [
        m[:, a : a + size, b : b + size].ravel() for a in range(h - size + 1) for b in range(w - size + 1)
    ]


def by_loops(x, y, *, h=0.5, kind="cosine", size=1, form="implementation"):
    """One pair of numpy maps, by the definition."""
    if kind == "cosine":
        mean = y.mean((1, 2), keepdims=True)
        x, y = x - mean, y - mean
    xs, ys = patches(x, size), patches(y, size)

    def cosine(v, s):
        return v @ s / (np.linalg.norm(v) * np.linalg.norm(s))

    table = np.zeros((len(xs), len(ys)))
    for i, v in enumerate(xs):
        for j, s in enumerate(ys):
            if form == "paper":
                others = max(cosine(v, r) for k, r in enumerate(ys) if k != j)
                table[i, j] = math.exp(cosine(v, s) / (max(others, 0.0) + 1e-5) / h)
            else:
                apart = [(1 - cosine(v, r)) / 2 if kind == "cosine" else ((v - r) ** 2).sum() for r in ys]
                table[i, j] = math.exp((1 - apart[j] / (min(apart) + 1e-5)) / h)
    total = table.sum(1, keepdims=True) - (table if form == "paper" else 0.0)
    return -math.log((table / total).max(0).mean())


@pytest.mark.parametrize("kind", ["cosine", "squared"])
@pytest.mark.parametrize("size", [1, 2])
def test_equals_a_loop_over_patches_of_maps_of_two_sizes(kind, size):
    x, y = maps(4, 5, 5, 0.3), maps(4, 4, 6, 2.0)
    expected = by_loops(x[0].numpy(), y[0].numpy(), kind=kind, size=size, h=0.3)
    found = contextual_distance(x, y, distance=kind, size=size, bandwidth=0.3)
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", ["implementation", "paper"])
@pytest.mark.parametrize("h", [0.5, 1.0])
def test_id_mrf_equals_a_loop_on_a_5_x_5_map(form, h):
    x, y = maps(3, 5, 5, 0.3), maps(3, 5, 5, 2.0)
    expected = by_loops(x[0].numpy(), y[0].numpy(), form=form, h=h)
    assert float(id_mrf(x, y, form=form, bandwidth=h)) == pytest.approx(expected, rel=1e-9)


def test_what_the_authors_programs_give():
    """Run on these maps in float64: `IDMRFLoss.mrf_loss` of shepnerd/inpainting_gmcnn (pytorch/model/loss.py), and the
    PyTorch `CSFlow` of roimehrez/contextualLoss (CX/CX_distance.py, sigma=0.5) followed by the sum over the reference,
    maximum over the generated places, mean and minus logarithm of its TensorFlow `CX_loss`."""
    x, y = maps(7, 6, 5, 0.3), maps(7, 6, 5, 2.0)
    assert float(id_mrf(x, y, centring="channels")) == pytest.approx(0.9308211479657409, rel=1e-12)
    assert float(contextual_distance(x, y)) == pytest.approx(0.8012646329960075, rel=1e-12)
    assert float(contextual_distance(x, y, distance="squared")) == pytest.approx(0.781856577206283, rel=1e-12)
    assert torch.equal(id_mrf(x, y), contextual_distance(x, y))


@pytest.mark.parametrize("measure", [contextual_distance, id_mrf, id_mrf.with_options(form="paper")])
def test_strips_change_nothing(monkeypatch, measure):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, 4, 6, generator=g, dtype=torch.float64, requires_grad=True)
    y = torch.randn(3, 5, 5, 3, generator=g, dtype=torch.float64, requires_grad=True)
    whole = measure(x, y)
    expected = torch.autograd.grad(whole.sum(), [x, y])
    for pairs in (1, 40, 15 * 24 * 2):
        monkeypatch.setitem(row_strips.PAIRS, "cpu", pairs)
        parts = measure(x, y)
        assert torch.allclose(parts, whole, rtol=1e-12)
        for found, wanted in zip(torch.autograd.grad(parts.sum(), [x, y]), expected, strict=True):
            assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"form": "paper"}, {"centring": "channels"}, {"size": 2}])
def test_gradient_equals_that_of_the_whole_matrix(options):
    """By automatic differentiation through the matrix of pairs, kept here; with ties nowhere."""
    x, y = maps(4, 4, 4, 0.1).requires_grad_(), maps(4, 4, 4, 1.0).requires_grad_()
    found = torch.autograd.grad(id_mrf(x, y, **options).sum(), [x, y])
    mean = y.mean(1, keepdim=True) if options.get("centring") == "channels" else y.mean((2, 3), keepdim=True)
    size = options.get("size", 1)
    a, b = (
        torch.nn.functional.normalize(torch.nn.functional.unfold(z - mean, size)[0], dim=0) for z in (x, y)
    )
    mu = a.T @ b
    if options.get("form") == "paper":
        m = mu.shape[1]
        others = torch.stack([mu[:, [k for k in range(m) if k != j]].amax(1) for j in range(m)], 1)
        similar = torch.exp(mu / (others.clamp_min(0) + 1e-5) / 0.5)
        shares = similar / (similar.sum(1, keepdim=True) - similar)
    else:
        d = (1 - mu) / 2
        similar = torch.exp((1 - d / (d.amin(1, keepdim=True) + 1e-5)) / 0.5)
        shares = similar / similar.sum(1, keepdim=True)
    whole = -shares.amax(0).mean().log()
    for got, wanted in zip(found, torch.autograd.grad(whole, [x, y]), strict=True):
        assert torch.allclose(got, wanted, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("measure", [contextual_distance, id_mrf, id_mrf.with_options(form="paper")])
def test_collapsed_patches_are_worse_than_shuffled_ones(measure):
    """The reference's own patches, wherever they lie, are best; one of them everywhere is bad."""
    g = torch.Generator().manual_seed(1)
    y = torch.randn(1, 6, 5, 5, generator=g)
    shuffled = y.flatten(2)[:, :, torch.randperm(25, generator=g)].view_as(y)
    collapsed = y[:, :, 2:3, 2:3].expand_as(y)
    other = torch.randn(1, 6, 5, 5, generator=g)
    assert float(measure(shuffled, y)) == pytest.approx(float(measure(y, y)), abs=1e-5)
    assert float(measure(y, y)) < float(measure(other, y)) < float(measure(collapsed, y))


def test_copies_are_at_0_in_single_precision():
    y = torch.rand(2, 32, 12, 12, generator=torch.Generator().manual_seed(0)) + 20
    assert contextual_distance(y, y).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    wide = contextual_distance(y.double(), y.double())
    assert torch.allclose(contextual_distance(y, y).double(), wide, atol=1e-5)


@pytest.mark.parametrize("measure", [contextual_distance, id_mrf, id_mrf.with_options(form="paper")])
@pytest.mark.parametrize("value", [0.0, 0.1, 7.3])
def test_constant_maps_are_at_chance_with_a_finite_gradient(measure, value):
    # of 143 places, whose mean is not the value but a rounding away from it
    x = torch.full((2, 3, 13, 11), value, requires_grad=True)
    y = torch.full((2, 3, 13, 11), value, requires_grad=True)
    assert (value == 0) == bool((y == y.mean((2, 3), keepdim=True)).all())
    found = measure(x, y)
    chance = math.log(142 if measure.options.get("form") == "paper" else 143)
    assert found.tolist() == pytest.approx([chance] * 2, rel=1e-6)
    assert all(bool((g == 0).all()) for g in torch.autograd.grad(found.sum(), [x, y]))


def test_gradient_is_finite_where_some_patches_equal_the_mean_or_each_other():
    y = torch.zeros(1, 3, 4, 4)
    y[:, :, 0] = torch.tensor([1.0, -1.0, 0.5])[None, :, None]
    y[:, :, 1] = -y[:, :, 0]
    for measure in (contextual_distance, id_mrf, id_mrf.with_options(form="paper")):
        x, z = y.clone().requires_grad_(), y.clone().requires_grad_()
        found = torch.autograd.grad(measure(x, z).sum(), [x, z])
        assert all(bool(g.isfinite().all()) for g in found)


def test_a_negative_largest_cosine_counts_as_0_in_the_papers_form():
    """Two reference patches are opposite, seen from their mean: what is left of a patch's cosines is one below 0."""
    y = torch.tensor([[2.0, -2.0], [1.0, -1.0]], dtype=torch.float64).view(1, 2, 1, 2)
    x = torch.tensor([[1.0, 3.0, -1.0], [0.0, 1.0, 4.0]], dtype=torch.float64).view(1, 2, 1, 3)
    axis = np.array([2.0, 1.0]) / 5**0.5
    cosines = np.array([v @ axis / np.linalg.norm(v) for v in x[0, :, 0].numpy().T])
    # RS(v, 1) / RS(v, 2) and back: with two patches the normaliser is the other's similarity
    first, second = cosines / (np.maximum(-cosines, 0) + 1e-5), -cosines / (np.maximum(cosines, 0) + 1e-5)
    best = [np.max((first - second) / 9e4), np.max((second - first) / 9e4)]
    found = id_mrf(x, y, form="paper", bandwidth=9e4)
    assert found.item() == pytest.approx(-np.log(np.exp(best).mean()), rel=1e-9)
    assert abs(found.item()) > 0.1


@pytest.mark.parametrize("scale", [1e-22, 1e-14, 1e25])
def test_directions_have_no_scale(scale):
    """The squares, and the gradient's cubes, of such features are beyond float32; their directions are not."""
    x, y = maps(4, 4, 5, 0.1), maps(4, 5, 4, 2.0)
    for measure in (contextual_distance, id_mrf, id_mrf.with_options(form="paper")):
        found, expected = [], []
        for factor, out in ((scale, found), (1.0, expected)):
            members = [(factor * m).float().requires_grad_() for m in (x, y)]
            value = measure(*members).sum()
            out += [value, *(factor * g.double() for g in torch.autograd.grad(value, members))]
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_bad_input():
    x = torch.rand(2, 3, 5, 5)
    for measure in (contextual_distance, id_mrf):
        with pytest.raises(UsageError, match="generated has 3 channels and reference 2"):
            measure(x, x[:, :2])
        with pytest.raises(UsageError, match=r"reference: expected floating-point feature maps"):
            measure(x, x[:, 0])
        with pytest.raises(UsageError, match="hold no patch of 6 x 6"):
            measure(x, x, size=6)
        with pytest.raises(UsageError, match="size: expected a whole number"):
            measure(x, x, size=0)
        with pytest.raises(UsageError, match="bandwidth: expected a number above zero"):
            measure.objective(bandwidth=0.0)(x, x)
    with pytest.raises(UsageError, match='distance: expected "cosine" or "squared"'):
        contextual_distance(x, x, distance="l1")
    with pytest.raises(UsageError, match="form: expected"):
        id_mrf(x, x, form="code")
    with pytest.raises(UsageError, match="centring: expected"):
        id_mrf(x, x, centring="batch")
    with pytest.raises(UsageError, match="must be of one size"):
        id_mrf(x, x[:, :, :4], centring="channels")
    with pytest.raises(UsageError, match="one only"):
        id_mrf(x, x[:, :, :1, :1], form="paper")


def test_the_second_derivative_is_refused():
    x = torch.rand(1, 3, 4, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(contextual_distance(x, x.detach().flip(2)).sum(), x, create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        slope.sum().backward()
