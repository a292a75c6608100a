"""The Inception graph: the same function as two independent packages, with the same weights and on the same images.

Golden values, so that this needs neither package: `golden_inception.json` holds what pytorch-fid's module gives for the
weights of `random_state` and the images of `pictures`.

python tests/features/test_inception.py --write     makes them anew, with pytorch-fid and torchvision installed
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features import inception as room
from assay.features.inception_network import InceptionNetwork

GOLDEN = Path(__file__).parent / "golden_inception.json"
KEPT = []  # a library's names vanish with it


def random_state(network, seed=0):
    """Random weights under which every layer has an effect, from a generator whose stream never changes."""
    draw = np.random.RandomState(seed)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if value.ndim == 4:
            x = draw.randn(*value.shape) * (2 / value[0].numel()) ** 0.5
        elif value.ndim == 2:
            x = draw.randn(*value.shape) * 0.05
        elif name.endswith("running_var"):
            x = draw.uniform(0.5, 1.5, value.shape)
        elif name.endswith("bn.weight"):
            x = draw.uniform(0.7, 1.3, value.shape)
        else:
            x = 0.1 * draw.randn(*value.shape)
        state[name] = torch.from_numpy(x.astype(np.float32))
    return state


def pictures(n=2, height=60, width=80):
    """uint8 (n, height, width, 3): waves of several lengths with sharp edges."""
    rows, columns = np.mgrid[0:height, 0:width]
    found = []
    for i in range(n):
        waves = [
            np.sin(rows / (3 + c + i) + columns / (7 - c)) + (columns > width // (2 + i)) for c in range(3)
        ]
        found.append(np.clip(127 + 80 * np.stack(waves, 2), 0, 255).astype(np.uint8))
    return np.stack(found)


def network_input():
    from assay.features.resize import resize_two_taps

    return torch.from_numpy(
        np.stack([(resize_two_taps(image, 299, half_pixel=True) - 127.5) / 127.5 for image in pictures()])
    )


def peer(name):
    """A peer's module; its torchvision may lack compiled operators, of which only the names are needed."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor d, Tensor s, float t) -> Tensor",
        "qnms(Tensor d, Tensor s, float t) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):
            library.define(schema)
    KEPT.append(library)
    return pytest.importorskip(name, exc_type=ImportError)


