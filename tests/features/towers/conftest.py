"""Photographs, and other packages imported although torchvision's compiled operators may be missing."""

from __future__ import annotations

import importlib
import json
import sys
import warnings

import numpy as np
import pytest
import torch

libraries = []


def imported(name):
    """The package, or the test is skipped. A torchvision without its compiled part is helped over the import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("torchvision")
        except ImportError:
            if name in ("timm", "open_clip"):
                pytest.skip("torchvision is not installed")
        except RuntimeError:
            for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
                del sys.modules[module]
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            libraries.append(library)
        return pytest.importorskip(name)


@pytest.fixture(scope="session")
def package():
    return imported


@pytest.fixture(scope="session")
def photograph():
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.chelsea())  # 300 x 451


@pytest.fixture
def sizes(photograph):
    """A photograph in several shapes: odd margins, upright, smaller than the network wants, square."""
    return [
        photograph,
        np.ascontiguousarray(photograph[:, :299].transpose(1, 0, 2)),
        np.ascontiguousarray(photograph[40:61, 100:133]),
        np.ascontiguousarray(photograph[:64, :64]),
        np.ascontiguousarray(photograph[:7, :300]),
    ]


def soften(images):
    return torch.from_numpy(images).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def as_tensor():
    return soften


@pytest.fixture(scope="session")
def hub(package):
    return package("transformers")


@pytest.fixture(scope="module")
def offline(hub):
    patch = pytest.MonkeyPatch()
    constants = __import__("huggingface_hub.constants", fromlist=["constants"])
    patch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield
    patch.undo()


WORDS = ["a", "photo", "of", "cat", "dog", "red", "blue"]


def tokenizer_files(folder):
    """A tokenizer of CLIP's kind that knows seven words and the letters."""
    letters = [chr(c) for c in range(97, 123)]
    vocabulary = letters + [f"{c}</w>" for c in letters]
    merges = []
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            if (pair := f"{parts[0]} {parts[1]}") not in merges:
                merges.append(pair)
                vocabulary.append(parts[0] + parts[1])
            parts = [parts[0] + parts[1], *parts[2:]]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    numbers = {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}
    (folder / "vocab.json").write_text(json.dumps(numbers))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    kind = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 16, "unk_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind))
    return numbers


@pytest.fixture(scope="session")
def clip(hub, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "tiny-clip"
    folder.mkdir()
    numbers = tokenizer_files(folder)
    tower = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": numbers["<|startoftext|>"], "eos_token_id": numbers["<|endoftext|>"]}
    text = {**tower, **ends, "vocab_size": len(numbers), "max_position_embeddings": 16, "pad_token_id": 0}
    torch.manual_seed(0)
    config = hub.CLIPConfig(
        text_config=text, vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=24
    )
    model = hub.CLIPModel(config).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": 32},
                "resample": 3,
                "do_center_crop": True,
                "crop_size": {"height": 32, "width": 32},
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": True,
                "image_mean": [0.48, 0.46, 0.41],
                "image_std": [0.27, 0.26, 0.28],
                "do_convert_rgb": True,
            }
        )
    )
    (folder / "README.md").write_text("---\nlicense: mit\n---\nA model card.\n")
    return folder, model
