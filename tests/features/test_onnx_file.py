"""A network of one's own as an ONNX file."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from assay.errors import DataError, UsageError
from assay.features import get_extractor
from assay.features.onnx_file import onnx_preprocessing

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def write(
    path, *, shape=("B", 3, 8, 8), outputs=("features",), metadata=(), scale=1.0, width=4, element=FLOAT
):
    """Mean over the image, times a (3, width) matrix; further outputs are twice the one before."""
    weight = (scale * np.arange(1, shape[1] * width + 1, dtype=np.float32)).reshape(shape[1], width)
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "weight"], [outputs[0]]),
    ]
    for before, after in itertools.pairwise(outputs):
        nodes.append(helper.make_node("Add", [before, before], [after]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", element, shape)],
        [helper.make_tensor_value_info(name, FLOAT, [shape[0], width]) for name in outputs],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in metadata:
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return model, torch.from_numpy(weight)


def test_features_are_the_files_of_the_normalised_image(tmp_path):
    path = tmp_path / "net.onnx"
    keys = (
        ("assay.mean", "0.1,0.2,0.3"),
        ("assay.std", "0.5,0.5,2"),
        ("assay.license", "mit"),
        ("other", "x"),
    )
    _, weight = write(path, metadata=keys)
    extractor = get_extractor(f"onnx:{path}", device="cpu")
    image = np.empty((20, 30, 3), np.uint8)
    image[...] = (255, 51, 0)
    x = torch.from_numpy(np.stack([extractor.transform(image)] * 5))
    expected = (
        (torch.tensor([1.0, 0.2, 0.0]) - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.5, 2])
    ) @ weight
    features = extractor.forward(x).features
    torch.testing.assert_close(features, expected.expand(5, -1), rtol=1e-5, atol=1e-5)
    assert (extractor.dim, extractor.license, features.dtype) == (4, "mit", torch.float32)
    with pytest.raises(UsageError, match="has no gradient"):
        extractor.torch_module()


def test_a_fixed_batch_of_one_is_run_one_by_one(tmp_path):
    free, one, three = (tmp_path / name for name in ("free.onnx", "one.onnx", "three.onnx"))
    write(free)
    write(one, shape=(1, 3, 8, 8))
    write(three, shape=(3, 3, 8, 8))
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    given = [get_extractor(f"onnx:{path}", device="cpu").forward(x).features for path in (free, one)]
    torch.testing.assert_close(*given)
    with pytest.raises(UsageError, match="batches of exactly 3"):
        get_extractor(f"onnx:{three}")


def test_the_output_is_chosen_by_name_where_there_are_several(tmp_path):
    path = tmp_path / "two.onnx"
    write(path, outputs=("first", "second"))
    with pytest.raises(
        UsageError, match=r"several outputs are .* first \['B', 4\], second .*two\.onnx#first"
    ):
        get_extractor(f"onnx:{path}")
    x = torch.rand(2, 3, 8, 8)
    first, second = (get_extractor(f"onnx:{path}#{name}", device="cpu") for name in ("first", "second"))
    torch.testing.assert_close(2 * first.forward(x).features, second.forward(x).features)
    assert first.fingerprint != second.fingerprint
    with pytest.raises(UsageError, match="has no output 'third'; its outputs are"):
        get_extractor(f"onnx:{path}#third")


def test_the_fingerprint_tells_weights_and_preprocessing_apart(tmp_path):
    path = tmp_path / "net.onnx"
    prints = []
    for change in ({}, {"scale": 1.01}, {"metadata": (("assay.mean", "0,0,0.1"),)}, {}):
        write(path, **change)
        prints.append(get_extractor(f"onnx:{path}", device="cpu").fingerprint)
    assert prints[0] == prints[3] and len(set(prints)) == 3
    assert get_extractor(f"onnx:{path}", device="cpu", crop="center").fingerprint not in prints


def external(tmp_path, location):
    model, _ = write(tmp_path / "inside.onnx", width=400)
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=1000
    )
    onnx.save(model, folder / "net.onnx")
    loaded = onnx.load(str(folder / "net.onnx"), load_external_data=False)
    for tensor in loaded.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "net.onnx").write_bytes(loaded.SerializeToString())
    return folder


def test_weights_beside_the_file_are_read_and_hashed(tmp_path):
    folder = external(tmp_path, "weights.bin")
    name = f"onnx:{folder / 'net.onnx'}"
    extractor = get_extractor(name, device="cpu")
    x = torch.rand(2, 3, 8, 8)
    whole = get_extractor(f"onnx:{tmp_path / 'inside.onnx'}", device="cpu")
    torch.testing.assert_close(extractor.forward(x).features, whole.forward(x).features)
    content = bytearray((folder / "weights.bin").read_bytes())
    content[5] ^= 1
    (folder / "weights.bin").write_bytes(content)
    assert get_extractor(name, device="cpu").fingerprint != extractor.fingerprint


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "link/weights.bin", ""])
def test_weights_outside_the_files_folder_are_refused(tmp_path, location):
    folder = external(tmp_path, location)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="outside its folder, which is not read"):
        get_extractor(f"onnx:{folder / 'net.onnx'}")


@pytest.mark.parametrize(
    "change,words",
    [
        ({"shape": ("B", 3, "H", "W")}, "no fixed height and width .*assay.size"),
        ({"shape": ("B", 1, 8, 8)}, r"expected float32 \(B, 3, H, W\)"),
        ({"shape": ("B", 3, "H", 8), "metadata": (("assay.size", "9,9"),)}, "is fixed to"),
        ({"metadata": (("assay.colour", "1"),)}, "unknown metadata assay.colour; known are assay.mean"),
        ({"metadata": (("assay.mean", "0,1"),)}, "assay.mean is '0,1', expected 3 numbers"),
        ({"metadata": (("assay.std", "1,0,1"),)}, "above 0"),
        ({"metadata": (("assay.size", "8.5"),)}, "whole numbers"),
        ({"metadata": (("assay.resize", "stretch"),)}, "expected squash or shortest"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path, change, words):
    path = tmp_path / "net.onnx"
    write(path, **change)
    with pytest.raises(UsageError, match=words):
        get_extractor(f"onnx:{path}")


def test_a_free_size_is_fixed_by_the_metadata(tmp_path):
    path = tmp_path / "net.onnx"
    write(path, shape=("B", 3, "H", "W"), metadata=(("assay.size", "6,10"), ("assay.resize", "shortest")))
    extractor = get_extractor(f"onnx:{path}", device="cpu")
    assert extractor.transform(np.zeros((50, 40, 3), np.uint8)).shape == (3, 6, 10)
    kept = onnx_preprocessing({"assay.interpolation": "bilinear"}, (5, 7))
    assert (kept.resize, kept.size, kept.interpolation, kept.bytes) == ("squash", (5, 7), "bilinear", False)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 40])
def test_broken_files_are_one_clear_error(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not an ONNX model"):
        get_extractor(f"onnx:{path}")
    with pytest.raises(DataError, match=r"gone\.onnx cannot be read \(no such file"):
        get_extractor(f"onnx:{tmp_path / 'gone.onnx'}")
    with pytest.raises(UsageError, match="onnx needs a name after the colon"):
        get_extractor("onnx:")
