"""Metrics of perceptual measures merge with another process's of the same networks and weights, and with no others."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest
import torch

from assay.errors import UsageError
from assay.features.layers import layers_of
from assay.features.perceptual_heads import DistsHeads
from assay.images import mean_absolute_error
from assay.images.perceptual import dists, feature_distance, haar, in_space, lpips, ycbcr


def convolutions(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 3))


class Times:
    """An encoder that is an object of its own."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, images):
        return self.factor * images


def mixed(images, *, share):
    return share * images


def two_heads(seed):
    torch.manual_seed(seed)
    return DistsHeads((torch.rand(3), torch.rand(4)), (torch.rand(3), torch.rand(4)))


# made twice with other options, of networks with the same weights where only names tell them apart
MERGED = {
    "heads": lambda k: lpips.with_options(features=layers_of(convolutions(0), ["0"]), heads=(torch.arange(4.0) + k,)),
    "two heads": lambda k: dists.with_options(features=layers_of(convolutions(0), ["0"]), heads=two_heads(k)),
    "layers": lambda k: feature_distance.with_options(features=layers_of(convolutions(0), [str(k)])),
    "weights": lambda k: feature_distance.with_options(features=layers_of(convolutions(k), ["0"])),
    "layer weights": lambda k: feature_distance.with_options(
        features=layers_of(convolutions(0), ["0", "1"]), layer_weights=np.array([1.0, 2.0 + k])
    ),
    "network as a space": lambda k: in_space(mean_absolute_error, convolutions(k)),
    "function as a space": lambda k: in_space(mean_absolute_error, (ycbcr, haar)[k]),
    "object as a space": lambda k: in_space(mean_absolute_error, Times(1.0 + k)),
    "partial as a space": lambda k: in_space(mean_absolute_error, partial(mixed, share=1.0 + k)),
}  # fmt: skip


@pytest.mark.parametrize("kind", MERGED)
def test_metrics_merge_with_those_of_another_process_and_with_no_others(kind):
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 2, 3, 16, 18, generator=g)
    measure = MERGED[kind](0)
    mine = measure.metric()
    theirs = pickle.loads(pickle.dumps(measure)).metric()
    mine.update(x[:1], y[:1]), theirs.update(x[1:], y[1:])
    mine.merge(theirs)
    assert mine.compute().item() == pytest.approx(measure(x, y).mean().item(), rel=1e-6)
    other = MERGED[kind](1).metric()
    other.update(x, y)
    with pytest.raises(UsageError, match="merge: the two metrics"):
        mine.merge(other)
