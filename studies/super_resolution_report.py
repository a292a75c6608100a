"""The tables and the picture of docs/studies/super-resolution.md, from studies/super_resolution.json.

python studies/super_resolution_report.py                       prints the tables
python studies/super_resolution_report.py --write               puts them into the page
python studies/super_resolution_report.py --picture FOLDER      draws, from the networks that super_resolution.py kept
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOUND = Path(__file__).with_name("super_resolution.json")
DOCS = Path(__file__).parents[1] / "docs" / "studies"
PAGE = DOCS / "super-resolution.md"
Found = dict[str, Any]
COLUMNS = ("psnr", "ms_ssim", "gmsd", "vif", "radial_spectrum_error", "efficientnet_lite0_distance",
           "efficientnet_lite2_distance", "brisque")  # fmt: skip
SHOWN = ("chelsea", "astronaut", "coffee")
DETAIL = 60  # pixels of a side, drawn twice as large
ARROW = {"max": "↑", "min": "↓"}


def number(value: float, signed: bool = False) -> str:
    """Three digits that count."""
    places = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:{'+' if signed else ''}.{min(places, 7)}f}"


def first(found: Found) -> Found:
    summed: Found = found["seeds"]["seed 0"]
    return summed


def arms(found: Found) -> list[str]:
    return list(found["settings"]["arms"])


def means_table(found: Found) -> str:
    """Every model by every measure, with the half-width of the interval; the best objective bold, kin marked."""
    models = ["bicubic", *arms(found)]
    out = [f"| | {' | '.join(models)} |", "|---" * (len(models) + 1) + "|"]
    of = first(found)["means"]
    for name, judge in found["judges"].items():
        cells = []
        best = (max if judge["best"] == "max" else min)(arms(found), key=lambda m: of[m][name]["value"])
        for m in models:
            one = of[m][name]
            text = f"{number(one['value'])} ± {number((one['high'] - one['low']) / 2)}"
            cells.append((f"**{text}**" if m == best else text) + ("\\*" if m in judge["kin"] else ""))
        out.append(f"| `{name}` {ARROW[judge['best']]} | {' | '.join(cells)} |")
    ratios = [f"{number(of[m]['variation_ratio']['value'])}" for m in models]
    out.append(f"| total variation / target's | {' | '.join(ratios)} |")
    return "\n".join(out)


def sign_of(one: Found, best: str) -> int:
    """1 better, -1 worse, 0 where the interval holds 0."""
    if one["low"] <= 0 <= one["high"]:
        return 0
    return 1 if (one["low"] > 0) == (best == "max") else -1


def difference_cell(found: Found, seed: str, model: str, name: str) -> str:
    """A model less L1; bold where better, italic where worse, plain where the interval holds 0."""
    judge, one = found["judges"][name], found["seeds"][seed]["differences"][model][name]
    text = f"{number(one['value'], True)} [{number(one['low'], True)}, {number(one['high'], True)}]"
    mark = {1: "**", -1: "*", 0: ""}[sign_of(one, judge["best"])]
    return f"{mark}{text}{mark}" + ("\\*" if model in judge["kin"] else "") + f" ({one['better_on']})"


def differences_table(found: Found) -> str:
    """Each model beside L1, of the first seed."""
    models = ["bicubic", *(m for m in arms(found) if m != "L1")]
    out = [f"| | {' | '.join(models)} |", "|---" * (len(models) + 1) + "|"]
    for name, judge in found["judges"].items():
        cells = [difference_cell(found, "seed 0", m, name) for m in models]
        out.append(f"| `{name}` {ARROW[judge['best']]} | {' | '.join(cells)} |")
    return "\n".join(out)


def again_table(found: Found) -> str:
    """The last arm that was trained with every seed, beside L1."""
    model, seeds = found["settings"]["again"][-1], list(found["seeds"])
    heads = [f"{model}, {seed}" for seed in seeds]
    out = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, judge in found["judges"].items():
        cells = [difference_cell(found, seed, model, name) for seed in seeds]
        out.append(f"| `{name}` {ARROW[judge['best']]} | {' | '.join(cells)} |")
    return "\n".join(out)


def wins_table(found: Found) -> str:
    """Of how many photographs each objective is the best."""
    out = [f"| | {' | '.join(arms(found))} |", "|---" * (len(arms(found)) + 1) + "|"]
    for name, wins in first(found)["wins"].items():
        kin = found["judges"][name]["kin"]
        most = max(wins.values())
        cells = [
            (f"**{wins[m]}**" if wins[m] == most else str(wins[m])) + ("\\*" if m in kin else "")
            for m in arms(found)
        ]
        out.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(out)


def agreement_table(found: Found) -> str:
    """Spearman's correlation of the orders of the objectives, the mean over photographs."""
    matrix = first(found)["agreement"]
    columns = [c for c in COLUMNS if c in matrix]
    out = [f"| | {' | '.join(f'`{c}`' for c in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in matrix.items():
        cells = ["" if name == c else f"{row[c]:+.2f}" for c in columns]
        out.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(out)


def wave_table(found: Found) -> str:
    """What a wave added to bicubic interpolation does to some measures."""
    names = list(next(iter(found["wave"].values())))
    heads = [f"`{n}`" if "," not in n else "`{}`, {}".format(*n.split(", ")) for n in names]
    out = [f"| amplitude | {' | '.join(heads)} |", "|---" * (len(names) + 1) + "|"]
    for amplitude, of in found["wave"].items():
        out.append(f"| {amplitude} | {' | '.join(number(of[n]) for n in names)} |")
    return "\n".join(out)


def tables(found: Found) -> dict[str, str]:
    return {
        "means": means_table(found),
        "differences": differences_table(found),
        "again": again_table(found),
        "wins": wins_table(found),
        "agreement": agreement_table(found),
        "wave": wave_table(found),
    }


def written_into(page: str, made: dict[str, str]) -> str:
    """The page with each table between its marks."""
    for name, table in made.items():
        mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- /made -->)", re.DOTALL)
        page, count = mark.subn(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", page)  # type: ignore[misc]
        assert count == 1, f"the page has {count} places for the table {name!r}, expected one"
    return page


def busiest(image: torch.Tensor, side: int) -> tuple[int, int]:
    """The corner of the square of most variation."""
    change = image.diff(dim=-1)[..., 1:, :].abs() + image.diff(dim=-2)[..., 1:].abs()
    sums = torch.nn.functional.avg_pool2d(change.sum(0)[None, None], side - 1, stride=8)[0, 0]
    place = int(sums.argmax())
    return 8 * (place // sums.shape[1]), 8 * (place % sums.shape[1])


def picture(found: Found, folder: Path) -> Any:
    """A row a photograph: target, bicubic, and each objective; the busiest detail of the first tested crop."""
    from matplotlib.figure import Figure
    from super_resolution_judge import tested_crops
    from super_resolution_training import FOLDS, Upscaler, bicubic, in_8_bits, shrunk

    columns = ["target", "bicubic", *arms(found)]
    inch, dpi = 2 * DETAIL / 96, 96
    figure = Figure(figsize=(len(columns) * (inch + 0.04), len(SHOWN) * (inch + 0.04) + 0.22), dpi=dpi)
    axes = figure.subplots(len(SHOWN), len(columns), squeeze=False)
    figure.subplots_adjust(0.002, 0.002, 0.998, 1 - 0.22 / figure.get_figheight(), 0.03, 0.03)
    for place, name in enumerate(SHOWN):
        fold = next(k for k, names in enumerate(FOLDS) if name in names)
        target = tested_crops(name, found["settings"]["tested"], 1)
        top, left = busiest(target[0], DETAIL)
        for axis, column in zip(axes[place], columns, strict=True):
            if column in ("target", "bicubic"):
                shown = target if column == "target" else in_8_bits(bicubic(shrunk(target)))
            else:
                network = Upscaler()
                network.load_state_dict(
                    torch.load(folder / f"fold {fold} seed 0 {column}.pt", weights_only=True)["state"]
                )
                with torch.no_grad():
                    shown = in_8_bits(network(shrunk(target)))
            axis.imshow(shown[0, :, top : top + DETAIL, left : left + DETAIL].permute(1, 2, 0).numpy(),
                        interpolation="nearest")  # fmt: skip
            axis.set_axis_off()
            if place == 0:
                axis.set_title(column, fontsize=9, pad=3)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--picture", type=Path, help="the folder of the networks")
    parser.add_argument("--found", type=Path, default=FOUND)
    arguments = parser.parse_args()
    found = json.loads(arguments.found.read_text())
    if arguments.picture:
        picture(found, arguments.picture).savefig(
            DOCS / "super_resolution_crops.png", pil_kwargs={"optimize": True}
        )
    elif arguments.write:
        PAGE.write_text(written_into(PAGE.read_text(), tables(found)))
    else:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in tables(found).items()))


if __name__ == "__main__":
    main()
