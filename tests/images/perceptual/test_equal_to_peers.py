"""Perceptual measures equal the packages that published them, given the same networks and weights.

Expected values: the packages lpips 0.1.4, DISTS_pytorch 0.1 and piq 0.8.0 on torchvision's networks, with the weights
and images of `published_networks` (lpips and DISTS in float64, `normalize=True`).
"""

from __future__ import annotations

import pytest
import torch

from assay.features.perceptual_heads import CHANNELS
from assay.features.vgg_layers import vgg_layers
from assay.images.perceptual import feature_distance, gram_distance, published_dists, published_lpips

from . import published_networks as known

NETWORKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
LPIPS = {
    "alex": ([0.6331041544537025, 0.6775821546419912], 0.7589722478626099),
    "vgg": ([0.5952003340047681, 0.5717186004016452], 0.4739401079967519),
    "squeeze": ([0.48472380258773, 0.7589061534390642], 0.6461313050024154),
}
DISTS = [0.054491121512323826, 0.04047003484931255]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("published")
    for backbone, name in NETWORKS.items():
        torch.save(known.state(name), path / f"{name}.pth")
        torch.save(known.lpips_state(CHANNELS[backbone]), path / f"{backbone}.pth")
    torch.save(known.dists_state(), path / "dists.pt")
    return path


@pytest.mark.parametrize("backbone", list(NETWORKS))
def test_lpips_is_the_published_one(folder, backbone):
    x, y = known.images()
    measure = published_lpips(
        backbone, weights=folder / f"{NETWORKS[backbone]}.pth", heads=folder / f"{backbone}.pth"
    )
    values, place = LPIPS[backbone]
    assert measure(x, y).tolist() == pytest.approx(values, abs=5e-6)
    found = measure.map(x, y)
    assert found.shape == (2, 40, 44)
    assert float(found[1, 7, 9]) == pytest.approx(place, abs=2e-5)


def test_dists_is_the_published_one(folder):
    x, y = known.images()
    measure = published_dists(weights=folder / "vgg16.pth", heads=folder / "dists.pt")
    assert measure(x, y).tolist() == pytest.approx(DISTS, abs=1e-6)


def test_feature_and_gram_distances_are_piqs_up_to_the_conventions_that_the_docstrings_state(folder):
    x, y = known.images()
    layers = vgg_layers(["relu3_3", "relu4_1"], weights=folder / "vgg16.pth")
    channels = [256.0, 2 * 512.0]  # piq sums over channels; its weights were 1 and 2
    found = feature_distance(x, y, features=layers, layer_weights=channels)
    assert found.tolist() == pytest.approx([0.17494581639766693, 0.2425338178873062], rel=2e-6)
    found = feature_distance(x, y, features=layers, layer_weights=channels, norm="l1", unit=True)
    assert found.tolist() == pytest.approx([9.506693840026855, 10.905609130859375], rel=2e-6)
    scaled = [(10 * 11 / 256) ** 2, 2 * (5 * 5 / 512) ** 2]
    found = gram_distance(x, y, features=layers, layer_weights=scaled, scaling="hw")
    assert found.tolist() == pytest.approx([0.00039322758675552905, 0.00021315665799193084], rel=1e-5)
