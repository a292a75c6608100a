"""Gradients that are written out beside the values: those of the plain formulas, and of small steps."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from assay.errors import UsageError
from assay.images.colour import D50, LUMA, YIQ, in_colours, rgb_to_lab
from assay.images.edges import gradient_components, gradient_spread
from assay.images.gradients import (
    gmsd,
    gradient_magnitude_similarity,
    haarpsi,
    mdsi,
    multi_scale_gmsd,
    vsi,
)
from assay.images.gradients.haar_coefficients import haar_coefficients, haar_spread
from assay.images.gradients.haar_similarity import colour_means, colour_spread
from assay.images.gradients.lab import lab_under_d50
from assay.images.gradients.saliency_similarity import _terms
from assay.images.gradients.shrink import shrunk, shrunk_colours, spread
from assay.images.gradients.similarity import dissimilarity, loss_slopes, losses, weighted_mean
from assay.scale import each_pair

MEASURES = {
    "gmsm": (gradient_magnitude_similarity, 5),
    "gmsd": (gmsd, 5),
    "ms-gmsd": (multi_scale_gmsd.with_options(scale_weights=(0.4, 0.6)), 5),
    "ms-gmsdc": (multi_scale_gmsd.with_options(scale_weights=(0.4, 0.6), chromatic=True), 5),
    "haarpsi": (haarpsi, 16),
    "haarpsi, full size": (haarpsi.with_options(subsample=False), 8),
    "mdsi": (mdsi, 5),
}
SHAPES = [(3, 20, 23), (1, 17, 16)]


def some(shape, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    y = torch.rand(shape, generator=g, dtype=torch.float64)
    return (0.6 * y + 0.4 * torch.rand(shape, generator=g, dtype=torch.float64)).to(dtype), y.to(dtype)


def gradients(function, x, y):
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    values = function(x, y)
    weights = torch.arange(1, len(x) + 1, dtype=x.dtype)
    return values.detach(), *torch.autograd.grad((values * weights).sum(), (x, y))


@pytest.fixture
def plain(monkeypatch):
    """The measure in the plain operations that a compiler sees, whose gradient is autograd's."""

    def of(measure):
        def function(x, y):
            with monkeypatch.context() as patched:
                patched.setattr(torch.compiler, "is_compiling", lambda: True)
                return measure(x, y)

        return function

    return of


