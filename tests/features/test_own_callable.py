"""One's own network: by name and in memory, with errors that name it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.features import Extractor, get_extractor
from assay.features.own_callable import extractor_of, split_name

CODE = """
import torch
from assay.features.own_callable import extractor_of

class Pool(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 5)
        torch.nn.init.constant_(self.linear.weight, 0.5)
        torch.nn.init.constant_(self.linear.bias, 0.25)
    def forward(self, images):
        return self.linear(images.mean((2, 3)))

network = Pool().eval()
training = Pool()
def factory():
    return Pool().eval()
def function(images):
    return images.amax((2, 3))
def maker():
    return extractor_of(network, name="made", size=4)
def wrong():
    return 3
class Holder:
    inner = network
number = 3
def broken():
    raise RuntimeError("boom")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_networks"
    __import__("sys").modules.pop("my_networks", None)


IMAGE = np.full((6, 8, 3), 51, np.uint8)


@pytest.mark.parametrize("name", ["network", "factory", "function", "maker", "Holder.inner", "Pool"])
@pytest.mark.parametrize("form", ["python:my_networks:{}", "python:my_networks.py:{}", "./my_networks.py:{}"])
def test_a_name_may_be_a_module_a_function_or_a_factory(module, name, form):
    if name == "Pool":  # a class makes modules in training
        with pytest.raises(UsageError, match=r"is in training, .*call \.eval\(\)"):
            get_extractor(form.format(name), device="cpu")
        return
    extractor = get_extractor(form.format(name), device="cpu")
    x = torch.from_numpy(np.stack([extractor.transform(IMAGE)] * 2))
    found = extractor.forward(x).features
    expected = torch.full((2, 3), 0.2) if name == "function" else torch.full((2, 5), 0.5 * 0.6 + 0.25)
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32 and not found.requires_grad
    assert extractor.name == (
        "made" if name == "maker" else "python:" + form.format(name).removeprefix("python:")
    )


@pytest.mark.parametrize(
    "name,words",
    [
        ("python:my_networks", "expected python:package.module:name"),
        ("python:", "python needs a name"),
        ("python:my_networks:nothing", "my_networks has no 'nothing'"),
        ("python:no_such_module_here:x", r"cannot be imported \(ModuleNotFoundError"),
        ("python:gone.py:x", r"there is no file gone\.py"),
        ("python:my_networks:number", "is a int; expected a module"),
        ("python:my_networks:wrong", r"wrong\(\) returns a int"),
        ("python:my_networks:training", r"is in training.*\.eval\(\)"),
    ],
)
def test_names_that_lead_nowhere_are_said(module, name, words):
    with pytest.raises(UsageError, match=words):
        get_extractor(name, device="cpu")


def test_short_names_never_mean_a_family():
    from assay.features.by_name import FAMILIES

    assert split_name("a.b:c") == ("python", ":", "a.b:c") and split_name("dir/f.py:c")[0] == "python"
    assert split_name("timm:resnet18.a1") == ("timm", ":", "resnet18.a1") and split_name("pixels")[1] == ""
    assert not any("." in family or "/" in family for family in FAMILIES)


def pool(images):
    return images.mean((2, 3))


@pytest.mark.parametrize(
    "function,words",
    [
        (lambda x: x.mean((2, 3))[0], r"gives the shape \(3,\) for 2 images, expected \(2, d\)"),
        (lambda x: x, r"gives the shape \(2, 3, 6, 8\)"),
        (lambda x: x.mean((2, 3)).round().long(), "gives torch.int64, expected floating-point"),
        (lambda x: x.mean((2, 3)) / 0 * 0, "gives NaN or infinity for 2 of 2 images"),
        (lambda x: [1, 2], "gives a list, expected a tensor"),
        (lambda x: x @ torch.zeros(7), r"fails on images \(2, 3, 6, 8\) \(RuntimeError"),
    ],
)
def test_what_a_function_does_wrong_is_said_with_its_name(function, words):
    extractor = extractor_of(function, name="mine", device="cpu")
    x = torch.from_numpy(np.stack([extractor.transform(IMAGE)] * 2))
    with pytest.raises(DataError, match=f"mine {words}"):
        extractor.forward(x)


