"""Parquet in the Hugging Face layout and plain: columns, classes, row groups, and what is said when there are none."""

from __future__ import annotations

import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from assay.data import UnreadableImage, labels_of, open_images  # noqa: E402
from assay.data import parquet as parquet_module  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 2), level).save(buffer, "PNG")
    return buffer.getvalue()


def structs(levels):
    rows = [None if v is None else {"bytes": png(v), "path": f"{v}.png"} for v in levels]
    return pa.array(rows, pa.struct({"bytes": pa.binary(), "path": pa.string()}))


def write(path, columns, features=None, **options):
    table = pa.table(columns)
    if features is not None:
        about = json.dumps({"info": {"features": features}}).encode()
        table = table.replace_schema_metadata({b"huggingface": about})
    pq.write_table(table, path, **options)
    return path


CLASSES = {"_type": "ClassLabel", "names": ["cat", "dog"]}


def test_the_hugging_face_layout(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        {"image": structs(range(10)), "label": pa.array([0, 1] * 5)},
        {"image": {"_type": "Image"}, "label": CLASSES},
        row_group_size=3,
    )
    source = open_images(path)
    assert list(source.names) == [str(i) for i in range(10)] and source.names[2:4] == ("2", "3")
    assert [int(source.decode(i)[0, 0, 0]) for i in (9, 0, 5, 4, 1)] == [9, 0, 5, 4, 1]
    assert list(labels_of(source)) == ["cat", "dog"] * 5
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.decode(7) == 7).all() and copy.labels[1] == "dog"
    assert source.signature == open_images(path).signature is not None


def test_plain_bytes_and_labels_by_name(tmp_path):
    image = pa.array([png(1), png(2)], pa.large_binary())
    cases = {"class": (pa.array(["x", "y"]), ["x", "y"]), "labels": (pa.array([7, 8], pa.int8()), ["7", "8"])}
    cases["label"] = (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"])
    for name, (column, expected) in cases.items():
        source = open_images(write(tmp_path / f"{name}.parquet", {"jpg": image, name: column}))
        assert (source.decode(1) == 2).all() and list(labels_of(source)) == expected


def test_labels_that_are_hidden_or_missing(tmp_path):
    features = {"image": {"_type": "Image"}, "label": CLASSES}
    hidden = write(tmp_path / "a.parquet", {"image": structs([1, 2]), "label": [-1, -1]}, features)
    assert open_images(hidden).labels is None
    some = write(tmp_path / "b.parquet", {"image": structs([1, 2, 3]), "label": [0, None, 1]}, features)
    with pytest.raises(DataError, match=r"1 of 3 images .* have no label in its own labels: 1$"):
        labels_of(open_images(some))
    wrong = write(tmp_path / "c.parquet", {"image": structs([1, 2]), "label": [0, 5]}, features)
    with pytest.raises(DataError, match="has the label 5; its classes are 0 to 1"):
        labels_of(open_images(wrong))
    two = {"image": structs([1]), "fine_label": [0], "coarse_label": [1]}
    assert (
        open_images(
            write(tmp_path / "d.parquet", two, {"fine_label": CLASSES, "coarse_label": CLASSES})
        ).labels
        is None
    )


def test_a_row_without_bytes_is_named_alone(tmp_path):
    source = open_images(write(tmp_path / "a.parquet", {"image": structs([1, None, 3])}))
    with pytest.raises(UnreadableImage, match=r"^1 cannot be read: the row holds no bytes"):
        source.decode(1)
    assert (source.decode(2) == 3).all()


def test_which_column_has_to_be_said_where_there_are_several(tmp_path):
    path = write(tmp_path / "a.parquet", {"before": structs([1]), "after.v2": structs([2]), "id": [3]})
    with pytest.raises(DataError, match=r"several columns of images \(before, after\.v2\).*#before"):
        open_images(path)
    assert (open_images(f"{path}#after.v2").decode(0) == 2).all()
    with pytest.raises(UsageError, match="has no column x; its columns are before"):
        open_images(f"{path}#x")
    with pytest.raises(DataError, match="column id holds no images"):
        open_images(f"{path}#id")
    # what Hugging Face's header says is an image is one, whatever else holds bytes
    said = write(
        tmp_path / "b.parquet",
        {"image": structs([1]), "raw": pa.array([b"x"])},
        {"image": {"_type": "Image"}},
    )
    assert (open_images(said).decode(0) == 1).all()


def test_a_table_without_images_says_what_it_has(tmp_path):
    path = write(tmp_path / "a.parquet", {"text": ["x"], "n": [1]})
    with pytest.raises(
        DataError, match=r"no column of images .*; its columns are text \(string\), n \(int64\)"
    ):
        open_images(path)
    with pytest.raises(DataError, match="has no rows"):
        open_images(write(path, {"image": structs([])}))


def test_large_row_groups_are_read_in_pieces_and_memory_stays_bounded(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(
        0, 256, (400, 100_000), dtype=np.uint8
    )  # 40 MB in one row group
    path = tmp_path / "a.parquet"
    column = pa.array([row.tobytes() for row in noise], pa.binary())
    # pages of one image: a page is read whole, whatever its size
    pages = {"data_page_size": 1 << 16, "write_batch_size": 1}
    pq.write_table(pa.table({"image": column}), path, compression="none", use_dictionary=False, **pages)
    del column
    monkeypatch.setattr(parquet_module, "BLOCK_BYTES", 1 << 20)
    source = open_images(path)
    before, peak = pa.total_allocated_bytes(), 0
    for index in [*range(400), 3, 250, 0]:  # backwards, too
        assert source.read(index) == noise[index].tobytes()
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < 12 << 20, peak  # four blocks and what is on its way, not forty megabytes


def test_threads_share_the_blocks(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": structs(range(200))}, row_group_size=7)
    source = open_images(path)
    order = np.random.default_rng(0).permutation(200)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda i: int(source.decode(i)[0, 0, 0]), order))
    assert seen == order.tolist()


def test_a_folder_of_shards_is_one_set(tmp_path):
    for shard in range(2):
        columns = {"image": structs([shard, 10 + shard]), "label": pa.array(["a", "b"])}
        write(tmp_path / f"train-{shard:05}-of-00002.parquet", columns)
    source = open_images(tmp_path)
    assert list(source.names)[1:3] == ["train-00000-of-00002.parquet/1", "train-00001-of-00002.parquet/0"]
    assert (source.decode(3) == 11).all() and list(source.labels) == ["a", "b", "a", "b"]
    assert (open_images(f"{tmp_path}#image").decode(2) == 1).all()
    assert pickle.loads(pickle.dumps(source)).decode(3).max() == 11


def test_damaged_and_cut_files_are_said(tmp_path):
    path = write(tmp_path / "a.parquet", {"image": structs(range(100))})
    content = path.read_bytes()
    for kept in (0, 3, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError, match=r"a\.parquet is (not a Parquet file, or is cut off|a damaged)"):
            open_images(path)
    damaged = bytearray(content)
    damaged[10 : len(content) // 2] = bytes(len(content) // 2 - 10)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        open_images(path).decode(0)
