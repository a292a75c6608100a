"""`datasets.Dataset`: the stored bytes of its images, by their column, with its classes."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
datasets = pytest.importorskip("datasets")

from assay.data import UnreadableImage, batches, dataset_images, labels_of  # noqa: E402
from assay.errors import DataError, MissingExtra, UsageError  # noqa: E402

# of the library's own hashing
pytestmark = pytest.mark.filterwarnings("ignore:Cannot (locate|pickle)")


def jpeg(level):
    buffer = io.BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def dataset():
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "n": datasets.Value("int32"),
        }
    )
    rows = {
        "image": [{"bytes": jpeg(10 * i), "path": None} for i in range(6)],
        "label": [0, 1] * 3,
        "n": list(range(6)),
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_the_stored_bytes_and_the_classes(dataset):
    source = dataset_images(dataset)
    assert [source.read(i) for i in range(6)] == [jpeg(10 * i) for i in range(6)]
    assert list(source.names) == [str(i) for i in range(6)] and list(labels_of(source)) == ["cat", "dog"] * 3
    assert source.signature == dataset_images(dataset).signature is not None
    assert pickle.loads(pickle.dumps(source)).read(2) == jpeg(20)


def test_chosen_rows_keep_their_order_and_change_the_signature(dataset):
    chosen = dataset.select([5, 1, 2])
    source = dataset_images(chosen)
    assert [source.read(i) for i in range(3)] == [jpeg(50), jpeg(10), jpeg(20)]
    assert (
        list(source.labels) == ["dog", "dog", "cat"] and source.signature != dataset_images(dataset).signature
    )
    source = dataset_images(dataset.with_format("numpy").filter(lambda n: n > 3, input_columns="n"))
    seen = list(batches(source, transform=lambda image: image[:1, :1, :1].astype(np.float32), workers=4))
    assert np.abs(np.concatenate([b.images.numpy().ravel() for b in seen]) - [40, 50]).max() <= 1


def test_rows_of_paths_are_read_and_have_no_signature(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(7))
    rows = {"image": [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg"), None]}
    source = dataset_images(
        datasets.Dataset.from_dict(rows, features=datasets.Features({"image": datasets.Image()}))
    )
    assert source.read(0) == jpeg(7) and source.signature is None and source.labels is None
    with pytest.raises(UnreadableImage, match=r"^1 cannot be read: no such file"):
        source.read(1)
    with pytest.raises(UnreadableImage, match=r"^2 cannot be read: the row holds no bytes"):
        source.read(2)


def test_what_is_wrong_is_said(dataset, monkeypatch):
    with pytest.raises(UsageError, match=r"the splits train, test: choose one, e\.g\. dataset\['train'\]"):
        dataset_images(datasets.DatasetDict({"train": dataset, "test": dataset}))
    with pytest.raises(UsageError, match="IterableDataset, whose rows can be read only in turn"):
        dataset_images(dataset.to_iterable_dataset())
    with pytest.raises(UsageError, match=r"must be a datasets\.Dataset, not list"):
        dataset_images([1])
    with pytest.raises(
        DataError, match=r"no column of type Image; its columns are label \(ClassLabel\), n \(Value\)"
    ):
        dataset_images(dataset.remove_columns("image"))
    with pytest.raises(DataError, match="has no rows"):
        dataset_images(dataset.select([]))
    two = dataset.map(
        lambda row: {"other": row["image"]},
        features=datasets.Features({**dataset.features, "other": datasets.Image()}),
    )
    with pytest.raises(DataError, match=r"several columns of images \(image, other\): say which by column="):
        dataset_images(two)
    assert len(dataset_images(two, column="other")) == 6
    with pytest.raises(UsageError, match="no column of images x"):
        dataset_images(dataset, column="x")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r'needs datasets, .*"assay\[datasets\]"'):
        dataset_images(dataset)


def test_a_split_without_labels_has_none(dataset):
    hidden = dataset.remove_columns("label").add_column("label", [-1] * 6)
    assert dataset_images(hidden).labels is None
