"""Is the candidate of one run better than that of another, beyond doubt?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..comparison import Difference
from ..errors import DataError
from ..estimate import Estimate
from ..trace import Kept
from .later_spread import later_spread
from .store import History
from .stored import Run, StoredInput, StoredValue


@dataclass(frozen=True)
class RunsDifference:
    """What two stored values differ by, for every measure of both.

    Attributes:
        a, b: the candidates, named so that they can be told apart.
        differences: of b's value minus a's, as between the candidates of one run.
        refused: a printed name and why there is no difference of it.
    """

    a: str
    b: str
    differences: tuple[Difference, ...]
    refused: tuple[tuple[str, str], ...]


def difference_of_runs(
    history: History,
    a: Run,
    b: Run,
    *,
    candidate_a: str | None = None,
    candidate_b: str | None = None,
    level: float | None = None,
) -> RunsDifference:
    """b's values minus a's, paired through the real set that both runs share.

    Values freed of their bias are subtracted; the standard error is found from each real sample's two influences and
    from the variance that each candidate's samples add. For the same seed that is what `assay.difference` finds of the
    samples themselves, to float32.

    Args:
        history: where both runs are.
        a, b: the runs; one run with two candidates will do.
        candidate_a, candidate_b: which candidates; a run's only one where none is named.
        level: of the intervals, by default the runs' own where both have one, else 0.95.

    Raises:
        UsageError: a candidate that the run does not have, or several to choose from.
        DataError: runs of different real sets, features or protocols; no measure in common.
    """
    one, other = a.candidate(candidate_a), b.candidate(candidate_b)
    _refuse_unlike(a, b)
    if level is None:
        level = a.level if a.level == b.level else 0.95
    same_name = one.name == other.name
    name_a = f"{one.name} (run {a.id})" if same_name else one.name
    name_b = f"{other.name} (run {b.id})" if same_name else other.name
    of_a, of_b = _values(a, one), _values(b, other)
    differences, refused = [], []
    for name, value_a in of_a.items():
        if name not in of_b:
            refused.append((name, f"run {b.id} has no such value"))
            continue
        value_b = of_b[name]
        kept_a, kept_b = history.kept(value_a.key), history.kept(value_b.key)
        if kept_a is None or kept_b is None:
            refused.append((name, "nothing was kept of it that a difference could be taken from"))
            continue
        counts = value_a.estimate.n_y, value_b.estimate.n_y
        if counts[0] != counts[1] and not (kept_a.freed and kept_b.freed):
            told = " and ".join("an unknown number" if n is None else f"{n:,.15g}" for n in counts)
            refused.append((name, f"{told} samples, and without correction its value depends on how many"))
            continue
        estimate = _estimate(value_a.estimate, value_b.estimate, kept_a, kept_b, level)
        differences.append(Difference(name, value_a.measure, name_a, name_b, value_a.direction, estimate))
    refused += [(name, f"run {a.id} has no such value") for name in of_b if name not in of_a]
    if not differences:
        why = "; ".join(f"{name}: {reason}" for name, reason in refused) or "they have no values"
        raise DataError(f"runs {a.id} and {b.id} cannot be compared: {why}")
    return RunsDifference(name_a, name_b, tuple(differences), tuple(refused))


def _values(run: Run, candidate: StoredInput) -> dict[str, StoredValue]:
    return {v.name: v for v in run.values if v.candidate == candidate.name and v.group is None}


def _estimate(a: Estimate, b: Estimate, kept_a: Kept, kept_b: Kept, level: float) -> Estimate:
    spread = later_spread(kept_a, kept_b, a.std_error, b.std_error, level)
    corrected = b.corrected - a.corrected
    return Estimate(
        value=b.value - a.value,
        corrected=corrected,
        bias=b.bias - a.bias,
        std_error=spread.error,
        low=corrected - spread.reach * spread.error,
        high=corrected + spread.reach * spread.error,
        level=level,
        method=spread.method,
        n_x=b.n_x,
        n_y=b.n_y,
    )


def _refuse_unlike(a: Run, b: Run) -> None:
    held = (a.held_out(), b.held_out())
    different = [
        f"{what} ({_shown(x)} and {_shown(y)})"
        for what, x, y in (
            ("the features", a.features, b.features),
            ("the version of the features", a.fingerprint, b.fingerprint),
            ("the protocol", a.protocol, b.protocol),
            ("the number of real samples", a.real.n, b.real.n),
            ("whether rows are pairs", a.paired, b.paired),
        )
        if x != y
    ]
    sets: Sequence[tuple[str, StoredInput | None, StoredInput | None]] = (
        ("the real set", a.real, b.real),
        ("the held-out set", *held),
    )
    for what, first, second in sets:
        if (first and first.content) != (second and second.content):
            different.append(f"{what} ({_set(first)} and {_set(second)})")
    if different:
        raise DataError(
            f"runs {a.id} and {b.id} cannot be compared, because these differ: {'; '.join(different)}"
        )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if len(value) <= 40 else f"{value[:12]}..."
    return "none" if value is None else str(value)


def _set(one: StoredInput | None) -> str:
    if one is None:
        return "none"
    return one.name if one.content is None else f"{one.name}, content {one.content[:12]}"
