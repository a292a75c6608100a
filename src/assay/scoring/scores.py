"""What came out of scoring restored images against their targets?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..comparison import Comparison, Difference, Row
from ..errors import UsageError
from ..estimate import Estimate
from ..note import Note
from ..pairs import PairMeasure

if TYPE_CHECKING:
    from .opened_pairs import Images
    from .seen import Seen


@dataclass(frozen=True)
class Scores:
    """What `score` found.

    Attributes:
        names: (n,) of the targets, a pair each, in the target's order.
        restored: candidate -> (n,) names of its images.
        values: candidate -> measure -> (n,) float64, one a pair.
        measures: printed name -> the measure, in the order they were asked for.
        rows: a mean with its interval for every candidate and measure.
        differences: every other candidate minus the first, by each measure, over the same pairs.
        notes: what a reader must know before using the numbers.
        settings: conditions, versions and counts: what it takes to get the same numbers again.
        images: where the pictures are read from: the target and each candidate by name.
        places: set -> (n,) which item of it each pair has.
        seen: what of every image was measured.
    """

    names: tuple[str, ...]
    restored: Mapping[str, tuple[str, ...]]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    measures: Mapping[str, PairMeasure]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, Any]
    images: Mapping[str, Images] = field(repr=False)
    places: Mapping[str, tuple[int, ...]] = field(repr=False)
    seen: Seen = field(repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        """The estimate of a candidate by a measure: ``found["restored", "psnr"]``."""
        exact = self.estimates.get(key[0], {}).get(key[1])
        return self.comparison[key] if exact is None else exact

    @property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Candidate -> measure -> the mean with its interval."""
        found: dict[str, dict[str, Estimate]] = {}
        for row in self.rows:
            found.setdefault(row.candidate, {})[row.name] = row.estimate
        return found

    @property
    def comparison(self) -> Comparison:
        """Rows, differences, notes and settings as `assay.compare` gives them: what the history keeps."""
        return Comparison(self.rows, (), self.differences, (), self.notes, self.settings)

    def worst(self, count: int, by: str | None = None) -> list[tuple[str, str, float]]:
        """(candidate, restored image, value) of the worst pairs of all candidates, the worst first.

        Args:
            count: at most so many; all where it is larger.
            by: a measure; the first one by default.

        Raises:
            UsageError: a measure that was not scored.
        """
        name = self.measure_called(by)
        found = []
        for candidate in self.values:
            order = self.worst_pairs(candidate, name)[:count]
            values = self.values[candidate][name]
            found += [(candidate, self.restored[candidate][row], float(values[row])) for row in order]
        sign = 1 if self.measures[name].best == "max" else -1
        return sorted(found, key=lambda each: sign * each[2])[:count]

    def worst_pairs(self, candidate: str, by: str | None = None) -> list[int]:
        """All pairs of one candidate, the worst first."""
        name = self.measure_called(by)
        values = self.values[candidate][name]
        order: list[int] = np.argsort(
            values if self.measures[name].best == "max" else -values, kind="stable"
        ).tolist()
        return order

    def measure_called(self, name: str | None) -> str:
        """The printed name that is meant; the first measure's for None.

        Raises:
            UsageError: a measure that was not scored.
        """
        if name is None or name in self.measures:
            return name or next(iter(self.measures))
        plain = name.strip().lower().replace("-", "_")
        for printed, measure in self.measures.items():
            if plain == measure.name:
                return printed
        raise UsageError(f"by: {name} was not scored, but {', '.join(self.measures)}")

    def table(self, width: int = 100) -> str:
        """Everything that is printed, as plain text."""
        from ..report.scored_table import as_text

        return as_text(self, width)

    def __str__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.table())}</pre>"

    def to_csv(self, path: str | os.PathLike[str], *, by: str | None = None) -> None:
        """Write a row a pair and candidate: candidate, restored, target and a column a measure, the worst first.

        Args:
            path: where to; an existing file is replaced in one step.
            by: the measure that orders the rows; the first one by default.

        Raises:
            UsageError: a measure that was not scored.
            DataError: where the file cannot be written.
        """
        from ..report.scored_files import write_csv

        write_csv(self, path, self.measure_called(by))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries; a number that is not finite is None."""
        from ..report.scored_files import as_dictionary

        return as_dictionary(self)

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict()` as JSON.

        Raises:
            DataError: where the file cannot be written.
        """
        from ..report.json import write_json

        write_json(self.to_dict(), path)

    def to_html(self, path: str | os.PathLike[str], *, worst: int = 6, by: str | None = None) -> None:
        """Write everything as one HTML file that opens without a network, with each candidate's worst pairs to look at.

        Args:
            path: where to; an existing file is replaced in one step.
            worst: pairs a candidate, which are read again for it.
            by: the measure they are worst by; the first one by default.

        Raises:
            UsageError: a measure that was not scored.
            DataError: where the file cannot be written.
        """
        from ..report.html.scored_page import write_scored_page

        write_scored_page(self, path, worst, self.measure_called(by))
