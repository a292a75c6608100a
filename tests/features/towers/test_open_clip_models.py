"""open_clip's models: its own embeddings, preprocessing and tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features.open_clip_models import open_clip_preprocessing
from assay.features.text import get_text_encoder


@pytest.fixture(scope="module")
def open_clip(package):
    return package("open_clip")


@pytest.fixture(scope="module")
def saved(open_clip, tmp_path_factory):
    """A small model with random weights in a folder, with the tokenizer that the package brings."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("open-clip") / "tiny"
    folder.mkdir()
    model = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
    }
    config = {"model_cfg": model, "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    network = open_clip.model.CLIP(**model).eval()
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder, network


def test_both_towers_and_the_preprocessing_are_the_packages(open_clip, saved, sizes):
    from PIL import Image

    folder, network = saved
    name = f"open_clip:{folder}"
    extractor = get_extractor(name, device="cpu")
    _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    for image in sizes:
        theirs = transform(Image.fromarray(image))[None]
        mine = torch.from_numpy(extractor.transform(image))[None]
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(extractor.forward(mine).features, network.encode_image(theirs))
    texts = ["a photo of a cat", "two dogs"]
    encoder = get_text_encoder(name, device="cpu")
    with torch.no_grad():
        expected = network.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(texts))
    torch.testing.assert_close(encoder.encode(texts), expected)
    assert extractor.dim == 24 == encoder.encode(texts).shape[1]
    with pytest.warns(UserWarning, match="1 of 1 texts are longer"):
        encoder.encode(["a photo of a cat " * 6])


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, 33])
def test_every_resize_mode_equals_open_clips(open_clip, sizes, mode, interpolation, size):
    from PIL import Image

    config = {
        "size": size,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
        "interpolation": interpolation,
        "resize_mode": mode,
        "fill_color": 7,
    }
    transform = open_clip.image_transform(
        size, False, config["mean"], config["std"], mode, interpolation, config["fill_color"]
    )
    mine = open_clip_preprocessing(config)
    for image in sizes:
        assert np.abs(mine.of_array(image) - transform(Image.fromarray(image)).numpy()).max() <= 1e-6, (
            image.shape
        )


def test_the_activation_is_in_the_fingerprint_and_the_module_has_a_gradient(
    saved, tmp_path, photograph, as_tensor
):
    folder, _ = saved
    other = tmp_path / "gelu"
    other.mkdir()
    (other / "open_clip_model.safetensors").symlink_to(folder / "open_clip_model.safetensors")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["quick_gelu"] = False  # the weights are the same, the features are not
    (other / "open_clip_config.json").write_text(json.dumps(config))
    mine, theirs = (get_extractor(f"open_clip:{place}", device="cpu") for place in (folder, other))
    assert mine.fingerprint != theirs.fingerprint
    x = as_tensor(photograph).requires_grad_()
    features = mine.torch_module()(x)
    fast = mine.forward(torch.from_numpy(mine.transform(photograph))[None]).features
    assert (features - fast.to(features)).norm() <= 0.02 * fast.norm()
    (gradient,) = torch.autograd.grad(features.sum(), x)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


@pytest.mark.parametrize(
    "argument,words",
    [
        ("ViT-B-3/openai", "knows no model 'ViT-B-3'; did you mean ViT-B-32"),
        ("ViT-B-32", "expected open_clip:ViT-B-32/TAG; the tags of ViT-B-32 are: .*laion2b_s34b_b79k"),
        ("ViT-B-32/nope", "the tags of ViT-B-32 are"),
        ("ViT-B-32/openai", "trained with another activation.*open_clip:ViT-B-32-quickgelu/openai"),
        ("", "open_clip needs a name"),
    ],
)
def test_unknown_names_say_the_known_ones(open_clip, argument, words):
    with pytest.raises(UsageError, match=words):
        get_extractor(f"open_clip:{argument}")


def test_what_cannot_be_had_is_said(open_clip, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"there is no file no-such\.safetensors"):
        get_extractor("open_clip:ViT-B-32/no-such.safetensors")
    with pytest.raises(DataError, match=r"no \.safetensors file"):
        get_extractor(f"open_clip:{tmp_path}")

    def no_network(*args, **kwargs):
        raise RuntimeError("Failed to download weights")

    monkeypatch.setattr(open_clip, "create_model", no_network)
    with pytest.raises(DataError, match=r"cannot be loaded \(RuntimeError: Failed to download.*HF_HOME"):
        get_extractor("open_clip:ViT-B-32/laion2b_s34b_b79k")
