"""A file that is damaged, strange or not to be written: it is left alone, and the comparison survives."""

from __future__ import annotations

import sqlite3

import pytest

import assay
from assay.errors import DataError
from assay.history import History

from .remembered import REAL, compared


@pytest.mark.parametrize("damage", ["not a database at all, but long enough to be read as one" * 20, "torn"])
def test_a_damaged_file_is_named_with_the_way_out(history: History, damage: str) -> None:
    compared()
    content = bytearray(history.path.read_bytes())
    content[:] = damage.encode() if damage != "torn" else content[:4096] + b"\xa5" * (len(content) - 4096)
    history.path.write_bytes(content)
    with pytest.raises(DataError, match=r"history\.sqlite is damaged \(.*\): move it away"):
        history.runs()
    with pytest.warns(UserWarning, match="this comparison is not in the history: .* is damaged"):
        assert compared().rows
    assert history.path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(history: History) -> None:
    history.path.parent.mkdir()
    connection = sqlite3.connect(history.path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(DataError, match="of another program"):
        history.runs()
    with pytest.warns(UserWarning, match="of another program"):
        compared()


def test_a_home_that_cannot_be_written_is_a_warning(history: History) -> None:
    history.path.mkdir(parents=True)  # a folder where the file should be
    way_out = r"not in the history: .* cannot be written: .* set ASSAY_HOME to a folder that can be"
    with pytest.warns(UserWarning, match=way_out) as told:
        assert compared().rows
    assert len(told) == 1


def test_a_file_where_the_home_should_be_is_a_warning(history: History) -> None:
    history.path.parent.write_text("not a folder")
    with pytest.warns(UserWarning, match="not in the history: .*home") as told:
        assert compared().rows
    assert len(told) == 1


def test_a_full_disk_is_one_warning_and_the_file_stays_whole(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared()
    usual = History._connected

    def small(self: History, mode: str) -> sqlite3.Connection:
        connection = usual(self, mode)
        connection.execute("PRAGMA max_page_count = 1")  # which becomes the pages that there are
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(History, "_connected", small)
        with pytest.warns(UserWarning, match="the disk is full") as told:
            many = REAL.repeat(50, 1)  # whose influences need pages of their own
            assert assay.compare(many, many + 1, measures="fd", history=True).rows
    assert len(told) == 1
    assert [run.id for run in history.runs()] == [1]
