"""Which candidate is better, in one sentence?"""

from __future__ import annotations

from ...comparison import Comparison
from ..numbers import value_and_interval


def headline(found: Comparison) -> str:
    """One plain sentence: who is ahead, and whether beyond what the samples' luck could do."""
    names = list(dict.fromkeys(row.candidate for row in found.rows))
    if not names:
        return "Nothing was measured."
    if len(names) == 1 or not found.differences:
        return _alone(found, names[0])
    decided = [d for d in found.differences if d.better is not None]
    if not decided:
        return f"These samples cannot tell {_listed(names)} apart."
    lost = {d.a if d.better == d.b else d.b for d in decided}
    unbeaten = [name for name in names if name not in lost]
    level = f"{100 * float(found.settings['level']):g}%"
    if len(unbeaten) != 1:
        return _divided(found, names, unbeaten)
    (best,) = unbeaten
    own = [d for d in found.differences if best in (d.a, d.b)]
    won = [d for d in own if d.better == best]
    others = [name for name in names if name != best]
    rivals = others[0] if len(others) == 1 else f"each of the other {len(others)}"
    if len(won) == len(own):
        by = f"all {len(own)} measures" if len(others) == 1 else "every measure"
        if len(own) == 1:
            by = "the one measure"
        return f"{best} is better than {rivals} beyond doubt, by {by} at the {level} level."
    open_to = [name for name in others if not any(name in (d.a, d.b) for d in won)]
    if open_to:
        return f"{best} is beaten by none, but these samples cannot tell it from {_listed(open_to)}."
    if len(others) == 1:
        undecided = len(own) - len(won)
        return (
            f"{best} is better than {rivals}: beyond doubt by {len(won)} of {len(own)} measures, and "
            f"{'the other one is' if undecided == 1 else f'the other {undecided} are'} undecided."
        )
    return f"{best} is ahead of {rivals}, beyond doubt by some measures and behind by none."


def _alone(found: Comparison, name: str) -> str:
    row = next(row for row in found.rows if row.candidate == name)
    value, interval, _ = value_and_interval(row.estimate)
    times = ""
    if row.multiple is not None:
        bound = row.multiple_is is not None and row.multiple_is.startswith("at least")
        times = f", {'more than ' if bound else ''}{row.multiple:.2g} times the floor"
    return f"{name} scores {value} {interval} by {row.name}{times} ({row.direction})."


def _divided(found: Comparison, names: list[str], unbeaten: list[str]) -> str:
    if unbeaten:
        return f"No single winner: nothing beats {_listed(unbeaten)}, and they cannot be ranked by these samples."
    wins = {name: sum(d.better == name for d in found.differences) for name in names}
    told = [f"{name} wins {count}" for name, count in sorted(wins.items(), key=lambda w: -w[1]) if count]
    return f"No single winner: the measures disagree ({', '.join(told[:4])} of {len(found.differences)} differences)."


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} others"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
