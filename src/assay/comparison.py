"""What came out of a comparison?"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .direction import Direction
from .estimate import Estimate
from .explanation import Explanation
from .note import Note


@dataclass(frozen=True)
class Row:
    """One measure of one set.

    Attributes:
        name: as it is printed, with the feature space: `fd[efficientnet-lite0]`.
        measure: the measure's full name.
        candidate: the set's name.
        direction: which direction is better.
        estimate: value, corrected value, interval, counts (`n_x` real, `n_y` generated).
        multiple: the value in multiples of the floor, None where there is no floor or no honest multiple.
        multiple_is: how the multiple was taken.
        group: the class it is of, None for all of the set.
    """

    name: str
    measure: str
    candidate: str
    direction: Direction
    estimate: Estimate
    multiple: float | None = None
    multiple_is: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Difference:
    """Two candidates by one measure: the estimate is of b's value minus a's.

    Attributes:
        better: the better one where the interval excludes zero, else None.
    """

    name: str
    measure: str
    a: str
    b: str
    direction: Direction
    estimate: Estimate

    @property
    def better(self) -> str | None:
        if not (self.estimate.low > 0 or self.estimate.high < 0):
            return None
        b_is_better = (self.estimate.high < 0) == (self.direction == "lower is better")
        return self.b if b_is_better else self.a


@dataclass(frozen=True)
class Floor:
    """One measure between two halves of the real set: the best value anyone can reach with so many samples.

    Attributes:
        samples: how many each half has; every multiple is of values at this size.
    """

    name: str
    measure: str
    direction: Direction
    estimate: Estimate
    samples: int


@dataclass(frozen=True)
class Published:
    """One value as a published protocol defines it, set beside printed ones.

    Attributes:
        name: the standard name (`FID`) where everything is as the protocol defines it, else None.
        standard: the standard name, whether or not the value may carry it.
        candidate: the set's name.
        value: as the protocol computes it; not freed of sample-size bias. None where there are too few samples for it.
        spread: the standard deviation that the protocol prints beside it, where it does.
        unmet: what is not as the protocol defines it; empty exactly where `name` is given.
        direction: which direction is better.
    """

    name: str | None
    standard: str
    candidate: str
    value: float | None
    spread: float | None
    unmet: tuple[str, ...]
    direction: Direction


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        rows: one a candidate and measure, candidates in their order.
        aims: measures of one set, taken of the real one: the value to aim at.
        differences: one a pair of candidates and measure of both.
        floor: one a measure of two sets, where it was asked for.
        notes: what a reader must know before using the numbers.
        classes: one a class, candidate and measure, where classes were asked for; empty otherwise.
        published: the values that a published protocol defines, where one was asked for; empty otherwise.
        explanations: one a candidate and measure, where they were asked for; empty otherwise.
        sets: the sets as numbers (`assay.comparing.compared_sets.ComparedSet`), the real one first, kept where samples
            are explained; empty otherwise.
        images, extractor: where the sets' images are read from, by their names, and what made the features, kept where
            samples are explained and all sets are images.
        settings: seed, versions, extractor, counts: what it takes to get the same numbers again.
    """

    rows: tuple[Row, ...]
    aims: tuple[Row, ...]
    differences: tuple[Difference, ...]
    floor: tuple[Floor, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, Any]
    classes: tuple[Row, ...] = ()
    published: tuple[Published, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    sets: tuple[Any, ...] = ()
    images: Mapping[str, Any] = field(default_factory=dict)
    extractor: Any = None

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        """The estimate of a candidate by a measure: ``found["late", "fd"]``; printed, short and full names will do."""
        candidate, measure = key
        for row in self.rows:
            if row.candidate == candidate and measure in (row.name, row.measure, row.name.partition("[")[0]):
                return row.estimate
        known = ", ".join(f"({row.candidate!r}, {row.name!r})" for row in self.rows)
        raise KeyError(f"{key!r}; there are {known}")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries; a number that is not finite is None."""
        return {
            "measures": [_row(row) for row in self.rows],
            "aims": [_row(row) for row in self.aims],
            "differences": [
                {
                    "name": d.name, "measure": d.measure, "a": d.a, "b": d.b, "direction": d.direction,
                    "better": d.better, **_numbers(d.estimate),
                }
                for d in self.differences
            ],
            "floor": [
                {
                    "name": f.name, "measure": f.measure, "direction": f.direction, "samples": f.samples,
                    **_numbers(f.estimate),
                }
                for f in self.floor
            ],
            "notes": [note.to_dict() for note in self.notes],
            "classes": [{**_row(row), "class": row.group} for row in self.classes],
            "explanations": [each.to_dict() for each in self.explanations],
            "published": [asdict(value) for value in self.published],
            "settings": dict(self.settings),
        }  # fmt: skip

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict()` as JSON, indented by two, under a temporary name first and renamed when complete.

        Raises:
            DataError: where the file cannot be written.
        """
        from .report.json import write_json

        write_json(self.to_dict(), path)

    def to_html(
        self, path: str | os.PathLike[str], *, maps: Mapping[tuple[str, int], bytes] | None = None
    ) -> None:
        """Write everything as one HTML file that opens without a network; whole or not at all.

        Pictures, galleries and influences are in it where `explanations` and `sets` are kept (`explain=True`).

        Args:
            path: where to; an existing file is replaced in one step.
            maps: (set's name, row) -> the heat map of that sample, PNG.

        Raises:
            DataError: where the file cannot be written.
        """
        from .report.html import write_page

        write_page(self, path, maps)

    def __str__(self) -> str:
        from .report.table import as_text

        return as_text(self)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`, a row a candidate, measure and class: see `assay.report.data_frame.as_data_frame`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from .report.data_frame import as_data_frame

        return as_data_frame(self)

    def plot(self) -> Any:
        """A `matplotlib.figure.Figure`, a panel a measure: see `assay.report.plot.as_figure`.

        Raises:
            MissingExtra: matplotlib is not installed.
        """
        from .report.plot import as_figure

        return as_figure(self)

    def _repr_html_(self) -> str:
        from .report.notebook import as_html

        return as_html(self)


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "measure": row.measure,
        "candidate": row.candidate,
        "direction": row.direction,
        **_numbers(row.estimate),
        "multiple_of_floor": _finite(row.multiple),
        "multiple_is": row.multiple_is,
    }


def _numbers(estimate: Estimate) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for key, value in estimate.to_dict().items():
        whole = key in ("n_x", "n_y") and value is not None and float(value).is_integer()
        numbers[key] = int(value) if whole else _finite(value) if isinstance(value, float) else value
    return numbers


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
