"""Processes that share the file: nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from assay.history import History, schema

from .remembered import compared

# imports once and forks, as eight imports of torch would take most of a minute
WRITERS = """
import os, sys
from pathlib import Path
from assay.history import History, store
store.PATIENCE = 3600.0  # how long one writer may wait is another question, of a slow disk
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_eight_processes_write_at_once_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, str(path)], capture_output=True, text=True, timeout=600
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
