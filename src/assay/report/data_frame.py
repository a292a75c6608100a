"""A `Comparison` as a table to compute with."""

from __future__ import annotations

from typing import Any

from ..comparison import Comparison, Row
from ..errors import MissingExtra


def as_data_frame(found: Comparison) -> Any:
    """A `pandas.DataFrame` in long form: a row a candidate and measure, and one a class of these.

    Columns: candidate, name (`fd[efficientnet-lite0]`), measure (`frechet_distance`), class (missing for the whole
    set), direction, value, corrected, bias, std_error, low, high, level, n_x, n_y, multiple_of_floor, method.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtra("pandas", "pandas", "Comparison.to_pandas()") from None
    records = [_record(row) for row in (*found.rows, *found.classes)]
    frame = pandas.DataFrame.from_records(records, columns=list(COLUMNS))
    return frame.astype({name: kind for name, kind in COLUMNS.items() if kind is not None})


COLUMNS = {
    "candidate": None,
    "name": None,
    "measure": None,
    "class": object,  # of a set without classes too, where pandas would make it a column of numbers
    "direction": None,
    "value": float,
    "corrected": float,
    "bias": float,
    "std_error": float,
    "low": float,
    "high": float,
    "level": float,
    "n_x": float,  # missing where statistics do not say
    "n_y": float,
    "multiple_of_floor": float,
    "method": None,
}


def _record(row: Row) -> dict[str, Any]:
    e = row.estimate
    return {
        "candidate": row.candidate,
        "name": row.name,
        "measure": row.measure,
        "class": row.group,
        "direction": row.direction,
        "value": e.value,
        "corrected": e.corrected,
        "bias": e.bias,
        "std_error": e.std_error,
        "low": e.low,
        "high": e.high,
        "level": e.level,
        "n_x": e.n_x,
        "n_y": e.n_y,
        "multiple_of_floor": row.multiple,
        "method": e.method,
    }
