"""Is a comparison bad enough to stop a pipeline?"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .checks import nearest_name
from .comparison import Comparison, Published, Row
from .errors import UsageError

OPERATORS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)
FORM = re.compile(
    r"(?:(?P<candidate>.+?)\s*:\s*)?"
    r"(?P<measure>[^\s:<>=()\[\]]+(?:\([^()]*\))?(?:\[[^\]]*\])?)"
    r"\s*(?P<operator>>=|<=|>|<)\s*(?P<bound>\S+)"
)
ON = ("value", "interval")


@dataclass(frozen=True)
class Condition:
    """What must not hold.

    Attributes:
        text: as it was given.
        candidate: whom it is about; None for everybody.
        measure: a printed, short or full name, with its space or without.
        sign: `>`, `>=`, `<` or `<=`.
        bound: what the value is compared with.
    """

    text: str
    candidate: str | None
    measure: str
    sign: str
    bound: float

    def is_about(self, name: str, measure: str) -> bool:
        """Whether a value printed as `name`, of the measure with this full name, is meant."""
        return self.measure in (name, measure, name.partition("[")[0])

    def holds(self, value: float) -> bool:
        """Whether the value is beyond the bound; one that is no number is."""
        return math.isnan(value) or OPERATORS[self.sign](value, self.bound)


def condition_of(text: str) -> Condition:
    """`fd > 12`, or of one candidate `late: fd > 12`.

    Raises:
        UsageError: anything else.
    """
    found = FORM.fullmatch(text.strip())
    bound = None if found is None else _number(found["bound"])
    if found is None or bound is None:
        raise UsageError(
            f'--fail-if: expected a measure, one of {", ".join(OPERATORS)}, and a number, as in "fd > 12" or '
            f'"late: fd > 12", got {text!r}'
        )
    return Condition(text.strip(), found["candidate"], found["measure"], found["operator"], bound)


def refuse_unknown(
    conditions: Sequence[Condition], measures: Mapping[str, str], candidates: Sequence[str]
) -> None:
    """Before the work: conditions can only be about what will be measured.

    Args:
        conditions: all of them.
        measures: printed names, without their space, -> full names.
        candidates: their names.

    Raises:
        UsageError: a measure or a candidate that will not be there.
    """
    for condition in conditions:
        base = condition.measure.partition("[")[0]
        if not any(base in names for names in measures.items()):
            near = nearest_name(base, [*measures, *measures.values()])
            raise UsageError(
                f"--fail-if {condition.text!r}: {base} is not measured{near}; measured are {', '.join(measures)}"
            )
        if condition.candidate is not None and condition.candidate not in candidates:
            near = nearest_name(condition.candidate, candidates)
            raise UsageError(
                f"--fail-if {condition.text!r}: no candidate is called {condition.candidate!r}{near}; there are "
                f"{', '.join(candidates)}"
            )


def failures(conditions: Sequence[Condition], found: Comparison, on: str = "value") -> list[str]:
    """A clause for each condition and candidate for which it holds: what is beyond the bound.

    Args:
        conditions: what must not hold.
        found: the comparison.
        on: "value": the corrected value is beyond the bound. "interval": all of its interval is.

    Raises:
        UsageError: a condition that is about no value of the comparison.
    """
    clauses = []
    for condition in conditions:
        about = [row for row in found.rows if condition.is_about(row.name, row.measure)]
        printed = [p for p in found.published if condition.measure in (p.name, p.standard)]
        if not about and not printed:
            known = ", ".join(dict.fromkeys(row.name for row in found.rows))
            raise UsageError(
                f"--fail-if {condition.text!r}: {condition.measure} was not measured, but {known}"
            )
        if not about and on == "interval":
            raise UsageError(
                f"--fail-if {condition.text!r}: a published value has no interval; leave out --fail-on, or use the "
                "measure beside it"
            )
        for each in about or printed:
            if condition.candidate not in (None, each.candidate):
                continue
            clause = (
                _of_published(condition, each)
                if isinstance(each, Published)
                else _of_row(condition, each, on)
            )
            if clause is not None:
                clauses.append(clause)
    return clauses


def _of_row(condition: Condition, row: Row, on: str) -> str | None:
    e = row.estimate
    nearest = e.corrected if on == "value" else e.low if condition.sign in (">", ">=") else e.high
    if math.isnan(e.corrected):
        nearest = e.corrected
    if not condition.holds(nearest):
        return None
    interval = f"[{_shown(e.low)}, {_shown(e.high)}]"
    return f"{row.candidate}: {row.name} is {_shown(e.corrected)} {interval} ({condition.text})"


def _of_published(condition: Condition, value: Published) -> str | None:
    number = math.nan if value.value is None else value.value
    if not condition.holds(number):
        return None
    return f"{value.candidate}: {value.standard} is {_shown(number)} ({condition.text})"


def _shown(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.6g}"


def _number(text: str) -> float | None:
    try:
        number = math.nan if "_" in text else float(text)  # Python's own 1_000 is nobody's number here
    except ValueError:
        return None
    return number if math.isfinite(number) else None
