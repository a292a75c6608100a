"""Where classes come from: folders, a table, the source; every image has one or is named."""

from __future__ import annotations

import io
import zipfile

import pytest

Image = pytest.importorskip("PIL.Image")

from assay.data import ImageSource, labels_of, open_images  # noqa: E402
from assay.errors import DataError, UsageError  # noqa: E402

NAMES = ("cat/1.png", "cat/deep/2.png", 'dog/a "quoted", name.png')
SOURCE = ImageSource(NAMES, "folder set", lambda index: b"")


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_the_first_sub_folder_is_the_class():
    labels = labels_of(SOURCE, "folders")
    assert list(labels) == ["cat", "cat", "dog"] and labels[-1] == "dog" and labels[1:] == ("cat", "dog")
    loose = ImageSource(("cat/1.png", "x.png", "y.png"), "folder set", lambda index: b"")
    with pytest.raises(
        DataError, match=r"2 of 3 images in folder set have no label in sub-folders: x\.png, y\.png$"
    ):
        labels_of(loose, "folders")


def test_the_archive_a_joined_image_lies_in_is_no_class(tmp_path):
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG")
    for shard in "ab":
        with zipfile.ZipFile(tmp_path / f"{shard}.zip", "w") as file:
            file.writestr(f"class {shard}/1.png", buffer.getvalue())
    source = open_images(str(tmp_path / "{a,b}.zip"))
    assert list(source.names) == ["a.zip/class a/1.png", "b.zip/class b/1.png"]
    assert list(labels_of(source, "folders")) == ["class a", "class b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("columns", ["file,label", "Class,id,Image", "name,labels"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_with_a_mark_quotes_and_either_line_end(tmp_path, encoding, columns, end):
    order = columns.split(",")
    rows = [
        dict(zip(("n", "l"), pair, strict=True)) for pair in zip(NAMES, ["1", "zwei, ä", "3"], strict=True)
    ]
    rows.append({"n": "of another set.png", "l": "9"})
    lines = [columns]
    for row in rows:
        values = [
            row["n"] if c.lower() in ("file", "name", "image") else "0" if c == "id" else row["l"]
            for c in order
        ]
        lines.append(",".join('"' + value.replace('"', '""') + '"' for value in values))
    assert list(labels_of(SOURCE, table(tmp_path, end.join([*lines, ""]), encoding))) == ["1", "zwei, ä", "3"]


@pytest.mark.parametrize(
    "text,words",
    [
        (
            "file,label\ncat/1.png,a\n",
            r"2 of 3 images in folder set have no label in .*labels\.csv: cat/deep/2\.png, dog",
        ),
        ("file,label\ncat/1.png,a\n./cat/1.png,a\n", r"line 3: cat/1\.png is named a second time"),
        ("file,label\ncat/1.png, \n", r"line 2: cat/1\.png has an empty label"),
        ("file,label\ncat/1.png,a,b\n", "line 2: 3 fields where the header has 2"),
        ("file;label\ncat/1.png;a\n", "must have one column for the image .* its columns are file;label"),
        ("file,kind\n", "must have one column for its label"),
        ("file,image,label\n", "must have one column for the image"),
        ("", "its columns are none"),
        ('file,label\n"cat', "is not a whole CSV file"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        labels_of(SOURCE, table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text_or_not_there(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"file,label\n\xff\xfe,a")
    with pytest.raises(DataError, match="is not UTF-8 text at byte 11"):
        labels_of(SOURCE, path)
    with pytest.raises(DataError, match="cannot be read: no such file"):
        labels_of(SOURCE, tmp_path / "missing.csv")


def test_the_labels_of_the_source_itself():
    assert labels_of(ImageSource(NAMES, "x", lambda i: b"", labels=("a", "b", "a"))) == ("a", "b", "a")
    with pytest.raises(UsageError, match="folder set has no labels of its own: take them from its folders"):
        labels_of(SOURCE)
    with pytest.raises(DataError, match="1 of 3 images in x have no label in its own labels: cat/deep/2"):
        labels_of(ImageSource(NAMES, "x", lambda i: b"", labels=("a", "", "a")))