def pytorch_fid(state, **options):
    package = peer("pytorch_fid.inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "load_state_dict_from_url", lambda *_, **__: state)
        return package.InceptionV3([0, 1, 2, 3], **options).eval()


@pytest.fixture(scope="module")
def state():
    return random_state(InceptionNetwork())


@pytest.fixture(scope="module")
def network(state):
    module = InceptionNetwork()
    module.load_state_dict(state, strict=False)
    return module.requires_grad_(False)


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def in_torch(monkeypatch, network, no_export):
    monkeypatch.setattr(room, "inception_network", lambda file: network)


class Same(torch.nn.Module):
    def forward(self, x):
        return x, x, x


def assert_close(mine, theirs, tolerance=1e-5):
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


def golden_parts(features, logits, spatial):
    return {"features": features[:, ::16], "logits": logits[:, ::8], "spatial": spatial[:, ::16]}


def test_outputs_are_the_golden_ones(network):
    """Pooling over the padding, an average in the last block or another epsilon moves them by a hundredth or more."""
    features, logits, spatial = network(network_input())
    mine = golden_parts(features, logits, spatial)
    for name, values in json.loads(GOLDEN.read_text()).items():
        assert_close(mine[name], torch.tensor(values))
    assert features.shape == (2, 2048) and (features[0] - features[1]).abs().mean() > 0.01


def test_pytorch_fid_is_equal(network, state):
    theirs = pytorch_fid(state)
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = theirs(images)[3].flatten(1)
    assert_close(network(network_input())[0], expected)


def test_torch_fidelity_is_equal(network, state, file, in_torch, tmp_path):
    package = peer("torch_fidelity.feature_extractor_inceptionv3")
    torch.save(state, tmp_path / "w.pth")
    theirs = package.FeatureExtractorInceptionV3(
        "i", ["2048", "logits_unbiased", "logits"], feature_extractor_weights_path=tmp_path / "w.pth"
    )
    images = pictures()
    features, without_bias, with_bias = theirs(torch.from_numpy(images).permute(0, 3, 1, 2))
    extractor = get_extractor("inception", device="cpu", resize="legacy-tensorflow", weights=file)
    mine = extractor.forward(torch.from_numpy(np.stack([extractor.transform(image) for image in images])))
    assert_close(mine.features, features)
    assert_close(mine.logits, without_bias)
    assert_close(network.classifier(mine.features), with_bias)
    assert (with_bias - without_bias).abs().max() > 1e-2


def test_clean_fid_is_equal_up_to_the_network():
    resizer = peer("cleanfid.resize").build_resizer("clean")
    for shape in ((60, 80, 3), (400, 333, 3)):
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        expected = (resizer(image).transpose(2, 0, 1) - 128) / 128
        from assay.features.resize import resize_clean

        np.testing.assert_allclose((resize_clean(image, 299) - 128) / 128, expected, atol=1e-6)


def test_the_differentiable_form_agrees_with_the_fast_one(file, in_torch):
    extractor = get_extractor("inception", device="cpu", weights=file)
    (image,) = pictures(1)
    fast = extractor.forward(torch.from_numpy(extractor.transform(image))[None])
    module = extractor.torch_module()
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).requires_grad_()
    slow = module.outputs(x)
    assert_close(slow.features, fast.features, 1e-4)
    assert_close(slow.extra["spatial"], fast.extra["spatial"], 1e-4)
    slow.features.square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad != 0).float().mean() > 0.5
    assert fast.extra["spatial"].shape == (1, 2023) and fast.logits.shape == (1, 1008)
    assert not module.train().network.training
    with pytest.raises(UsageError, match=r"\(B, 3, H, W\) with values in \[0, 1\], not torch.uint8"):
        module(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("resize", ["clean", "legacy-pytorch", "legacy-tensorflow"])
def test_both_forms_give_the_network_the_same_input(file, in_torch, resize):
    extractor = get_extractor("inception", device="cpu", resize=resize, weights=file)
    (image,) = pictures(1)
    module = extractor.torch_module()
    module.network = Same()
    given = module(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    assert (given[0] - torch.from_numpy(extractor.transform(image))).abs().max() <= 1e-4


def test_name_and_fingerprint_tell_what_departs(file):
    def built(**options):
        return get_extractor("inception", device="cpu", weights=file, **options)

    plain, old, cropped = built(), built(resize="legacy-pytorch"), built(crop="center")
    digits = plain.name[-9:-1]
    assert plain.name == f"inception[weights={digits}]" and plain.dim == 2048 and plain.license == "unknown"
    assert old.name == f"inception[legacy-pytorch,weights={digits}]"
    assert cropped.name == f"inception[crop=center,weights={digits}]"
    assert built(size=32).name == plain.name + "@32"
    prints = {e.fingerprint for e in (plain, old, cropped, built(size=32), built(resize="legacy-tensorflow"))}
    assert len(prints) == 5 and built(resize="clean", crop="none").fingerprint == plain.fingerprint


def test_crop_takes_the_central_square(file):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 10:50] = 255
    extractor = get_extractor("inception", device="cpu", crop="center", weights=file)
    assert (extractor.transform(image) == (255 - 128) / 128).all()


def test_wrong_use_is_said(file, state, tmp_path):
    with pytest.raises(UsageError, match="unknown resize 'legacy-torch': did you mean legacy-pytorch"):
        get_extractor("inception", device="cpu", weights=file, resize="legacy-torch")
    with pytest.raises(UsageError, match="nothing after a colon"):
        get_extractor("inception:x", device="cpu", weights=file)
    with pytest.raises(UsageError, match="pixels takes no resize: only inception and vgg16 do"):
        get_extractor("pixels:8", device="cpu", resize="clean")
    rounded = get_extractor("inception", device="cpu", weights=file, resize="legacy-pil-bicubic")
    with pytest.raises(UsageError, match="rounds to bytes"):
        rounded.torch_module()
    other = {name: value for name, value in state.items() if not name.startswith("Mixed_7c")}
    other["fc.weight"] = state["fc.weight"][:1000]
    save_file(other, tmp_path / "other.safetensors")
    wrong = get_extractor("inception", device="cpu", weights=tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"weights of inception: Mixed_7c\.\S+ is missing.* and \d+ more$"):
        wrong.torch_module()


def write():
    theirs = pytorch_fid(random_state(InceptionNetwork()), resize_input=False, normalize_input=False)
    seen = {}
    theirs.blocks[2][6].branch1x1.register_forward_hook(lambda *a: seen.update(spatial=a[2]))  # Mixed_6d
    with torch.no_grad():
        features = theirs(network_input())[3].flatten(1)
    weight = random_state(InceptionNetwork())["fc.weight"]
    parts = golden_parts(features, features @ weight.T, seen["spatial"][:, :7].permute(0, 2, 3, 1).flatten(1))
    GOLDEN.write_text(
        json.dumps({k: [[float(f"{t:.8g}") for t in r] for r in v] for k, v in parts.items()}) + "\n"
    )


if __name__ == "__main__" and "--write" in sys.argv:
    write()
