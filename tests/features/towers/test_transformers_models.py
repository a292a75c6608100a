"""Models in Hugging Face's format: the package's own features and preprocessing, safetensors only, no remote code."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features.text import get_text_encoder
from assay.features.transformers_models import ARCHITECTURES, transformers_preprocessing

pytestmark = pytest.mark.usefixtures("offline")  # nothing is asked of the hub


@pytest.fixture(scope="module")
def dino(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "tiny-dinov2"
    torch.manual_seed(1)
    config = hub.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    model = hub.Dinov2Model(config).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "BitImageProcessor",
                "size": {"shortest_edge": 33},
                "resample": 3,
                "crop_size": {"height": 28, "width": 28},
                "do_center_crop": True,
                "image_mean": [0.485, 0.456, 0.406],
                "image_std": [0.229, 0.224, 0.225],
            }
        )
    )
    return folder, model


def their_processor(hub, name, folder):
    """The package's processor in its Pillow form, whatever the version calls it."""
    kind = getattr(hub, f"{name}Pil", None) or getattr(hub, name)
    return kind.from_pretrained(str(folder))


def test_dinov2_gives_the_class_token(hub, dino, sizes):
    folder, model = dino
    extractor = get_extractor(f"transformers:{folder}", device="cpu")
    processor = their_processor(hub, "BitImageProcessor", folder)
    for image in sizes[:4]:
        theirs = torch.as_tensor(np.array(processor(image)["pixel_values"]))
        mine = torch.from_numpy(extractor.transform(image))[None]
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
        with torch.no_grad():
            found = model(pixel_values=theirs)
        features = extractor.forward(mine).features
        torch.testing.assert_close(features, found.last_hidden_state[:, 0])
        torch.testing.assert_close(features, found.pooler_output)
    assert (extractor.dim, extractor.license) == (32, "see the model's page")


def test_clip_gives_the_projected_embeddings_of_both_towers(hub, clip, sizes):
    folder, model = clip
    extractor = get_extractor(f"transformers:{folder}", device="cpu")
    processor = their_processor(hub, "CLIPImageProcessor", folder)
    for image in sizes[:4]:
        theirs = torch.as_tensor(np.array(processor(image)["pixel_values"]))
        mine = torch.from_numpy(extractor.transform(image))[None]
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    tokenizer = hub.AutoTokenizer.from_pretrained(str(folder))
    texts = ["a photo of a cat", "red dog"]
    given = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        both = model(pixel_values=mine.expand(2, -1, -1, -1), **given)
    image = torch.nn.functional.normalize(extractor.forward(mine).features)
    text = get_text_encoder(f"transformers:{folder}", device="cpu").encode(texts)
    assert text.shape == (2, 24) and text.dtype == torch.float32 and not text.requires_grad
    torch.testing.assert_close(image, both.image_embeds[:1])
    torch.testing.assert_close(torch.nn.functional.normalize(text), both.text_embeds)
    assert (extractor.dim, extractor.license) == (24, "mit")


def test_texts_are_cut_with_a_warning_and_do_not_depend_on_their_batch(clip):
    name = f"transformers:{clip[0]}"
    encoder = get_text_encoder(name, device="cpu", batch_size=2)
    texts = ["cat", "a photo of a red dog", "blue"]
    torch.testing.assert_close(encoder.encode(texts), torch.cat([encoder.encode([t]) for t in texts]))
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than .*tiny-clip takes and are cut off"):
        encoder.encode(["cat", "a photo of " * 9])
    for wrong, words in (("cat", "a list of strings"), ([], "at least one"), (["a", 3], "item 1 is a int")):
        with pytest.raises(UsageError, match=words):
            encoder.encode(wrong)
    assert encoder.fingerprint == get_text_encoder(name, device="cpu").fingerprint


def test_siglip_and_vit_load_and_agree_with_the_package(hub, tmp_path, photograph):
    torch.manual_seed(2)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hub.SiglipConfig(
        text_config={**tower, "vocab_size": 50, "max_position_embeddings": 8},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
    )
    siglip = hub.SiglipModel(config).eval()
    siglip.save_pretrained(tmp_path / "siglip")
    size = {"height": 32, "width": 32}
    common = {"size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "siglip" / "preprocessor_config.json").write_text(json.dumps({**common, "resample": 3}))
    vit = hub.ViTModel(hub.ViTConfig(**tower, image_size=32, patch_size=8)).eval()
    vit.save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps({**common, "size": 32}))
    extractor = get_extractor(f"transformers:{tmp_path / 'siglip'}", device="cpu")
    processor = their_processor(hub, "SiglipImageProcessor", tmp_path / "siglip")
    theirs = torch.as_tensor(np.array(processor(photograph)["pixel_values"]))
    mine = torch.from_numpy(extractor.transform(photograph))[None]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    with torch.no_grad():
        embeds = siglip(
            pixel_values=theirs, input_ids=torch.zeros(1, 8, dtype=torch.long)
        ).image_embeds  # normalised
        tokens = vit(pixel_values=theirs).last_hidden_state
    features = extractor.forward(mine).features
    torch.testing.assert_close(torch.nn.functional.normalize(features), embeds)
    torch.testing.assert_close(
        get_extractor(f"transformers:{tmp_path / 'vit'}", device="cpu").forward(theirs).features, tokens[:, 0]
    )


def test_the_module_is_differentiable_with_its_preprocessing(clip, photograph, as_tensor):
    extractor = get_extractor(f"transformers:{clip[0]}", device="cpu")
    module = extractor.torch_module()
    x = as_tensor(photograph).requires_grad_()
    features = module(x)
    fast = extractor.forward(torch.from_numpy(extractor.transform(photograph))[None]).features
    assert (features - fast).norm() <= 0.02 * fast.norm()
    (gradient,) = torch.autograd.grad(features.sum(), x)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    assert not any(p.requires_grad or p.dtype != torch.float32 for p in module.parameters())


