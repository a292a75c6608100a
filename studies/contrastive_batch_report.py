"""The tables and pictures of docs/studies/contrastive-batch.md, from studies/contrastive_batch.json.

python studies/contrastive_batch_report.py          prints the tables
python studies/contrastive_batch_report.py --write  puts them into the page, and draws (needs matplotlib)
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

FOUND = Path(__file__).with_name("contrastive_batch.json")
DOCS = Path(__file__).parents[1] / "docs" / "studies"
PAGE = DOCS / "contrastive-batch.md"
TESTED = 10_000
WAYS = {
    ("plain", "dense"): ("plain", "#444444", "o"),
    ("plain", "tiled"): ("plain, tiled loss", "#9a6fb0", "v"),
    ("accumulated", "dense"): ("accumulated", "#c2701c", "D"),
    ("cached", "dense"): ("cached", "#5b9bd5", "s"),
    ("cached", "tiled"): ("cached, tiled loss", "#00796b", "^"),
}
Found = dict[str, Any]


def label(one: Found) -> str:
    return WAYS[one["backward"], one["loss"]][0]


def mean_and_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95% interval over seeds by Student's t; NaN from one seed."""
    x = np.asarray(values)
    if len(x) < 2:
        return float(x.mean()), float("nan"), float("nan")
    half = stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / len(x) ** 0.5
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


def percent(values: Sequence[float]) -> str:
    mean, low, high = mean_and_interval(values)
    span = "" if np.isnan(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * mean:.2f}{span}"


def chosen(found: Found, view: str) -> list[list[Found]]:
    """Runs of each way at the rate that its images set aside chose, one list a way, by batch.

    View "samples": those that saw as many images as the settings say; "steps": those that took as many steps.
    """
    ways: dict[str, list[Found]] = {}
    for run in found["runs"].values():
        same = run["seen"] == found["settings"]["seen"]
        if same if view == "samples" else run["seen"] == found["settings"]["steps"] * run["batch"]:
            ways.setdefault(run["way"], []).append(run)
    out = []
    for runs in ways.values():
        tried = [run for run in runs if run["seed"] == 0]
        best = max(tried, key=lambda run: list(run["accuracy"].values())[-1]["choose"])
        out.append([run for run in runs if run["rate"] == best["rate"]])
    return sorted(out, key=lambda runs: (runs[0]["backward"] == "accumulated", runs[0]["batch"]))


def accuracies(runs: Sequence[Found], labelled: int, part: str = "report") -> list[float]:
    return [run["accuracy"][str(labelled)][part] for run in runs]


def difference(runs: Sequence[Found], first: Sequence[Found], labelled: int) -> str:
    """Points above the smallest batch, seed by seed: a seed's runs start from the same weights."""
    by_seed = {run["seed"]: run["accuracy"][str(labelled)]["report"] for run in first}
    gaps = [
        run["accuracy"][str(labelled)]["report"] - by_seed[run["seed"]]
        for run in runs
        if run["seed"] in by_seed
    ]
    mean, low, high = (100 * value for value in mean_and_interval(gaps))
    return f"{mean:+.2f}" + ("" if np.isnan(low) else f" [{low:+.1f}, {high:+.1f}]")


