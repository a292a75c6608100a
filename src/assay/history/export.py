"""The history's values as a table for other programs."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError, MissingExtra, UsageError
from ..written_whole import write_whole
from .stored import Run, StoredValue

FORMATS = (".csv", ".json", ".parquet")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula

# the columns, with pyarrow's names of their types
COLUMNS = {
    "run": "int64", "time": "string", "real": "string", "real_content": "string", "candidate": "string",
    "candidate_content": "string", "features": "string", "fingerprint": "string", "protocol": "string",
    "name": "string", "measure": "string", "class": "string", "direction": "string", "value": "float64",
    "corrected": "float64", "std_error": "float64", "low": "float64", "high": "float64", "level": "float64",
    "method": "string", "n_real": "float64", "n_generated": "float64", "seed": "int64", "paired": "bool",
    "assay": "string", "command": "string",
}  # fmt: skip


def refuse_format(path: str) -> None:
    """Only formats that `export` writes.

    Raises:
        UsageError: another suffix.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UsageError(f"--export {path}: expected a name that ends in {', '.join(FORMATS)}")


def export(runs: Sequence[Run], path: str) -> int:
    """Write a row a value, in the format that the suffix names, whole or not at all; how many rows.

    Raises:
        UsageError: an unknown suffix.
        DataError: the file cannot be written.
        MissingExtra: Parquet, and pyarrow is not installed.
    """
    refuse_format(path)
    rows = [_row(run, value) for run in runs for value in run.values]
    content = {".csv": _csv, ".json": _json, ".parquet": _parquet}[Path(path).suffix.lower()](rows)
    try:
        write_whole(path, content)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return len(rows)


def _row(run: Run, value: StoredValue) -> dict[str, Any]:
    e = value.estimate
    own = next((c for c in run.candidates if c.name == value.candidate), None)
    cells = (
        run.id, run.time, run.real.name, run.real.content, value.candidate, None if own is None else own.content,
        run.features, run.fingerprint, run.protocol, value.name, value.measure, value.group, value.direction,
        e.value, e.corrected, e.std_error, e.low, e.high, e.level, e.method, e.n_x, e.n_y, run.seed, run.paired,
        run.versions.get("assay"), shlex.join(run.command),
    )  # fmt: skip
    return {
        name: None if isinstance(cell, float) and not math.isfinite(cell) else cell
        for name, cell in zip(COLUMNS, cells, strict=True)
    }


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(cell) for cell in row.values()])
    return text.getvalue().encode()


def _cell(cell: Any) -> Any:
    """Text that a spreadsheet would run is quoted by an apostrophe, which it shows as text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _json(rows: Sequence[dict[str, Any]]) -> bytes:
    return (json.dumps(rows, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "writing the history as Parquet") from None
    kinds = {
        "int64": pyarrow.int64(),
        "string": pyarrow.string(),
        "float64": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
