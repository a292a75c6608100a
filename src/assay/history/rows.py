"""What do the rows of the history's tables say?"""

from __future__ import annotations

import json
import math
import sqlite3
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimate import Estimate
from .stored import Run, StoredInput, StoredValue


def run_of(connection: sqlite3.Connection, row: sqlite3.Row) -> Run:
    """A run from its row, with its inputs and values."""
    number = row["id"]
    inputs = connection.execute("SELECT * FROM input WHERE run = ? ORDER BY rowid", (number,))
    values = connection.execute("SELECT * FROM value WHERE run = ? ORDER BY id", (number,))
    return Run(
        id=number,
        time=row["time"],
        command=tuple(json.loads(row["command"])),
        features=row["features"],
        fingerprint=row["fingerprint"],
        protocol=row["protocol"],
        seed=row["seed"],
        level=row["level"],
        paired=bool(row["paired"]),
        versions=json.loads(row["versions"]),
        inputs=tuple(
            StoredInput(i["role"], i["name"], i["description"], i["content"], i["n"]) for i in inputs
        ),
        values=tuple(value_of(v) for v in values),
    )


def value_of(row: sqlite3.Row) -> StoredValue:
    """A value from its row; what is no number was stored as nothing."""
    value, corrected = _number(row["value"]), _number(row["corrected"])
    estimate = Estimate(
        value=value,
        corrected=corrected,
        bias=value - corrected,
        std_error=_number(row["std_error"]),
        low=_number(row["low"]),
        high=_number(row["high"]),
        level=row["level"],
        method=row["method"],
        n_x=row["n_real"],
        n_y=row["n_generated"],
    )
    return StoredValue(
        row["id"], row["name"], row["measure"], row["candidate"], row["direction"], row["class"], estimate
    )


def blob(array: NDArray[np.float32]) -> bytes:
    """Little-endian float32, whatever the machine's own order."""
    return array.astype("<f4").tobytes()


def single(content: bytes) -> NDArray[np.float32]:
    """What `blob` wrote."""
    return np.frombuffer(content, "<f4").astype(np.float32)


def numbers(content: bytes) -> tuple[float, ...]:
    """Little-endian float64 numbers."""
    return tuple(np.frombuffer(content, "<f8").tolist())


def _number(stored: Any) -> float:
    return math.nan if stored is None else float(stored)
