"""Prompts from a CSV: one for every image, and everything that does not fit is named."""

from __future__ import annotations

import pytest

from assay.data.prompts import read_prompts
from assay.errors import DataError

NAMES = ["a.png", "dogs/b.png", "c.png"]


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "prompts.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        'image,prompt\nc.png,three\na.png,"one, two"\ndogs/b.png,zwei 猫\n',
        '\ufeffPrompt,seed,File\nthree,1,c.png\n"one, two",2,./a.png\nzwei 猫,3,dogs/b.png\n\n',
        'name,caption\r\nc.png,  three \r\na.png,"one, two"\r\ndogs/b.png,zwei 猫\r\n',
    ],
)
def test_prompts_come_in_the_order_of_the_images(tmp_path, text):
    assert read_prompts(written(tmp_path, text), NAMES) == ["one, two", "zwei 猫", "three"]


@pytest.mark.parametrize(
    "text,words",
    [
        ("", "is empty: expected a header"),
        ("a.png,one\n", r"has no column image \(or file, name, .*\); its columns are a\.png, one"),
        ("image,words\na.png,x\n", "has no column prompt .*its columns are image, words"),
        (
            "image,prompt\na.png,x\nb.png,y\n",
            r"2 of 3 images have no prompt \(dogs/b\.png, c\.png\); 1 rows fit no image \(b\.png\)",
        ),
        ("image,prompt\na.png,x\ndogs/b.png,y\nc.png,z\nd.png,q\n", r"1 of 4 rows have no image \(d\.png\)"),
        ("image,prompt\na.png,x\na.png,y\n", r"1 images have more than one row \(a\.png\)"),
        ("image,prompt\na.png,x\nc.png, \n", r"1 prompts are empty \(c\.png\)"),
        ("image,prompt\na.png,one, two\n", "line 2 has 3 values, the header 2; a prompt with a comma"),
        ('image,prompt\na.png,"one\n', "is not a CSV file"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_prompts(written(tmp_path, text), NAMES)


def test_files_that_are_no_text_are_said(tmp_path):
    with pytest.raises(DataError, match="is not a text file in UTF-8"):
        read_prompts(written(tmp_path, "image,prompt\na.png,Äpfel\n", "latin-1"), NAMES)
    with pytest.raises(DataError, match=r"gone\.csv cannot be read \(no such file"):
        read_prompts(tmp_path / "gone.csv", NAMES)
    many = "image,prompt\n" + "".join(f"{i}.png,x\n" for i in range(9))
    with pytest.raises(DataError, match=r"9 of 9 rows have no image \(0\.png, .*4\.png, \.\.\.\)"):
        read_prompts(written(tmp_path, many), [])
