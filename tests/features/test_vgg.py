"""VGG-16: the same function as its layers written out, with the published names, and as an independent package's."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features import vgg as room
from assay.features.vgg import Vgg16Network

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # their numbers in the published file
LAST_OF_STAGE = {2: "relu1_2", 7: "relu2_2", 14: "relu3_3", 21: "relu4_3", 28: "relu5_3"}
KEPT = []  # a library's names vanish with it


@pytest.fixture(scope="module")
def state():
    """Random weights by the published names and shapes; the large layers repeat one draw."""
    generator = torch.Generator().manual_seed(0)
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    shapes = {
        f"features.{i}": (out, into, 3, 3)
        for i, out, into in zip(CONVOLUTIONS, widths, [3, *widths], strict=False)
    }
    shapes |= {"classifier.0": (4096, 25088), "classifier.3": (4096, 4096), "classifier.6": (1000, 4096)}
    found = {}
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        draw = torch.randn(min(count, 1_000_003), generator=generator)
        weight = draw.repeat(-(-count // len(draw)))[:count].view(shape)
        found[f"{name}.weight"] = weight * (2 / weight[0].numel()) ** 0.5
        found[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    return found


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(state, path)
    return path


@pytest.fixture(scope="module")
def network(state):
    with torch.device("meta"):
        module = Vgg16Network()
    module.load_state_dict(state, assign=True)
    return module.requires_grad_(False)


@pytest.fixture
def in_torch(monkeypatch, network, no_export):
    monkeypatch.setattr(room, "vgg16_network", lambda file: network)


def written_out(state, x):
    maps = {}
    for i in CONVOLUTIONS:
        x = functional.relu(
            functional.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1)
        )
        if i in LAST_OF_STAGE:
            maps[LAST_OF_STAGE[i]] = x
            x = functional.max_pool2d(x, 2, 2)
    x = x.flatten(1)
    for i in (0, 3):
        x = functional.relu(
            functional.linear(x, state[f"classifier.{i}.weight"], state[f"classifier.{i}.bias"])
        )
    return maps, x, functional.linear(x, state["classifier.6.weight"], state["classifier.6.bias"])


def image(height=60, width=80):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_close(mine, theirs, tolerance=1e-5):
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


def test_the_network_is_its_layers(network, state):
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    maps, expected, logits = written_out(state, x)
    features, mine = network(x)
    assert_close(features, expected)
    assert_close(mine, logits)
    assert features.shape == (1, 4096) and features.std() > 0.01 and (features == 0).any()
    found = network.maps(x)
    assert len(found) == 13 and list(found)[2] == "relu2_1"
    for name, value in maps.items():
        assert_close(found[name], value)


def test_torch_fidelity_is_equal(in_torch, file, state, tmp_path):
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor d, Tensor s, float t) -> Tensor",
        "qnms(Tensor d, Tensor s, float t) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):
            library.define(schema)
    KEPT.append(library)
    package = pytest.importorskip("torch_fidelity.feature_extractor_vgg16", exc_type=ImportError)
    torch.save(state, tmp_path / "w.pth")
    theirs = package.FeatureExtractorVGG16(
        "v", ["fc2_relu"], feature_extractor_weights_path=tmp_path / "w.pth"
    )
    extractor = get_extractor("vgg16", device="cpu", resize="legacy-tensorflow", weights=file)
    (expected,) = theirs(torch.from_numpy(image()).permute(2, 0, 1)[None])
    mine = extractor.forward(torch.from_numpy(extractor.transform(image()))[None])
    assert_close(mine.features, expected)
    assert mine.logits.shape == (1, 1000)


def test_the_differentiable_form_agrees_with_the_fast_one(in_torch, file):
    extractor = get_extractor("vgg16", device="cpu", crop="center", weights=file)
    fast = extractor.forward(torch.from_numpy(extractor.transform(image()))[None])
    module = extractor.torch_module()
    x = (torch.from_numpy(image()).permute(2, 0, 1)[None].float() / 255).requires_grad_()
    features = module(x)
    assert_close(features, fast.features, 1e-4)
    features.square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[..., 12:-12] != 0).float().mean() > 0.5
    assert (x.grad[..., :8] == 0).all()
    with pytest.raises(UsageError, match=r"\(B, 3, H, W\) with values in \[0, 1\], not torch.uint8"):
        module(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert (
        extractor.name.startswith("vgg16[crop=center,weights=")
        and extractor.fingerprint
        != get_extractor("vgg16", device="cpu", resize="legacy-tensorflow", weights=file).fingerprint
    )


def test_another_networks_weights_are_refused(tmp_path):
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"weights of vgg16: features\.0\.bias is missing, .* and 2\d more"):
        get_extractor("vgg16", device="cpu", weights=tmp_path / "other.safetensors").torch_module()
