"""A file of another version: an older one is migrated or left as it was, a newer one is not touched."""

from __future__ import annotations

import sqlite3
from types import MappingProxyType

import pytest

from assay.errors import DataError
from assay.history import History, schema

from .remembered import compared


def test_a_newer_file_is_refused_and_not_changed(history: History) -> None:
    compared()
    connection = sqlite3.connect(history.path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = history.path.read_bytes()
    with pytest.raises(DataError, match="is of version 7, and this assay knows versions up to 1"):
        history.runs()
    with pytest.warns(UserWarning, match="not in the history: .* is of version 7"):
        found = compared()
    assert found.rows and history.path.read_bytes() == before


def test_an_older_file_is_migrated_and_a_copy_is_kept(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared()
    step = "ALTER TABLE run ADD COLUMN mood TEXT; UPDATE run SET mood = 'fine'"
    monkeypatch.setattr(schema, "MIGRATIONS", MappingProxyType({**schema.MIGRATIONS, 1: step}))
    assert [run.id for run in history.runs()] == [1]  # reading is enough
    compared()
    connection = sqlite3.connect(history.path)
    assert connection.execute("SELECT mood FROM run").fetchall() == [("fine",), (None,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()
    copy = sqlite3.connect(history.path.with_name("history-version-1.sqlite"))
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    assert copy.execute("SELECT count(*) FROM run").fetchone() == (1,)
    copy.close()
    assert sorted(path.name for path in history.path.parent.iterdir()) == [
        "history-version-1.sqlite", "history.sqlite",
    ]  # fmt: skip


def test_a_migration_that_fails_changes_nothing(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    compared()
    step = "ALTER TABLE run ADD COLUMN mood TEXT; UPDATE nowhere SET mood = 'fine'"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", MappingProxyType({**schema.MIGRATIONS, 1: step}))
        before = history.path.read_bytes()
        with pytest.raises(DataError, match="no such table: nowhere"):
            history.runs()
        assert history.path.read_bytes() == before
    assert [run.id for run in history.runs()] == [1]
    compared()
    assert history.run("last").id == 2


def test_a_newer_file_with_another_journal_is_not_changed(history: History) -> None:
    compared()
    connection = sqlite3.connect(history.path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    before = history.path.read_bytes()
    for use in (history.runs, lambda: history.forget(1)):
        with pytest.raises(DataError, match="nothing was changed"):
            use()
        assert history.path.read_bytes() == before