def test_a_network_in_memory_is_copied_and_left_as_it_is():
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2)
    ).eval()
    extractor = extractor_of(network, size=4, device="cpu")
    assert isinstance(extractor, Extractor) and extractor.name == "Sequential"
    assert all(p.requires_grad for p in network.parameters())
    x = torch.from_numpy(extractor.transform(IMAGE))[None]
    before = extractor.forward(x).features
    with torch.no_grad():
        network[2].bias += 1
    assert torch.equal(extractor.forward(x).features, before)
    module = extractor.torch_module()
    images = torch.rand(2, 3, 9, 7, requires_grad=True)
    module.train()(images).sum().backward()
    assert images.grad.abs().sum() > 0 and not any(p.requires_grad for p in module.parameters())
    assert not any(part.training for part in module.modules())


def test_size_and_crop_are_what_they_say():
    image = np.zeros((4, 12, 3), np.uint8)
    image[:, 4:8] = 255
    whole = extractor_of(pool, size=4, device="cpu").transform(image)
    square = extractor_of(pool, size=4, crop="center", device="cpu").transform(image)
    assert (square == 1).all() and whole.mean() == pytest.approx(1 / 3, abs=0.02) and whole.shape == (3, 4, 4)
    assert whole.min() >= 0 and whole.max() <= 1
    with pytest.raises(UsageError, match="give size too"):
        extractor_of(pool, crop="center")
    with pytest.raises(UsageError, match="size: expected a whole number"):
        extractor_of(pool, size=0)
    with pytest.raises(UsageError, match="expected a module or a function of images, got int"):
        extractor_of(3)


def test_the_fingerprint_tells_networks_apart(module, tmp_path):
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)).eval()
    second = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)).eval()
    prints = {
        extractor_of(first, size=2, device="cpu").fingerprint,
        extractor_of(first, size=3, device="cpu").fingerprint,
        extractor_of(first, size=2, crop="center", device="cpu").fingerprint,
        extractor_of(first, size=2, name="other", device="cpu").fingerprint,
        extractor_of(second, size=2, device="cpu").fingerprint,
        extractor_of(pool, size=2, device="cpu").fingerprint,
        extractor_of(functools.partial(pool), size=2, name="pool", device="cpu").fingerprint,
    }
    assert len(prints) == 6  # the last two are one function
    assert extractor_of(first, size=2, device="cpu").fingerprint in prints
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.py").write_text(CODE.replace("amax", "amin"))
    a, b = (get_extractor(f"./{name}.py:function", device="cpu").fingerprint for name in "ab")
    assert a != b


def test_what_a_function_holds_elsewhere_makes_it_another_extractor() -> None:
    """Closures, arguments and attributes are in no file and no state dict, but in the answers."""

    def scaled(by):
        return lambda images: images.mean((2, 3)) * by

    class Net(torch.nn.Module):
        def __init__(self, k):
            super().__init__()
            self.k = k

        def forward(self, images):
            return images.mean((2, 3)) ** self.k

    for one, other in ((scaled(1.0), scaled(2.0)), (Net(1).eval(), Net(2).eval())):
        first, again, second = (extractor_of(each, name="own").fingerprint for each in (one, one, other))
        assert first == again != second


def test_a_network_without_a_steady_answer_is_never_found_again_unless_it_has_an_identity() -> None:
    noisy = lambda images: images.mean((2, 3)) + torch.rand(len(images), 3)
    assert extractor_of(noisy, name="n").fingerprint != extractor_of(noisy, name="n").fingerprint
    named = {extractor_of(noisy, name="n", identity="v1").fingerprint for _ in range(2)}
    assert len(named) == 1