def test_the_gradient_equals_central_differences(dino):
    module = get_extractor(f"transformers:{dino[0]}", device="cpu").torch_module().double()
    g = torch.Generator().manual_seed(0)
    x = 0.2 + 0.6 * torch.rand(1, 3, 40, 50, generator=g, dtype=torch.float64)
    x.requires_grad_()
    move = torch.randn(x.shape, generator=g, dtype=torch.float64)
    weights = torch.randn(32, generator=g, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((module(x) * weights).sum(), x)
    with torch.no_grad():
        up, down = ((module(x + sign * 1e-6 * move) * weights).sum() for sign in (1, -1))
    assert ((up - down) / 2e-6).item() == pytest.approx((gradient * move).sum().item(), rel=1e-4)


def test_weights_preprocessing_and_settings_are_in_the_fingerprint(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, _ = clip
    first = get_extractor(f"transformers:{folder}", device="cpu").fingerprint
    prints = {first, get_extractor(f"transformers:{folder}", device="cpu", crop="none").fingerprint}
    for number, change in enumerate(("nothing", "weights", "mean", "activation")):
        copy = tmp_path / str(number)
        shutil.copytree(folder, copy)
        if change == "weights":
            state = load_file(copy / "model.safetensors")
            state["visual_projection.weight"][0, 0] += 1e-3
            save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
        if change == "mean":
            file = copy / "preprocessor_config.json"
            file.write_text(file.read_text().replace("0.48", "0.49"))
        if change == "activation":
            config = json.loads((copy / "config.json").read_text())
            config["vision_config"]["hidden_act"] = "gelu"
            (copy / "config.json").write_text(json.dumps(config))
        prints.add(get_extractor(f"transformers:{copy}", device="cpu").fingerprint)
    assert len(prints) == 5


def test_pickles_and_incomplete_weights_are_refused(hub, clip, dino, tmp_path):
    from safetensors.torch import load_file, save_file

    pickled = tmp_path / "pickled"
    shutil.copytree(clip[0], pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"cannot be loaded .*safetensors.*give a folder"):
        get_extractor(f"transformers:{pickled}")
    partial = tmp_path / "partial"
    shutil.copytree(dino[0], partial)
    state = load_file(partial / "model.safetensors")
    del state["layernorm.weight"]
    save_file(state, partial / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights of the model are not in its file \(layernorm\.weight"):
        get_extractor(f"transformers:{partial}")


def test_what_cannot_be_had_or_is_not_meant_is_said(hub, clip, dino, tmp_path):
    with pytest.raises(
        DataError, match=r"no-such-model@main cannot be loaded.*run `hf download nobody/no-such-model`"
    ):
        get_extractor("transformers:nobody/no-such-model@main")
    with pytest.raises(DataError, match="there is no such folder"):
        get_extractor("transformers:./nothing")
    with pytest.raises(UsageError, match="NAME@REVISION"):
        get_extractor("transformers:name@")
    with pytest.raises(UsageError, match="a bert model; features are defined here for clip, siglip, dinov2"):
        (tmp_path / "bert").mkdir()
        (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
        get_extractor(f"transformers:{tmp_path / 'bert'}")
    remote = tmp_path / "remote"
    remote.mkdir()
    (remote / "config.json").write_text('{"model_type": "x", "auto_map": {"AutoConfig": "evil.Config"}}')
    (remote / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(DataError, match="cannot be loaded"):
        get_extractor(f"transformers:{remote}")
    with pytest.raises(UsageError, match="a dinov2 model, without a text tower"):
        get_text_encoder(f"transformers:{dino[0]}")
    with pytest.raises(UsageError, match="pixels has no text tower"):
        get_text_encoder("pixels")


COLOURS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@pytest.mark.parametrize(
    "config,words",
    [
        ({"do_pad": True}, "asks for do_pad"),
        ({"do_resize": False}, "does not resize"),
        ({"size": {"longest_edge": 5}}, "expected height and width, or shortest_edge"),
        ({"size": {"shortest_edge": 8}, "do_center_crop": False}, "different sizes"),
        ({"size": {"shortest_edge": 8}, "crop_size": 9}, "crops"),
        ({"size": 8, "crop_size": 8, "resample": 0}, "filter 0"),
    ],
)
def test_processors_that_do_something_else_are_refused(config, words):
    with pytest.raises(UsageError, match=words):
        transformers_preprocessing({**COLOURS, **config}, ARCHITECTURES["clip"])


def test_old_configurations_mean_what_their_class_did():
    old = transformers_preprocessing({**COLOURS, "size": 224, "crop_size": 224}, ARCHITECTURES["clip"])
    assert (old.resize, old.size, old.crop, old.interpolation) == (
        "shortest",
        (224, 224),
        (224, 224),
        "bicubic",
    )
    vit = transformers_preprocessing({**COLOURS, "size": 224}, ARCHITECTURES["vit"])
    assert (vit.resize, vit.size, vit.crop, vit.interpolation) == ("squash", (224, 224), None, "bilinear")
    half = transformers_preprocessing(
        {**COLOURS, "size": 8, "rescale_factor": 1 / 127.5}, ARCHITECTURES["siglip"]
    )
    # 2 v / 255 - 0.5 over 0.5
    white = half.of_array(np.full((8, 8, 3), 255, np.uint8))
    assert white == pytest.approx(3.0, abs=1e-5)
