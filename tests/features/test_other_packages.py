"""A package that is there and cannot be imported, and devices on which nothing can be worked out."""

from __future__ import annotations

import pytest

from assay.devices import chosen_device
from assay.errors import MissingExtra, UsageError
from assay.features import get_extractor


@pytest.mark.parametrize(
    "package,name",
    [("timm", "timm:resnet18"), ("open_clip", "open_clip:RN50/openai"), ("transformers", "transformers:x")],
)
def test_a_package_that_fails_names_the_cause(package, name, tmp_path, monkeypatch):
    """As where torchvision was built for another PyTorch: its operators are a RuntimeError, not an ImportError."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for known in [known for known in __import__("sys").modules if known.partition(".")[0] == package]:
        monkeypatch.delitem(__import__("sys").modules, known)
    file = tmp_path / f"{package}.py"
    file.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(UsageError, match=r"torchvision::nms does not exist.*of another build than PyTorch"):
        get_extractor(name)
    file.write_text("import a_package_nobody_has")
    with pytest.raises(MissingExtra, match="a_package_nobody_has"):
        get_extractor(name)


@pytest.mark.parametrize("device", ["meta", "hpu", "xla"])
def test_devices_that_compute_nothing_here(device):
    with pytest.raises(UsageError, match=f"device: '{device}' .*expected cpu, cuda, mps, xpu"):
        chosen_device(device)


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.xpu.is_available", lambda: False)
    for device in ("mps", "xpu"):
        with pytest.raises(UsageError, match=f"device: '{device}' is not there"):
            chosen_device(device)
