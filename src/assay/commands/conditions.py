"""What do --fail-if and --fail-on ask for, is it about anything that will be measured, and is it so?"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..comparing.set_up import SetUp
from ..comparison import Comparison
from ..errors import UsageError
from ..fail_if import ON, Condition, condition_of, failures, refuse_unknown
from ..measure_by_name import measures_by_name, printed_name
from ..printable import printable

FAILED = 3  # the exit status where a condition holds


def read_conditions(texts: Sequence[str], on: str | None, example: str) -> list[Condition]:
    """The conditions as they were given.

    Args:
        texts: of --fail-if.
        on: of --fail-on.
        example: a condition that this command could be given.

    Raises:
        UsageError: a condition that cannot be read, another word for --fail-on, --fail-on without a condition.
    """
    if on is not None and on not in ON:
        raise UsageError(f"--fail-on: expected {' or '.join(ON)}, got {on!r}")
    if on is not None and not texts:
        raise UsageError(f'--fail-on: say what is to fail, with --fail-if, as in --fail-if "{example}"')
    return [condition_of(text) for text in texts]


def status_by(conditions: Sequence[Condition], found: Comparison, on: str | None) -> int:
    """The exit status, 0 or `FAILED`; which conditions hold is told on stderr.

    A value without an interval fails under --fail-on interval, because a gate that cannot tell must not let pass; that
    it has none, and what to do about it, is told.
    """
    clauses = failures(conditions, found, on or "value")
    if not clauses:
        return 0
    told = [f"failed: {'; '.join(clauses)}"]
    if on == "interval":
        told += _without_interval(conditions, found)
    for line in told:
        print(printable(line), file=sys.stderr, flush=True)
    return FAILED


def _without_interval(conditions: Sequence[Condition], found: Comparison) -> list[str]:
    rows = [
        row
        for row in found.rows
        if (math.isnan(row.estimate.low) or math.isnan(row.estimate.high))
        and any(
            each.is_about(row.name, row.measure) and each.candidate in (None, row.candidate)
            for each in conditions
        )
    ]
    if not rows:
        return []
    named = ", ".join(f"{row.candidate}: {row.name} ({row.estimate.method})" for row in rows)
    one = len(rows) == 1
    return [
        f"no interval: {named}; --fail-on interval cannot be answered without one, which counts as failed. Give more "
        f"independent samples, or let {'the value' if one else 'values'} decide with --fail-on value"
    ]


def conditions_for(
    texts: Sequence[str],
    on: str | None,
    *,
    measures: Sequence[str] | None,
    protocol: str | None,
    held_out: bool,
    candidates: Iterable[str],
) -> list[Condition]:
    """The conditions, each of them about a measure and a candidate that there will be.

    Raises:
        UsageError: a condition that cannot be read, or is about nothing that will be measured.
    """
    conditions = read_conditions(texts, on, "fd > 12")
    if conditions:
        set_up = SetUp.of(None, protocol)
        known: dict[str, Any] = {
            printed_name(m): m.name for m in measures_by_name(set_up.measures(measures, held_out))
        }
        known.update((printed_name(m), m.name) for _, own in set_up.other_spaces() for m in own)
        if set_up.protocol is not None:
            known.update((printed.name, printed.name) for printed in set_up.protocol.printed)
        refuse_unknown(conditions, known, list(candidates))
    return conditions
