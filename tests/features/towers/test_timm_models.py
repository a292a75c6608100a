"""timm's networks: its own features, its own preprocessing, and clear errors where weights are missing."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features.timm_models import timm_preprocessing


@pytest.fixture(scope="module")
def timm(package):
    return package("timm")


@pytest.fixture(scope="module")
def saved(timm, tmp_path_factory):
    """A small network with random weights, as timm writes it, with its own size, crop and colours."""
    import timm.models

    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=7).eval()
    folder = tmp_path_factory.mktemp("timm") / "tiny"
    timm.models.save_for_hf(
        network, str(folder), model_args={"img_size": 32, "depth": 2}, safe_serialization=True
    )
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"].update(
        input_size=[3, 32, 32], crop_pct=0.9, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3], license="mit"
    )
    (folder / "config.json").write_text(json.dumps(config))
    return folder, network


def test_features_and_preprocessing_are_timms(timm, saved, sizes):
    import timm.data
    from PIL import Image

    folder, network = saved
    extractor = get_extractor(f"timm:{folder}", device="cpu")
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(loaded), is_training=False)
    for image in sizes:
        theirs = transform(Image.fromarray(image))
        mine = torch.from_numpy(extractor.transform(image))
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
        with torch.no_grad():
            torch.testing.assert_close(extractor.forward(mine[None]).features, loaded(theirs[None]))
            # the classifier's input, from the network before it was saved
            pre = network.forward_head(network.forward_features(theirs[None]), pre_logits=True)
        torch.testing.assert_close(extractor.forward(mine[None]).features, pre)
    assert (extractor.dim, extractor.license) == (192, "mit")


@pytest.mark.parametrize("mode", ["center", "border", "squash"])
@pytest.mark.parametrize("size,fraction", [((3, 32, 32), 0.875), ((3, 24, 40), 1.0), ((3, 33, 33), 0.95)])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_every_crop_mode_equals_timms(timm, sizes, mode, size, fraction, interpolation):
    import timm.data
    from PIL import Image

    config = {
        "input_size": size,
        "interpolation": interpolation,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
        "crop_pct": fraction,
        "crop_mode": mode,
    }
    transform = timm.data.create_transform(**config, is_training=False)
    mine = timm_preprocessing(config)
    for image in sizes:
        theirs = transform(Image.fromarray(image)).numpy()
        assert np.abs(mine.of_array(image) - theirs).max() <= 1e-6, image.shape


def test_the_fingerprint_tells_weights_and_preprocessing_apart(saved, timm, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _ = saved
    name = f"timm:{folder}"
    first = get_extractor(name, device="cpu").fingerprint
    assert get_extractor(name, device="cpu").fingerprint == first
    assert get_extractor(name, device="cpu", crop="none").fingerprint != first
    other = tmp_path / "other"
    other.mkdir()
    config = json.loads((folder / "config.json").read_text())
    state = load_file(folder / "model.safetensors")
    (other / "config.json").write_text(json.dumps(config))
    save_file(state, other / "model.safetensors")
    assert get_extractor(f"timm:{other}", device="cpu").fingerprint == first  # wherever the files are
    state["blocks.1.mlp.fc1.bias"][3] += 1e-3
    save_file(state, other / "model.safetensors")
    assert get_extractor(f"timm:{other}", device="cpu").fingerprint != first
    save_file(load_file(folder / "model.safetensors"), other / "model.safetensors")
    config["pretrained_cfg"]["interpolation"] = "bilinear"
    (other / "config.json").write_text(json.dumps(config))
    assert get_extractor(f"timm:{other}", device="cpu").fingerprint != first


def test_the_module_is_differentiable_frozen_and_apart(saved, photograph, as_tensor):
    extractor = get_extractor(f"timm:{saved[0]}", device="cpu")
    module = extractor.torch_module()
    x = as_tensor(photograph).requires_grad_()
    features = module.train()(x)
    fast = extractor.forward(torch.from_numpy(extractor.transform(photograph))[None]).features
    # bytes against floats: under a grey level
    assert (features - fast).norm() <= 0.02 * fast.norm()
    features.square().sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().max() > 0
    assert not any(p.requires_grad for p in module.parameters())
    module.double()
    again = extractor.forward(torch.from_numpy(extractor.transform(photograph))[None]).features
    assert torch.equal(again, fast) and again.dtype == torch.float32 and not again.requires_grad


@pytest.mark.parametrize(
    "argument,words",
    [
        ("resnet18x", "timm knows no such model; did you mean timm:resnet18"),
        ("", "timm needs a name after the colon"),
        ("test_vit.no_such_tag", "no weights for this model"),
    ],
)
def test_unknown_names_say_what_is_near(timm, argument, words):
    with pytest.raises(UsageError, match=words):
        get_extractor(f"timm:{argument}")


def test_missing_and_pickled_weights_are_refused(timm, saved, tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        get_extractor("timm:./no-such-folder")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((saved[0] / "config.json").read_text())
    torch.save({"x": torch.zeros(1)}, pickled / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"no \.safetensors file; pickled weights are not read"):
        get_extractor(f"timm:{pickled}")
    (pickled / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cannot be loaded .*copy the Hugging Face cache"):
        get_extractor(f"timm:{pickled}")


def test_without_a_network_the_error_says_what_to_do(timm, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("We couldn't connect to 'https://hub'")

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(
        DataError, match=r"timm:resnet18 cannot be loaded \(OSError: We couldn't connect.*HF_HOME"
    ):
        get_extractor("timm:resnet18")
