"""The headline says who is better and how surely."""

from __future__ import annotations

from dataclasses import replace

from assay import Comparison
from assay.comparison import Difference
from assay.report.html.headline import headline


def decided(bare: Comparison, *betters: str | None) -> Comparison:
    """Differences of two candidates, one a measure, with these outcomes."""
    a, b = "early", "late"
    first = bare.differences[0]
    bounds = {a: (1.0, 2.0), b: (-2.0, -1.0), None: (-1.0, 1.0)}
    made = [
        Difference(f"m{k}", "m", a, b, "lower is better",
                   replace(first.estimate, low=bounds[which][0], high=bounds[which][1]))
        for k, which in enumerate(betters)
    ]  # fmt: skip
    rows = tuple(replace(bare.rows[0], candidate=name) for name in (a, b))
    return replace(bare, rows=rows, differences=tuple(made))


def test_the_headline_says_who_is_better_and_how_surely(bare: Comparison) -> None:
    assert headline(decided(bare, "late", "late")) == (
        "late is better than early beyond doubt, by all 2 measures at the 95% level."
    )
    assert headline(decided(bare, "late", None, "late")).startswith(
        "late is better than early: beyond doubt by 2 of 3 measures, and the other one is undecided"
    )
    assert headline(decided(bare, None, None)) == "These samples cannot tell early and late apart."
    assert headline(decided(bare, "late", "early", "late")) == (
        "No single winner: the measures disagree (late wins 2, early wins 1 of 3 differences)."
    )
    one = replace(bare, rows=bare.rows[:1], differences=())
    assert headline(one).startswith("early scores ") and "lower is better" in headline(one)


def test_the_headline_of_many_candidates(steps: Comparison) -> None:
    names = ["step-20k", "step-10k", "step-5k"]
    first = steps.differences[0]

    def made(*outcomes: str | None) -> Comparison:
        pairs = [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
        bounds = {"a": (1.0, 2.0), "b": (-2.0, -1.0), None: (-1.0, 1.0)}
        differences = [
            replace(first, a=a, b=b, direction="lower is better",
                    estimate=replace(first.estimate, low=bounds[o][0], high=bounds[o][1]))
            for (a, b), o in zip(pairs, outcomes, strict=True)
        ]  # fmt: skip
        return replace(steps, differences=tuple(differences))

    assert headline(made("a", "a", None)).startswith(
        "step-20k is better than each of the other 2 beyond doubt"
    )
    assert headline(made(None, "a", "a")) == (
        "No single winner: nothing beats step-20k and step-10k, and they cannot be ranked by these samples."
    )
    assert headline(made("b", None, "a")) == (
        "step-10k is better than each of the other 2 beyond doubt, by every measure at the 95% level."
    )
    assert headline(made("a", None, None)).startswith("No single winner: nothing beats step-20k and step-5k")
