"""`Scores` as a table of values for other programs."""

from __future__ import annotations

import csv
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..printable import printable
from ..written_whole import written_whole

if TYPE_CHECKING:
    from ..scoring.scores import Scores

COLUMNS = ("candidate", "restored", "target")  # beside one a measure
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell for that begins so


def write_csv(found: Scores, path: str | os.PathLike[str], by: str) -> None:
    """A row a pair and candidate: candidate, restored, target, a column a measure; the worst first by one of them.

    Names stand as they are, because values are joined by them with other tables and with the files: one that a
    spreadsheet would take for a formula is not changed, but warned of.

    Raises:
        DataError: where the folder is missing or the file cannot be written.
    """
    try:
        # a file's name may hold bytes that are no text; they are written as they would be escaped
        with (
            written_whole(path) as temporary,
            open(temporary, "x", encoding="utf-8", errors="backslashreplace", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow([*COLUMNS, *found.measures])
            for candidate, row in _worst_first(found, by):
                values = [_text(float(found.values[candidate][name][row])) for name in found.measures]
                writer.writerow([candidate, found.restored[candidate][row], found.names[row], *values])
        _warn_of_formulas(found, path)
    except OSError as error:
        raise DataError(f"{Path(path)} cannot be written: {(error.strerror or str(error)).lower()}") from None


def as_dictionary(found: Scores) -> dict[str, Any]:
    """What a comparison says, without what scores have not, and `pairs`: a record a pair and candidate."""
    known = found.comparison.to_dict()
    by = found.measure_called(None)
    return {
        **{part: known[part] for part in ("measures", "differences", "notes", "settings")},
        "pairs": [
            {
                **dict(
                    zip(COLUMNS, (candidate, found.restored[candidate][row], found.names[row]), strict=True)
                ),
                **{name: _finite(float(found.values[candidate][name][row])) for name in found.measures},
            }
            for candidate, row in _worst_first(found, by)
        ],
    }


def _warn_of_formulas(found: Scores, path: str | os.PathLike[str]) -> None:
    texts = dict.fromkeys(
        [*found.restored, *(name for own in found.restored.values() for name in own), *found.names]
    )
    risky = [text for text in texts if text.startswith(FORMULA)]
    if risky:
        names = "name begins" if len(risky) == 1 else "names begin"
        warnings.warn(
            f"{Path(path)}: {len(risky):,} {names} as a formula does, {printable(risky[0])} for one; a spreadsheet "
            "that opens the file would work it out, so import the names as text there",
            stacklevel=4,
        )


def _worst_first(found: Scores, by: str) -> list[tuple[str, int]]:
    sign = 1 if found.measures[by].best == "max" else -1
    rows = [(candidate, row) for candidate in found.restored for row in range(len(found))]
    return sorted(rows, key=lambda each: sign * float(found.values[each[0]][by][each[1]]))


def _text(value: float) -> str:
    return f"{value:.8g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
