"""What the study of post-training found, drawn: distances by population, distances by step, and images; and its tables.

    python studies/post_training_pictures.py --keep FOLDER

takes the folder of `post_training.py`, and writes pictures, and the tables of their page, to docs/studies.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
SPACES = ("classifier", "autoencoder", "other")
TITLES = {
    "classifier": "trained space: classifier",
    "autoencoder": "another: autoencoder",
    "other": "another: other classifier",
}
KINDS = {"queue": ("#00796b", "o", "-"), "ema": ("#c2185b", "s", "--")}
COLUMNS = 20
DPI = 90


def runs_of(found: dict[str, Any], regime: str, spaces: list[str]) -> list[dict[str, Any]]:
    return [run for run in found["runs"].values() if run["regime"] == regime and run["spaces"] == spaces]


def by_population(found: dict[str, Any]) -> Figure:
    """A row a regime, a column a space; small marks are seeds."""
    regimes = list(found["settings"]["regimes"])
    figure = Figure(figsize=(9.6, 2.9 * len(regimes)), layout="constrained")
    axes = figure.subplots(len(regimes), len(SPACES), squeeze=False)
    batch = found["settings"]["batch"]
    for row, regime in enumerate(regimes):
        runs = runs_of(found, regime, ["classifier"])
        for space, axis in zip(SPACES, axes[row], strict=True):
            for memory, (colour, mark, line) in KINDS.items():
                chosen = [run for run in runs if run["memory"] == memory]
                if not chosen:
                    continue
                at = np.array([run["population"] or batch for run in chosen])
                value, low, high = (
                    np.array([run[space]["frechet_distance"][k] for run in chosen])
                    for k in ("value", "low", "high")
                )
                places = np.unique(at)
                mean = [value[at == place].mean() for place in places]
                axis.plot(places, mean, line, color=colour, linewidth=1, label=memory)
                spread = np.clip([value - low, high - value], 0, None)
                axis.errorbar(at, value, spread, fmt=mark, color=colour, markersize=3, linewidth=1, capsize=2)
            base = found["sets"]["base"][space]["frechet_distance"]["value"]
            axis.axhline(base, color="0.5", linestyle=":", linewidth=1.2, label="before")
            tidy(axis)
            axis.set_xscale("log")
            axis.set_xlim(0.8 * batch, 1.3 * max(found["settings"]["populations"]))
            axis.set_title(f"{TITLES[space]}\n{regime}", fontsize=9)
            if row == len(regimes) - 1:
                axis.set_xlabel(f"images in the statistic ({batch} is the batch alone)", fontsize=8)
        axes[row][0].set_ylabel("Fréchet distance to test images", fontsize=8)
    axes[0][0].legend(fontsize=8, frameon=False)
    return figure


def by_step(found: dict[str, Any]) -> Figure:
    """The distance in the trained and in the other classifier's space while training, first seed."""
    regimes = list(found["settings"]["regimes"])
    figure = Figure(figsize=(9.6, 2.9 * len(regimes)), layout="constrained")
    axes = figure.subplots(len(regimes), 2, squeeze=False)
    shades = {None: "#000000", 256: "#1f77b4", 1_000: "#2ca02c", 10_000: "#ff7f0e", 50_000: "#d62728"}
    for row, regime in enumerate(regimes):
        for space, axis in zip(("classifier", "other"), axes[row], strict=True):
            for run in runs_of(found, regime, ["classifier"]):
                if run["seed"] or run["memory"] != "queue":
                    continue
                covered = f"last {run['population']:,}" if run["population"] else "batch alone"
                values = [point[space]["value"] for point in run["curve"]]
                colour = shades.get(run["population"], "0.6")
                steps = [point["step"] for point in run["curve"]]
                axis.plot(steps, values, "-o", color=colour, markersize=3, linewidth=1, label=covered)
            tidy(axis)
            axis.set_title(f"{TITLES[space]}, {regime}", fontsize=9)
            axis.set_xlabel("steps", fontsize=8)
        axes[row][0].set_ylabel("Fréchet distance, 2,000 images", fontsize=8)
    axes[0][0].legend(fontsize=8, frameon=False)
    return figure


def tidy(axis: Axes) -> None:
    axis.set_yscale("symlog", linthresh=0.1)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)


