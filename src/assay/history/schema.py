"""How does the file of the history look, and how does an older one become as it is today?

A file says what it is by SQLite's `application_id` and which version by its `user_version`. Version 0 is a file that
has nothing in it yet. A step of `MIGRATIONS` takes a file from the version that it is listed under to the next one; a
change of the tables is a step more, never a change of a step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType

APPLICATION = 0x41535359  # "ASSY"

FIRST = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    command TEXT NOT NULL,
    features TEXT NOT NULL,
    fingerprint TEXT,
    protocol TEXT,
    seed INTEGER NOT NULL,
    level REAL NOT NULL,
    paired INTEGER NOT NULL,
    versions TEXT NOT NULL,
    comparison TEXT NOT NULL
);
CREATE TABLE input (
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    content TEXT,
    n INTEGER
);
CREATE INDEX input_of_run ON input (run);
CREATE TABLE value (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    candidate TEXT NOT NULL,
    name TEXT NOT NULL,
    measure TEXT NOT NULL,
    "class" TEXT,
    direction TEXT NOT NULL,
    value REAL,
    corrected REAL,
    std_error REAL,
    low REAL,
    high REAL,
    level REAL NOT NULL,
    method TEXT NOT NULL,
    n_real REAL,
    n_generated REAL
);
CREATE INDEX value_of_run ON value (run);
CREATE TABLE kept (
    value INTEGER PRIMARY KEY REFERENCES value ON DELETE CASCADE,
    freed INTEGER NOT NULL,
    rest REAL NOT NULL,
    rest_in_halves REAL NOT NULL,
    half_values BLOB NOT NULL,
    halves TEXT NOT NULL
);
CREATE TABLE influence (
    value INTEGER NOT NULL REFERENCES value ON DELETE CASCADE,
    role TEXT NOT NULL,
    influences BLOB NOT NULL,
    in_halves BLOB,
    PRIMARY KEY (value, role)
);
"""

MIGRATIONS: Mapping[int, str] = MappingProxyType({0: FIRST})


def version_of(connection: sqlite3.Connection) -> int:
    """Which version the file is of; 0 for one that has nothing in it.

    Raises:
        sqlite3.DatabaseError: the file is no database, or one of another program.
    """
    # one snapshot: between two reads by themselves another process may commit the tables, and the file would look
    # like a stranger's
    with _snapshot(connection):
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if application != APPLICATION and (tables or version):
        raise sqlite3.DatabaseError("it is a database of another program")
    return version


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All reads see one state of the file: those of the transaction that is open, or of one around these."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(sqlite3.Error):  # a file that is no database has ended it already
            connection.execute("ROLLBACK")


def newest() -> int:
    """The version that this assay writes."""
    return max(MIGRATIONS) + 1


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Take the file from `version` to the newest, inside the transaction that is open."""
    for step in range(version, newest()):
        for statement in _statements(MIGRATIONS[step]):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {newest()}")


def _statements(script: str) -> list[str]:
    # not `executescript`, which commits what is open first
    return [each for each in (part.strip() for part in script.split(";")) if each]