@pytest.mark.parametrize("damage", ["some", "lost edges", "equal", "a black half"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", [*MEASURES, "vsi"])
def test_values_and_gradients_are_those_of_the_plain_formula(plain, name, shape, damage):
    """Lost edges have negative similarities in mdsi, whose powers are complex."""
    measure = vsi if name == "vsi" else MEASURES[name][0]
    if shape[0] == 1 and name == "ms-gmsdc":
        shape = (3, *shape[1:])
    x, y = some((3, *shape))
    if damage == "lost edges":
        x = 0.5 + 0.05 * x
    elif damage == "equal":
        x = y
    elif damage == "a black half":
        x, y = x.clone(), y.clone()
        x[..., :9, :], y[..., :9, :] = 0, 0
    found, expected = gradients(measure, x, y), gradients(plain(measure), x, y)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10 * max(1e-3, float(theirs.abs().max())))


@pytest.mark.parametrize("name", ["gmsm", "gmsd", "ms-gmsd"])
def test_edges_too_small_for_a_direction_have_no_gradient(name):
    """Magnitudes below 1e-12 are the floor of the root, whose slope is 0."""
    x, y = some((2, 3, 20, 20), seed=10)
    _, by_x, by_y = gradients(MEASURES[name][0], 1e-14 * x, y)
    assert not by_x.any() and by_y.any()


@pytest.mark.parametrize("name", MEASURES)
def test_gradients_equal_central_differences(name):
    """By one image and by both, along three directions; 1e-7 is small beside the kinks' distances here."""
    measure, side = MEASURES[name]
    x, y = some((1, 3, side, side), seed=2)
    _, by_x, by_y = gradients(measure, x, y)
    for seed in range(3):
        u, v = torch.randn(2, *x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        up, down = (float(measure(x + s * u, y + s * v)) for s in (1e-7, -1e-7))
        slope = float((by_x * u).sum() + (by_y * v).sum())
        assert (up - down) / 2e-7 == pytest.approx(slope, rel=2e-6, abs=2e-7)


@pytest.mark.parametrize("name", [*MEASURES, "vsi"])
def test_only_the_gradient_that_is_asked_for_and_none_without_a_graph(name):
    measure = vsi if name == "vsi" else MEASURES[name][0]
    x, y = some((2, 3, 20, 20), seed=3)
    values, by_x, by_y = gradients(measure, x, y)
    weights = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for k, expected in enumerate((by_x, by_y)):
        members = [z.clone().requires_grad_(j == k) for j, z in enumerate((x, y))]
        (measure(*members) * weights).sum().backward()
        assert torch.allclose(members[k].grad, expected, rtol=1e-12, atol=1e-15)
        assert members[1 - k].grad is None
        with torch.no_grad():
            silent = measure(*members)
        assert not silent.requires_grad and torch.equal(silent, values)


@pytest.mark.parametrize("name", MEASURES)
def test_second_derivatives_are_right_over_more_pairs_than_are_worked_at_once(name, monkeypatch):
    """Also where both members are one tensor. Curvatures along a direction, by central differences of the gradient."""
    measure, side = MEASURES[name]
    x, y = some((3, 3, side, side), seed=4)
    monkeypatch.setattr(each_pair, "CHUNK_BYTES", {"cpu": x[0].numel() * 8})
    move = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def slope(z, **graph):
        return torch.autograd.grad(measure(z, y + 0.1 * z).sum(), z, **graph)[0]

    at = x.clone().requires_grad_()
    (curved,) = torch.autograd.grad((slope(at, create_graph=True) * move).sum(), at)
    up, down = (slope((x + s * move).requires_grad_()) for s in (1e-7, -1e-7))
    expected = (up - down) / 2e-7
    assert torch.allclose(curved, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_one_tensor_as_both_members_has_the_sum_of_both_gradients(plain):
    x, _ = some((2, 3, 20, 20), seed=6)
    turned = x.clone().requires_grad_()
    for function in (gmsd, haarpsi):
        (once,) = torch.autograd.grad(function(turned, turned.mT).sum(), turned)
        (twice,) = torch.autograd.grad(function(turned, turned.mT).sum(), turned, create_graph=True)
        (expected,) = torch.autograd.grad(plain(function)(turned, turned.mT).sum(), turned)
        assert torch.allclose(once, expected, rtol=1e-9, atol=1e-12)
        assert torch.allclose(twice.detach(), expected, rtol=1e-9, atol=1e-12)
    (same,) = torch.autograd.grad(gmsd(turned, turned).sum(), turned, create_graph=True)
    assert not same.any()


@pytest.mark.parametrize("again", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("name", ["gmsd", "haarpsi"])
def test_gradients_asked_for_under_autocast_are_in_full_precision(name, again):
    """Also the gradient within a penalty; half precision is 0.005 away, and more in a penalty."""
    x, y = (z.requires_grad_() for z in some((2, 3, 20, 20), seed=11, dtype=torch.float32))
    found = []
    for cast in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
            values = MEASURES[name][0](x, y).sum()
            gradients = torch.autograd.grad(values, (x, y), create_graph=again)
            penalty = sum(g.square().sum() for g in gradients)
        found.append((*gradients, *(torch.autograd.grad(penalty, (x, y)) if again else ())))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * float(theirs.detach().abs().max()))


def test_the_gradient_of_lab_under_autocast_is_in_full_precision():
    x = some((1, 3, 4, 4), dtype=torch.float32)[0].requires_grad_()
    (expected,) = torch.autograd.grad(lab_under_d50(x).square().sum(), x)
    values = lab_under_d50(x).square().sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (found,) = torch.autograd.grad(values, x)
    assert torch.allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("function", [gmsd, lab_under_d50], ids=["gmsd", "lab"])
def test_a_checkpoint_hands_out_what_was_saved_once(function, graph):
    x, y = some((2, 3, 20, 20), seed=12)
    x.requires_grad_()

    def total(x):
        return (gmsd(x, y) if function is gmsd else lab_under_d50(x)).sum()

    found = torch.autograd.grad(checkpoint(total, x, use_reentrant=False), x, create_graph=graph)[0]
    assert torch.allclose(found, torch.autograd.grad(total(x), x)[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("member", [0, 1])
def test_a_member_changed_between_value_and_gradient_is_noticed(name, member):
    """The slopes are known by then; a second derivative would be that of other images."""
    x, y = (z.requires_grad_() for z in some((1, 3, 20, 20), seed=13))
    members = [x * 1, y * 1]
    values = MEASURES[name][0](*members)
    with torch.no_grad():
        members[member].add_(0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()


@pytest.mark.parametrize("name", [*MEASURES, "vsi"])
def test_other_layouts_in_memory_have_the_same_gradients(name):
    """Channels last, every second pixel, transposed, and one image as the target of all."""
    measure = vsi if name == "vsi" else MEASURES[name][0]
    x, y = some((3, 3, 20, 22), seed=14)
    every_second = torch.zeros(3, 3, 40, 44, dtype=x.dtype)
    every_second[..., ::2, ::2] = x
    layouts = (
        (x.contiguous(memory_format=torch.channels_last), y.mT.contiguous().mT),
        (every_second[..., ::2, ::2], y),
        (x, y[:1].expand(3, -1, -1, -1)),
    )
    for pair in layouts:
        expected = gradients(measure, *(z.contiguous() for z in pair))
        leaves = [z.detach().requires_grad_() for z in pair]
        values = measure(*leaves)
        slope = torch.arange(1, 4, dtype=x.dtype)
        for ours, theirs in zip(
            (values.detach(), *torch.autograd.grad(values, leaves, slope)), expected, strict=True
        ):
            assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10 * float(theirs.abs().max()))


def test_nearly_equal_images_have_the_gradient_of_double_precision_in_haarpsi():
    """The curve is next to its end there: in numbers next to 1 nothing of the gradient would be left."""
    x, y = some((2, 1, 32, 32), seed=15, dtype=torch.float32)
    x = y + 2e-4 * (x - y)
    values, *single = gradients(haarpsi, x, y)
    exact, *double = gradients(haarpsi, x.double(), y.double())
    assert float((1 - values - (1 - exact)).abs().max()) < 2e-7 and float(exact.max()) < 1
    for ours, theirs in zip(single, double, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 0.05


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_images_have_exactly_1_in_haarpsi_and_no_gradient(dtype, channels):
    x, _ = some((2, channels, 20, 20), seed=16, dtype=dtype)
    values, by_x, by_y = gradients(haarpsi, x, x)
    assert values.tolist() == [1.0, 1.0]
    assert not by_x.any() and not by_y.any()


def test_the_larger_of_two_equal_sizes_is_half_of_each_in_haarpsi(plain):
    """A negative has coefficients of the same size but at its border; whole numbers have exactly the same."""
    g = torch.Generator().manual_seed(18)
    x = torch.randint(0, 256, (1, 1, 24, 24), generator=g).double()
    measure = haarpsi.with_options(data_range=255.0, subsample=False)
    found, expected = (gradients(f, x, 255 - x) for f in (measure, plain(measure)))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9 * float(theirs.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_colours_of_a_grey_image_have_no_slope_in_haarpsi(plain, dtype):
    """They are 0, where sizes have a kink, but for rounding: the gradient by the channels is by brightness alone."""
    x, y = some((2, 3, 20, 20), seed=17, dtype=dtype)
    x = x[:, :1].expand(-1, 3, -1, -1)
    luma = torch.tensor(LUMA[0], dtype=dtype)[:, None, None]
    for function in (haarpsi, plain(haarpsi)):
        _, by_x, _ = gradients(function, x, y)
        bright = by_x.sum(1, keepdim=True)
        tiny = 200 * torch.finfo(dtype).eps * float(bright.abs().max())
        assert torch.allclose(by_x, bright * luma, rtol=0, atol=tiny)


@pytest.mark.parametrize("size", [(20, 23), (37, 41), (64, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equal_images_are_exactly_equal_to_mdsi(dtype, size):
    """Two fourth roots would show a rounding of 1e-16 as 1e-4: whatever is done to x and y is rounded alike."""
    x, _ = some((3, 3, *size), seed=7, dtype=dtype)
    assert mdsi(x, x.clone()).tolist() == [0.0] * 3


def test_a_negative_similarity_has_the_angle_of_double_precision():
    """S < 0 in one pixel of nine, a hand computation with complex numbers: pi in single precision is 1e-9 away."""
    from assay.images.gradients.mean_deviation import _pooled

    loss = torch.full((1, 1, 3, 3), 0.2, dtype=torch.float64)
    loss[0, 0, 1, 1] = 1.3
    roots = [complex(1 - v) ** 0.25 for v in loss.flatten().tolist()]
    mean = sum(roots) / 9
    expected = (sum(abs(r - mean) for r in roots) / 9) ** 0.25
    assert float(_pooled(loss, False)[0]) == pytest.approx(expected, rel=1e-14)


def test_the_slopes_of_powers_are_0_where_they_would_be_infinite():
    """At a similarity of exactly 0, the fourth root's; at one that is nowhere else, the distance's to the mean."""
    from assay.images.gradients.mean_deviation import _pooled

    loss = torch.linspace(0.1, 1.6, 9, dtype=torch.float64).reshape(1, 1, 3, 3)
    loss[0, 0, 1, 1] = 1.0
    _, slopes = _pooled(loss.clone(), True)
    assert slopes[0, 0, 1, 1] == 0
    for place in (0, 3, 8):
        step = torch.zeros_like(loss)
        step[0, 0, place // 3, place % 3] = 1e-6
        up, down = (float(_pooled(loss + sign * step, False)[0]) for sign in (1, -1))
        assert (up - down) / 2e-6 == pytest.approx(float(slopes[0, 0, place // 3, place % 3]), rel=1e-6)
    for everywhere in (0.3, 1.0, 1.3):
        assert not _pooled(everywhere + 1e-14 * loss, True)[1].any()


@pytest.mark.parametrize("combination", ["sum", "mult"])
def test_the_plain_formula_has_that_angle_too(plain, published, combination):
    x, y = some((1, 3, 24, 24), seed=8)
    x = 0.5 + 0.02 * x
    measure = mdsi.with_options(combination=combination)
    pair = [(255 * z)[0].permute(1, 2, 0).numpy() for z in (x, y)]
    expected = published.mdsi(*pair, combination)
    for function in (measure, plain(measure)):
        assert float(function(x, y)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("operator", ["prewitt", "scharr", "sobel"])
def test_the_way_back_of_edges_is_the_transpose(operator):
    x, other = some((2, 1, 5, 7))
    across, down = gradient_components(x, operator)
    u, v = other, other.flip(2)
    assert float((across * u + down * v).sum()) == pytest.approx(
        float((x * gradient_spread(u, v, operator)).sum()), rel=1e-12
    )


@pytest.mark.parametrize("shape", [(1, 1, 8, 9), (2, 1, 13, 16)], ids=str)
def test_the_way_back_of_haar_coefficients_is_the_transpose(shape):
    x, _ = some(shape)
    forward = haar_coefficients(x)
    slopes = [[some(shape, seed=7 * k + s)[0] for s in range(3)] for k in range(2)]
    there = sum(
        float((c * s).sum()) for a, b in zip(forward, slopes, strict=True) for c, s in zip(a, b, strict=True)
    )
    assert there == pytest.approx(float((x * haar_spread(slopes)).sum()), rel=1e-12)
    u, v = some((2, 2, 7, 6))
    assert float((colour_means(u) * v).sum()) == pytest.approx(float((u * colour_spread(v)).sum()), rel=1e-12)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_the_way_back_of_shrinking_is_the_transpose_and_colours_may_be_mixed_half_way(factor):
    x, _ = some((2, 3, 11, 14))
    small = shrunk(x, factor)
    u = some(small.shape, seed=1)[0]
    back = spread(u, factor, 11, 14) / factor**2
    assert float((small * u).sum()) == pytest.approx(float((x * back).sum()), rel=1e-12)
    for matrix in (LUMA, YIQ):
        mixed = shrunk_colours(x, matrix, factor)
        assert torch.allclose(mixed, shrunk(in_colours(x, matrix), factor), rtol=0, atol=1e-14)


@pytest.mark.parametrize("masking", [0.0, 0.5])
def test_the_slopes_of_a_loss_are_autograds(masking):
    a, b = (z.requires_grad_() for z in some((4, 5)))
    loss = (a - b).square() / (a.square() + b.square() - masking * a * b + 0.1)
    weights = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5)
    terms = losses(a.detach(), b.detach(), 0.1, masking)
    assert torch.allclose(terms.loss, loss, atol=1e-15)
    found = loss_slopes(terms, weights, (True, True))
    for ours, theirs in zip(found, torch.autograd.grad((loss * weights).sum(), (a, b)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-14)
    if not masking:
        assert torch.equal(losses(a.detach(), b.detach(), 0.1).loss, dissimilarity(a, b, 0.1).detach())


@pytest.mark.parametrize("dtype,tolerance", [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=str)
def test_lab_is_that_of_the_colours_but_for_the_offset_of_lightness(dtype, tolerance):
    """Dark pixels and those below 0, where both curves are straight, among the others."""
    x = torch.linspace(-0.1, 1.1, 3 * 12 * 10, dtype=torch.float64)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x = x[order].reshape(1, 3, 12, 10).to(dtype).requires_grad_()
    weights = torch.linspace(-1, 1, 360, dtype=dtype).reshape(1, 3, 12, 10)
    ours, theirs = lab_under_d50(x), rgb_to_lab(x, D50)
    offset = torch.tensor([16.0, 0.0, 0.0], dtype=dtype)[:, None, None]
    assert torch.allclose(ours, theirs + offset, rtol=0, atol=100 * tolerance)
    for z in (ours, theirs):
        z.retain_grad()
    (found,), (expected,) = (torch.autograd.grad((z * weights).sum(), x) for z in (ours, theirs))
    assert torch.allclose(
        found, expected, rtol=10 * tolerance, atol=10 * tolerance * float(expected.abs().max())
    )


def test_lab_refuses_a_second_derivative():
    x = some((1, 3, 4, 4))[0].requires_grad_()
    (slope,) = torch.autograd.grad(lab_under_d50(x).square().sum(), x, create_graph=True)
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(slope.sum(), x)


def test_the_weighted_similarity_of_vsi_is_the_plain_one_where_opposed_colours_are_negative_or_0():
    x, y = some((2, 3, 20, 20), seed=9)
    x[:, :, :4], y[:, :, :4] = 0, 0
    x[:, 0, 8:] = 0
    with torch.no_grad():
        assert torch.allclose(vsi(x, y), weighted_mean(*_terms(x, y, data_range=1.0)), rtol=0, atol=1e-13)