def sheet(rows: list[torch.Tensor], zoom: int = 2, gap: int = 2) -> NDArray[np.uint8]:
    """One row a set; a column has the same noise and class in each: what a run changed is seen from top to bottom."""
    cell = 28 * zoom + gap
    out = np.full((len(rows) * cell + gap, COLUMNS * cell + gap), 255, np.uint8)
    for row, images in enumerate(rows):
        for column, image in enumerate(images[:COLUMNS, 0].numpy()):
            large = image.repeat(zoom, 0).repeat(zoom, 1)
            top, left = row * cell + gap, column * cell + gap
            out[top : top + len(large), left : left + len(large)] = large
    return out


def shown(found: dict[str, Any]) -> list[str]:
    """The images' rows, by the names of their files."""
    few, *more = found["settings"]["regimes"]
    names = [
        f"{few} | classifier: {covered} | seed 0" for covered in ("batch alone", "queue 1000", "queue 50000")
    ]
    names += [f"{regime} | classifier: queue 10000 | seed 0" for regime in more]
    names += [
        f"{few} | {spaces}: queue 1000 | seed 0" for spaces in ("autoencoder", "classifier+autoencoder")
    ]
    return ["base", *(name for name in names if name in found["runs"])]


def cell(numbers: dict[str, float], digits: int = 2) -> str:
    value, low, high = (round(numbers[key], digits) + 0.0 for key in ("value", "low", "high"))
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def distances_table(found: dict[str, Any]) -> str:
    """Every run, with what was there before and what real training images reach."""
    lines = [
        "| images in the statistic | seed | " + " | ".join(SPACES) + " |",
        "|---" * (2 + len(SPACES)) + "|",
    ]
    for name, one in found["sets"].items():
        lines.append(f"| *{name}* | | " + " | ".join(cell(one[s]["frechet_distance"]) for s in SPACES) + " |")
    for name, run in found["runs"].items():
        what, arm, _ = name.split(" | ")
        numbers = " | ".join(cell(run[s]["frechet_distance"]) for s in SPACES)
        lines.append(f"| {what}, {arm} | {run['seed']} | {numbers} |")
    return "\n".join(lines)


def others_table(found: dict[str, Any]) -> str:
    """Kernel distance (in thousandths), precision and recall in the untrained space, and classes; first seeds."""
    lines = ["| | kernel distance, 1/1000 | precision | recall | class as asked |", "|---|---|---|---|---|"]
    for name, one in (*found["sets"].items(), *found["runs"].items()):
        if one.get("seed", 0):
            continue
        kernel = {key: 1000 * number for key, number in one["other"]["kernel_distance"].items()}
        near = " | ".join(cell(one["other"][key]) for key in ("precision", "recall"))
        asked = f"{100 * one['asked_class']:.1f}%" if "asked_class" in one else ""
        lines.append(
            f"| {name.removesuffix(' | seed 0').replace(' |', ',')} | {cell(kernel, 1)} | {near} | {asked} |"
        )
    return "\n".join(lines)


def filled(page: str, name: str, made: str) -> str:
    """The page with this between its two marks."""
    before, rest = page.split(f"<!-- made: {name} -->\n")
    _, after = rest.split("<!-- /made -->", 1)
    return f"{before}<!-- made: {name} -->\n{made}\n<!-- /made -->{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--found", type=Path, default=Path(__file__).with_name("post_training.json"))
    parser.add_argument("--keep", type=Path, required=True, help="the folder given to post_training.py")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "studies")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "examples"))
    from image_zip import png, replace_file

    found = json.loads(arguments.found.read_text())
    arguments.out.mkdir(parents=True, exist_ok=True)
    by_population(found).savefig(arguments.out / "post_training_populations.png", dpi=DPI)
    by_step(found).savefig(arguments.out / "post_training_steps.png", dpi=DPI)
    names = shown(found)
    images = [torch.load(arguments.keep / f"images {name}.pt") for name in names]
    replace_file(arguments.out / "post_training_samples.png", png(sheet(images)))
    rows = "\n".join(f"{i + 1}. {name.replace(' |', ',')}" for i, name in enumerate(names))
    page = arguments.out / "post-training.md"
    text = page.read_text()
    for name, made in (
        ("rows", rows),
        ("distances", distances_table(found)),
        ("others", others_table(found)),
    ):
        text = filled(text, name, made)
    replace_file(page, text.encode())


if __name__ == "__main__":
    main()
