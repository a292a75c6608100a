"""The file: nothing is lost, nothing newer or broken is touched, and the comparison survives whatever happens to it."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest
import torch

import assay
from assay.errors import DataError, UsageError
from assay.history import History, schema
from assay.history.command_line import given_as, shown_argument
from assay.history.record import as_text, from_text

# imports once and forks, as eight imports of torch would take most of a minute
WRITERS = """
import os, sys
from pathlib import Path
from assay.history import History
history = History(Path(sys.argv[1]))
run = {"time": "2026-01-01T00:00:00Z", "command": "[]", "seed": 0, "level": 0.95, "paired": 0, "versions": "{}",
       "comparison": "{}"}
value = {"candidate": "c", "name": "fd[x]", "measure": "fd", "direction": "lower is better", "level": 0.95,
         "method": "m"}
waiting, go = os.pipe()
children = []
for w in range(8):
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(waiting, 1)  # nothing comes: it ends when the parent closes, for all at once
        try:
            for k in range(12):
                history.add({**run, "features": f"writer-{w}", "seed": k},
                            [{"role": "real", "name": "r", "description": "r"}], [(value, None)] * 3)
        except BaseException as error:
            print(error)
            os._exit(1)
        os._exit(0)
    children.append(child)
os.close(go)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""
REAL = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return History.at_home()


def compared(shift: float = 0.0) -> assay.Comparison:
    return assay.compare(REAL, {"late": REAL.flip(0) + shift}, measures="fd", history=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_eight_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(path)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    runs = History(path).runs()
    assert sorted((run.features, run.seed) for run in runs) == [
        (f"writer-{w}", k) for w in range(8) for k in range(12)
    ]
    assert all(len(run.values) == 3 and len(run.inputs) == 1 for run in runs)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.parametrize("gap", range(5))
def test_a_file_that_another_process_begins_meanwhile_is_no_strangers(tmp_path: Path, gap: int) -> None:
    """Whichever two reads the other one's commit falls between, what is read is the file before or after it."""
    path = tmp_path / "history.sqlite"
    tried = []

    def the_other_begins_it() -> None:
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            schema.migrate(other, 0)
            other.execute("COMMIT")
            tried.append("done")
        except sqlite3.OperationalError:  # it waits, with more patience than here
            tried.append("waits")
        finally:
            other.close()

    class Watched(sqlite3.Connection):
        statements = 0

        def execute(self, *given: str) -> sqlite3.Cursor:  # type: ignore[override]
            if self.statements == gap:
                the_other_begins_it()
            self.statements += 1
            return super().execute(*given)

    connection = sqlite3.connect(path, factory=Watched, isolation_level=None)
    assert schema.version_of(connection) in (0, schema.newest())
    assert not connection.in_transaction
    assert len(tried) == 1
    connection.close()


def test_a_run_says_what_was_compared_how_and_when(history: History) -> None:
    found = compared(0.5)
    run = history.run("last")
    assert (run.id, run.features, run.protocol, run.seed, run.level, run.paired) == (
        1, "features", None, 0, 0.95, False,
    )  # fmt: skip
    assert run.time.endswith("Z") and run.time > "2026"
    assert run.versions["torch"] == torch.__version__
    assert [(i.role, i.name, i.n) for i in run.inputs] == [("real", "real", 60), ("candidate", "late", 60)]
    assert run.real.content != run.candidates[0].content
    (value,) = run.values
    for part in ("value", "corrected", "std_error", "low", "high", "n_x", "n_y", "method"):
        assert getattr(value.estimate, part) == getattr(found.rows[0].estimate, part)
    compared(0.5)
    assert history.run(2).candidates[0].content == run.candidates[0].content


def test_the_whole_comparison_comes_back(history: History) -> None:
    labels = {"real": [0, 1] * 30, "a": [0, 1] * 30, "b": [1, 0] * 30}
    found = assay.compare(
        REAL, {"a": REAL + 0.1, "b": REAL.flip(0)}, measures=["fd", "vendi"], floor=True, classes=labels
    )  # fmt: skip
    back = from_text(as_text(found))
    assert back == found
    assert str(back) == str(found)


def test_what_is_no_number_comes_back_as_none(history: History) -> None:
    from dataclasses import replace

    from assay.history import remember

    found = compared()
    row = found.rows[0]
    broken = replace(row, estimate=replace(row.estimate, value=math.nan, low=-math.inf))
    assert remember(replace(found, rows=(broken,)), {}, {}) == 2
    estimate = history.run(2).values[0].estimate
    assert math.isnan(estimate.value) and estimate.low == -math.inf
    assert math.isnan(history.comparison(2)[0].rows[0].estimate.value)


def test_python_adds_nothing_unless_it_is_asked_to(history: History) -> None:
    assay.compare(REAL, REAL + 1, measures="fd")
    assert history.runs() == [] and not history.path.exists()


def test_forgetting_a_run_leaves_nothing_of_it_and_its_number_does_not_come_back(history: History) -> None:
    compared()
    compared(1)
    history.forget(2)
    with pytest.raises(UsageError, match="no run 2: the newest is 1"):
        history.run(2)
    connection = sqlite3.connect(history.path)
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("run", "input", "value", "kept", "influence")
    ]
    connection.close()
    assert counts == [1, 2, 1, 1, 1]
    compared(2)
    assert history.run("last").id == 3


def test_an_empty_file_and_no_file_are_an_empty_history(history: History) -> None:
    with pytest.raises(UsageError, match="no run last: it is empty"):
        history.run("last")
    history.path.parent.mkdir()
    history.path.touch()
    assert history.runs() == []
    compared()
    assert len(history.runs()) == 1


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


def test_a_history_in_use_is_waited_for_and_then_left(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared()
    monkeypatch.setattr("assay.history.store.PATIENCE", 0.1)
    other = sqlite3.connect(history.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.warns(UserWarning, match="in use by other processes"):
        assert compared().rows
    assert len(history.runs()) == 1  # reading goes on
    other.execute("ROLLBACK")
    other.close()


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
