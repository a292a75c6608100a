"""What every network of another package goes through."""

from __future__ import annotations

import pickle

import pytest
import torch

from assay.errors import DataError
from assay.features.preprocessing import Preprocessing
from assay.features.towers import Frozen, loading, tower_extractor, weights_sha256

SQUASH = Preprocessing("squash", (4, 4), None)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def test_nothing_is_unpickled_while_a_network_is_loaded(tmp_path):
    """Not even where the package asks for it."""
    path = tmp_path / "weights.bin"
    torch.save(Trap(), path)
    with loading(), pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=False)
    with pytest.raises(SystemExit, match="unpickled"):  # the trap works
        torch.load(path, weights_only=False)


def test_loading_leaves_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with loading():
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def made(features):
    network = torch.nn.Linear(3, 2).requires_grad_()
    return tower_extractor("mine", Frozen(network, features), SQUASH, license="-", device=torch.device("cpu"))


@pytest.mark.parametrize(
    "features,words",
    [
        (lambda network, x: x, r"mine: gives \(1, 3, 4, 4\) for one image, expected features \(1, d\)"),
        (lambda network, x: network(x.mean((2, 3))) / 0 * 0, "mine: gives NaN or infinity for a black image"),
    ],
)
def test_networks_that_give_no_features_are_refused(features, words):
    with pytest.raises(DataError, match=words):
        made(features)


def test_the_weights_hash_sees_values_names_types_and_activations():
    def network(activation=torch.nn.ReLU, fill=0.5, dtype=torch.float32, width=2):
        module = torch.nn.Sequential(torch.nn.Linear(2, width), activation()).to(dtype)
        for p in module.parameters():
            torch.nn.init.constant_(p, fill)
        return module

    same = weights_sha256(network())
    assert same == weights_sha256(network())
    others = [
        network(torch.nn.GELU),
        network(fill=0.25),
        network(dtype=torch.float64),
        network(width=3),
        torch.nn.ModuleDict({"x": network()}),
    ]
    assert len({same, *(weights_sha256(other) for other in others)}) == 6