def accuracy_table(found: Found, view: str) -> str:
    few, many = found["settings"]["labelled"][0], found["settings"]["labelled"][-1]
    ways = chosen(found, view)
    first = ways[0]
    out = [
        f"| batch | told apart | images seen | steps | {many:,} labelled | above batch {first[0]['batch']} "
        f"| {few:,} labelled | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for runs in ways:
        one = runs[0]
        within = one["chunk"] if one["backward"] == "accumulated" else one["batch"]
        gap = "" if runs is first else difference(runs, first, many)
        out.append(
            f"| {one['batch']} | {within} | {one['seen']:,} | {one['steps']:,} "
            f"| {percent(accuracies(runs, many))} | {gap} | {percent(accuracies(runs, few))} | {len(runs)} |"
        )
    if view == "samples":
        for name, at in found["baselines"].items():
            right = [f"{100 * at[str(n)]['report']:.2f}" for n in (many, few)]
            out.append(f"| {name} | | | | {right[0]} | | {right[1]} | |")
    return "\n".join(out)


def rate_table(found: Found) -> str:
    """Both rates of the first seed, on the images set aside."""
    many = found["settings"]["labelled"][-1]
    out = ["| batch | told apart | images seen | lower rate | accuracy | higher rate | accuracy |"]
    out.append("|---|---|---|---|---|---|---|")
    pairs: dict[tuple[str, int], list[Found]] = {}
    for run in found["runs"].values():
        if run["seed"] == 0:
            pairs.setdefault((run["way"], run["seen"]), []).append(run)
    for runs in pairs.values():
        cells = []
        for run in sorted(runs, key=lambda run: run["rate"]):
            cells += [f"{run['rate']:.2g}", f"{100 * accuracies([run], many, 'choose')[0]:.2f}"]
        one = runs[0]
        within = one["chunk"] if one["backward"] == "accumulated" else one["batch"]
        out.append(f"| {one['batch']} | {within} | {one['seen']:,} | {' | '.join([*cells, '', ''][:4])} |")
    return "\n".join(out)


def step_table(found: Found, what: str) -> str:
    """Megabytes of a step, or its milliseconds an image, batches down and ways across."""
    batches = sorted({one["batch"] for one in found["step"].values()})
    by = {(one["batch"], one["backward"], one["loss"]): one for one in found["step"].values()}
    out = [
        "| batch | " + " | ".join(name for name, *_ in WAYS.values()) + " |",
        "|---" * (len(WAYS) + 1) + "|",
    ]
    for batch in batches:
        cells = []
        for way in WAYS:
            one = by.get((batch, *way))
            if one is None:
                cells.append("")
            else:
                cells.append(
                    f"{one['bytes'] / 1e6:,.0f}"
                    if what == "bytes"
                    else f"{1000 * one['seconds'] / batch:.2f}"
                )
        out.append(f"| {batch} | {' | '.join(cells)} |")
    return "\n".join(out)


def tables(found: Found) -> dict[str, str]:
    return {
        "samples": accuracy_table(found, "samples"),
        "steps": accuracy_table(found, "steps"),
        "rates": rate_table(found),
        "memory": step_table(found, "bytes"),
        "time": step_table(found, "seconds"),
    }


# -- pictures ---------------------------------------------------------------------------------------------------------


def bytes_of(found: Found, backward: str, loss: str, batch: int) -> float | None:
    for one in found["step"].values():
        if (one["backward"], one["loss"], one["batch"]) == (backward, loss, batch):
            return float(one["bytes"])
    return None


def draw_accuracy(found: Found) -> Any:
    """Accuracy against the memory of a step, for equal samples and for equal steps."""
    from matplotlib.figure import Figure

    many = found["settings"]["labelled"][-1]
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, view in zip(axes, ("samples", "steps"), strict=True):
        by_batch = {
            runs[0]["batch"]: runs for runs in chosen(found, view) if runs[0]["backward"] != "accumulated"
        }
        lines = {("plain", "dense"): by_batch, ("cached", "tiled"): by_batch}
        lines["accumulated", "dense"] = {
            runs[0]["batch"]: runs for runs in chosen(found, view) if runs[0]["backward"] == "accumulated"
        }
        for way, batches in lines.items():
            name, color, marker = WAYS[way]
            known = [(bytes_of(found, *way, batch), batch, runs) for batch, runs in batches.items()]
            points = [(size / 1e6, batch, runs) for size, batch, runs in known if size is not None]
            values = [[100 * a for a in accuracies(runs, many)] for *_, runs in points]
            x, y = [size for size, *_ in points], [float(np.mean(v)) for v in values]
            ax.plot(x, y, color=color, marker=marker, ms=5, lw=1.2, label=name)
            for one, right in zip(x, values, strict=True):
                ax.plot([one] * len(right), right, ".", color=color, ms=4, alpha=0.5)
            for (size, batch, _), height in zip(points, y, strict=True):
                # what lies on one spot is told apart by where its number stands
                place = {"plain": (0, 7), "cached": (0, -13), "accumulated": (14, -3)}[way[0]]
                ax.annotate(
                    str(batch), (size, height), place, textcoords="offset points", ha="center", fontsize=8,
                    color=color,
                )  # fmt: skip
        if "untrained features" in found["baselines"]:
            level = 100 * found["baselines"]["untrained features"][str(many)]["report"]
            ax.axhline(level, color="#999999", ls=":", lw=1)
            ax.annotate("untrained", (0.99, level), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                        fontsize=8, color="#777777")  # fmt: skip
        seen, steps = found["settings"]["seen"], found["settings"]["steps"]
        ax.set_title(f"{seen:,} images seen" if view == "samples" else f"{steps} steps", fontsize=10)
        ax.set_xscale("log")
        ax.set_xlabel("memory of a step, MB")
        ax.grid(alpha=0.25)
    axes[0].set_ylabel("accuracy of a linear layer, %")
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def draw_step(found: Found) -> Any:
    """Memory and time of a step against the batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    batches = sorted({one["batch"] for one in found["step"].values()})
    axes = figure.subplots(1, 2)
    for way, (name, color, marker) in WAYS.items():
        ones = [one for one in found["step"].values() if (one["backward"], one["loss"]) == way]
        ones.sort(key=lambda one: one["batch"])
        x = [one["batch"] for one in ones]
        axes[0].plot(
            x, [one["bytes"] / 1e6 for one in ones], color=color, marker=marker, ms=5, lw=1.2, label=name
        )
        axes[1].plot(x, [1000 * one["seconds"] / one["batch"] for one in ones], color=color, marker=marker, ms=5,
                     lw=1.2)  # fmt: skip
    for ax, title in zip(axes, ("memory of a step, MB", "time of a step, ms an image"), strict=True):
        ax.set_xscale("log", base=2)
        ax.set_xticks(batches, [str(batch) for batch in batches])
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("batch")
        ax.grid(alpha=0.25)
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    axes[0].legend(fontsize=8, frameon=False)
    return figure


def written_into(page: str, made: dict[str, str]) -> str:
    """The page with each table between its marks."""
    for name, table in made.items():
        mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- /made -->)", re.DOTALL)
        page, count = mark.subn(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page)  # type: ignore[misc]
        assert count == 1, f"the page has {count} places for the table {name!r}, expected one"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--found", type=Path, default=FOUND)
    arguments = parser.parse_args()
    found = json.loads(arguments.found.read_text())
    made = tables(found)
    if not arguments.write:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in made.items()))
        return
    PAGE.write_text(written_into(PAGE.read_text(), made))
    for name, figure in (("accuracy", draw_accuracy(found)), ("step", draw_step(found))):
        figure.savefig(DOCS / f"contrastive_batch_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
