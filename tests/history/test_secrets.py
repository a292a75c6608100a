"""Neither credentials nor what was forgotten are in the file."""

from __future__ import annotations

import sys

import pytest

import assay
from assay.history import History
from assay.history.command_line import given_as, shown_argument

from .remembered import REAL, compared


@pytest.mark.parametrize(
    "given, shown",
    [
        ("https://me:secret@host/a.zip?token=abc", "https://host/a.zip"),
        ("--weights=s3://key:secret@bucket/w.pth?sig=1", "--weights=s3://bucket/w.pth"),
        ("late=https://host/b.tar?X-Amz-Signature=123", "late=https://host/b.tar"),
        ("simplecache::https://me:secret@host/c", "simplecache::https://host/c"),
        ("two  spaces/and = signs", "two  spaces/and = signs"),
        ("fd > 12", "fd > 12"),
    ],
)
def test_the_command_line_is_kept_without_credentials(history: History, given: str, shown: str) -> None:
    assert shown_argument(given) == shown
    with given_as(["compare", given]):
        compared()
    assert history.run("last").command == ("assay", "compare", shown)
    assert b"secret" not in history.path.read_bytes()


def test_secrets_of_a_script_are_not_kept(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        "train.py",
        "--hf-token",
        "secret1",
        "--api_key=secret2",
        "hub.password=secret3",
        "--token",
        "--max-tokens",
        "5",
    ]
    monkeypatch.setattr(sys, "argv", given)
    compared()
    assert history.run("last").command == (
        "train.py", "--hf-token", "***", "--api_key=***", "hub.password=***", "--token", "--max-tokens", "5"
    )  # fmt: skip
    assert b"secret" not in history.path.read_bytes()


def test_what_was_forgotten_is_not_in_the_file(history: History) -> None:
    assay.compare(REAL, {"a very private name": REAL + 1}, measures="fd", history=True)
    compared()
    assert b"a very private name" in history.path.read_bytes()
    history.forget(1)
    assert b"a very private name" not in history.path.read_bytes()
