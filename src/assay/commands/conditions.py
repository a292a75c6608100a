"""What do --fail-if and --fail-on ask for, and is it about anything that will be measured?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..comparing.set_up import SetUp
from ..errors import UsageError
from ..fail_if import ON, Condition, condition_of, refuse_unknown
from ..measure_by_name import measures_by_name, printed_name


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
    if on is not None and on not in ON:
        raise UsageError(f"--fail-on: expected {' or '.join(ON)}, got {on!r}")
    if on is not None and not texts:
        raise UsageError('--fail-on: say what is to fail, with --fail-if, as in --fail-if "fd > 12"')
    conditions = [condition_of(text) for text in texts]
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
