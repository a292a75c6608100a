"""Where is the history, and how do many processes write to it without losing anything?

One SQLite file with a rollback journal: a write-ahead log needs memory that is shared by all who write, which homes on
a network have not. Who writes takes the lock before reading anything, and waits for others up to `PATIENCE`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, UsageError
from ..home import home_folder
from ..trace import Kept
from ..written_whole import written_whole
from .record import explained_of, from_text
from .rows import blob, numbers, run_of, single
from .schema import migrate, newest, version_of
from .stored import Run

if TYPE_CHECKING:
    from ..comparison import Comparison

PATIENCE = 30.0  # seconds to wait for other writers, who need a fraction of one


@dataclass(frozen=True)
class History:
    """The history in one file, which may not exist yet."""

    path: Path

    @classmethod
    def at_home(cls) -> History:
        """`history.sqlite` in `home_folder()`."""
        return cls(home_folder() / "history.sqlite")

    def add(
        self,
        run: Mapping[str, Any],
        inputs: Sequence[Mapping[str, Any]],
        values: Sequence[tuple[Mapping[str, Any], Kept | None]],
    ) -> int:
        """Add one run, whole or not at all, and return its number.

        Args:
            run, inputs: columns of the tables of these names.
            values: columns of each value, and what is kept of it.

        Raises:
            DataError: the file is damaged, of a newer version, or cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"the history {self.path} cannot be written: {(error.strerror or str(error)).lower()}; set ASSAY_HOME "
                "to a folder that can be, or leave it with --no-history"
            ) from None
        with self._writing() as connection:
            number = _insert(connection, "run", run)
            for one in inputs:
                _insert(connection, "input", {"run": number, **one})
            for columns, kept in values:
                key = _insert(connection, "value", {"run": number, **columns})
                if kept is not None:
                    _keep(connection, key, kept)
        return number

    def runs(self) -> list[Run]:
        """Every run, the newest first; none where there is no file.

        Raises:
            DataError: the file is damaged, of a newer version, or cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            return [
                run_of(connection, row) for row in connection.execute("SELECT * FROM run ORDER BY id DESC")
            ]

    def run(self, number: int | str) -> Run:
        """One run by its number, or "last".

        Raises:
            UsageError: there is none of this number.
        """
        with self._reading() as connection:
            row, last = None, None
            if connection is not None:
                last = connection.execute("SELECT max(id) FROM run").fetchone()[0]
                wanted = last if number == "last" else number
                row = connection.execute("SELECT * FROM run WHERE id = ?", (wanted,)).fetchone()
            if connection is None or row is None:
                there = "it is empty" if last is None else f"the newest is {last}; assay history lists all"
                raise UsageError(f"the history has no run {number}: {there}")
            return run_of(connection, row)

    def comparison(self, number: int) -> tuple[Comparison, list[tuple[str, list[str]]]]:
        """What the run found, without its samples; and what was said of them, headings with their lines."""
        with self._reading() as connection:
            assert connection is not None
            (text,) = connection.execute("SELECT comparison FROM run WHERE id = ?", (number,)).fetchone()
        return from_text(text), explained_of(text)

    def kept(self, key: int) -> Kept | None:
        """What was kept of a value; None where nothing was."""
        with self._reading() as connection:
            assert connection is not None
            row = connection.execute("SELECT * FROM kept WHERE value = ?", (key,)).fetchone()
            if row is None:
                return None
            blobs = connection.execute("SELECT * FROM influence WHERE value = ?", (key,)).fetchall()
        return Kept(
            influences={b["role"]: single(b["influences"]) for b in blobs},
            in_halves={b["role"]: single(b["in_halves"]) for b in blobs if b["in_halves"] is not None},
            rest=row["rest"],
            rest_in_halves=row["rest_in_halves"],
            half_values=numbers(row["half_values"]),
            halves=json.loads(row["halves"]),
            freed=bool(row["freed"]),
        )

    def forget(self, number: int) -> None:
        """Delete one run with all that was kept of it."""
        with self._writing() as connection:
            connection.execute("DELETE FROM run WHERE id = ?", (number,))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told(), closing(self._connected("rwc")) as connection:
            self._version(connection)  # first: a file that is refused stays as it is
            connection.execute("PRAGMA journal_mode = DELETE")
            self._bring_up_to_date(connection)
            with _transaction(connection):
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        if not self.path.exists():
            yield None
            return
        # a writer that was killed left a journal, which only who may write can undo
        writable = os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)
        with self._told(), closing(self._connected("rw" if writable else "ro")) as connection:
            self._bring_up_to_date(connection)
            yield connection

    def _connected(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what was forgotten stays in no free page
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        version = version_of(connection)
        if version > newest():
            raise DataError(
                f"the history {self.path} is of version {version}, and this assay knows versions up to {newest()}: "
                "use the newer assay that wrote it, or set ASSAY_HOME to another folder; nothing was changed"
            )
        return version

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == newest():
            return
        with _transaction(connection):  # another process may have done it by now
            version = self._version(connection)
            if version == newest():
                return
            if version > 0:
                self._back_up(version)
            migrate(connection, version)

    def _back_up(self, version: int) -> None:
        """A copy beside the file; the lock that is held keeps others from changing what is copied."""
        copy = self.path.with_name(f"{self.path.stem}-version-{version}{self.path.suffix}")
        if not copy.exists():
            with written_whole(copy) as temporary:
                source = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
                with closing(source), closing(sqlite3.connect(temporary)) as target:
                    source.backup(target)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors as sentences that name the file and a way out."""
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "locked" in text:
                raise DataError(
                    f"the history {self.path} was in use by other processes for {PATIENCE:g} s; try again"
                ) from None
            if "full" in text:
                raise DataError(f"the history {self.path} cannot be written: the disk is full") from None
            what = "read" if os.path.exists(self.path) and not os.access(self.path, os.R_OK) else "written"
            raise DataError(
                f"the history {self.path} cannot be {what}: {text}; set ASSAY_HOME to a folder that can be, or leave "
                "it with --no-history"
            ) from None
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"the history {self.path} is damaged ({error}): move it away and the next comparison begins a new one; "
                f"`sqlite3 {self.path.name} .recover` may save what is in it"
            ) from None
        except OSError as error:
            raise DataError(
                f"the history {self.path} cannot be used: {(error.strerror or str(error)).lower()}"
            ) from None


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk may have rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, Any]) -> int:
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" for _ in columns)
    done = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
    assert done.lastrowid is not None
    return done.lastrowid


def _keep(connection: sqlite3.Connection, key: int, kept: Kept) -> None:
    columns = {
        "value": key,
        "freed": int(kept.freed),
        "rest": kept.rest,
        "rest_in_halves": kept.rest_in_halves,
        "half_values": np.asarray(kept.half_values, "<f8").tobytes(),
        "halves": json.dumps(dict(kept.halves)),
    }
    _insert(connection, "kept", columns)
    for role, influences in kept.influences.items():
        within = kept.in_halves.get(role)
        _insert(
            connection,
            "influence",
            {
                "value": key,
                "role": role,
                "influences": blob(influences),
                "in_halves": None if within is None else blob(within),
            },
        )
