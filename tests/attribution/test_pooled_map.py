"""The map before the pool is found by looking, sums to the difference in influence, and points at what was changed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import assay
from assay.attribution import pooled_layer, pooled_maps, sample_influence, seen_box
from assay.errors import UsageError


def pictures(n, generator, size=24):
    return torch.rand(n, 3, size, size, generator=generator)


def sets_of(module, generator, n=30):
    real = pictures(n, generator)
    made = 0.7 * pictures(n, generator) + 0.1
    with torch.no_grad():
        return real, made, module(real), module(made)


@pytest.mark.parametrize("measure", [assay.frechet_distance, assay.kernel_distance], ids=lambda m: m.name)
def test_a_map_sums_to_the_difference_in_influence(pooled, generator, measure):
    module = pooled.double()
    real, made, x, y = sets_of(module.float(), generator)
    module = module.double()
    phi = sample_influence(measure, x, y)
    layer = pooled_layer(module, 24, 24)
    assert layer == "end"
    found = pooled_maps(module, layer, phi, made[:5].double(), real[:5].double())
    with torch.no_grad():
        expected = phi(module(made[:5].double())) - phi(module(real[:5].double()))
    assert found.values.shape == (5, 12, 12)
    torch.testing.assert_close(found.values.sum((1, 2)), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found.influence - found.of_baseline, expected)
    assert (found.values > 0).any() and (found.values < 0).any()


def test_a_map_is_zero_where_nothing_differs(pooled, generator):
    real, _, x, y = sets_of(pooled, generator)
    changed = real[:1].clone()
    changed[:, :, 4:10, 12:18] = 1.0
    phi = sample_influence(assay.frechet_distance, x, y)
    values = pooled_maps(pooled, "end", phi, changed, real[:1]).values[0]
    away = values.clone()
    away[1:7, 5:11] = 0  # what the patch reaches through two 3 x 3 kernels, the first of stride 2
    assert values.abs().max() > 0 and away.abs().max() == 0


def test_images_of_any_sizes_and_a_baseline_of_another(pooled, generator):
    _, _, x, y = sets_of(pooled, generator)
    image, other = torch.rand(3, 24, 24, generator=generator), torch.rand(3, 16, 32, generator=generator)
    phi = sample_influence(assay.kernel_distance, x, y)
    found = pooled_maps(pooled, "end", phi, [image], [other])
    assert found.values.shape == (1, 12, 12)
    torch.testing.assert_close(found.values.sum((1, 2)), found.influence - found.of_baseline)


def test_a_layer_is_found_only_where_its_mean_is_the_features(pooled):
    assert pooled_layer(nn.Sequential(pooled, nn.Linear(6, 4)), 24, 24) is None
    assert pooled_layer(nn.Sequential(pooled), 24, 24) == "0.end"
    in_place = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert (
        pooled_layer(in_place.eval(), 8, 8) == "1"
    )  # not the convolution, whose map is overwritten in place


def test_the_seen_part_of_an_image_is_found():
    class Central(nn.Module):
        def forward(self, images):
            return images[:, :, 3:17, 5:25].square().mean((2, 3))

    assert seen_box(Central(), 20, 30) == (3, 5, 14, 20)
    assert seen_box(nn.Flatten(), 7, 9) == (0, 0, 7, 9)


def test_hooks_are_gone(pooled, generator):
    _, _, x, y = sets_of(pooled, generator)
    phi = sample_influence(assay.frechet_distance, x, y)
    image = pictures(1, generator)
    pooled_layer(pooled, 24, 24)
    pooled_maps(pooled, "end", phi, image, image)
    with pytest.raises(UsageError, match="the mean of its map is not the features"):
        pooled_maps(pooled, "first", phi, image, image)
    assert all(not part._forward_hooks for part in pooled.modules())


def test_wrong_use_is_one_sentence(pooled, generator):
    _, _, x, y = sets_of(pooled, generator)
    phi = sample_influence(assay.frechet_distance, x, y)
    image = pictures(2, generator)
    with pytest.raises(UsageError, match="baselines: expected one an image, got 1 for 2"):
        pooled_maps(pooled, "end", phi, image, image[:1])
    with pytest.raises(UsageError, match="no part 'nowhere'"):
        pooled_maps(pooled, "nowhere", phi, image, image)
    sizes = [torch.rand(3, 24, 24), torch.rand(3, 16, 32)]
    with pytest.raises(UsageError, match="differ in size"):
        pooled_maps(pooled, "end", phi, sizes, sizes)


def test_efficientnet_has_such_a_map_and_it_sums(lite0, generator):
    module = lite0.torch_module()
    layer = pooled_layer(module, 60, 80)
    assert layer == "network.head"
    # the central square of 0.875 of the short side; a resampling kernel may reach a pixel further
    top, left, height, width = seen_box(module, 60, 80)
    assert (top, left, height, width) == (4, 14, 52, 52)
    images = torch.rand(2, 3, 60, 80, generator=generator)
    images[1, :, :30] = 0.5
    x, y = torch.rand(40, 1280, generator=generator), torch.rand(30, 1280, generator=generator)
    for measure in (assay.frechet_distance, assay.kernel_distance):
        phi = sample_influence(measure, x, y)
        found = pooled_maps(module, layer, phi, images[:1], images[1:])
        assert found.values.shape == (1, 7, 7)
        gap = found.influence - found.of_baseline
        torch.testing.assert_close(found.values.sum((1, 2)), gap, rtol=1e-9, atol=1e-9 * float(gap.abs()))
