"""The tables and the picture of docs/studies/distortion-order.md, from distortion_order.json.

python studies/distortion_order_report.py        writes them; --show prints them
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distortion_order_images import DISTORTIONS, as_image, at_psnr, photographs
from PIL import Image, ImageDraw

FOUND = Path(__file__).with_name("distortion_order.json")
PAGE = Path(__file__).parents[1] / "docs" / "studies" / "distortion-order.md"
SHADES = 5
DARKEST = 15.0  # decibels
SHOWN = "coffee"


def distortions(found: dict[str, Any]) -> str:
    out = ["| distortion | strength | from weak to strong | PSNR, mean, dB |", "|---|---|---|---|"]
    for each in DISTORTIONS:
        if each.name in found["psnr"]:
            strengths = ", ".join(f"{strength:.3g}" for strength in each.strengths)
            levels = ", ".join(f"{level:.0f}" for level in found["psnr"][each.name])
            out.append(f"| {each.name} | {each.what} | {strengths} | {levels} |")
    return "\n".join(out)


def shade(share: float) -> int:
    return min(SHADES, round(share * SHADES))


def heat(rows: list[tuple[str, list[tuple[str, str]]]], heads: list[str]) -> str:
    """A table of (text, class) cells."""
    titles = "".join(f"<th>{head}</th>" for head in ["", *heads])
    out = ['<table class="heat">', f"<tr>{titles}</tr>"]
    for name, cells in rows:
        told = "".join(
            f'<td class="{kind}">{text}</td>' if kind else f"<td>{text}</td>" for text, kind in cells
        )
        out.append(f"<tr><td>{name}</td>{told}</tr>")
    return "\n".join([*out, "</table>"])


def by(found: dict[str, Any], key: Callable[[dict[str, Any]], float]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(found["measures"].items(), key=lambda item: (key(item[1]), item[0]))


def interval(numbers: list[float], digits: int) -> str:
    value, low, high = (f"{x:.{digits}f}" for x in numbers)
    return f"{value} [{low}, {high}]"


def order(found: dict[str, Any]) -> str:
    rows = []
    for name, m in by(found, lambda m: -m["order"][0]):
        cells = [(interval(m["order"], 2), ""), (f"{m['steps'][0]:.2f}", "")]
        for distortion in found["psnr"]:
            if distortion not in m["of"]:
                cells.append(("", ""))
                continue
            tau = m["of"][distortion]["order"][0]
            level = shade(1 - tau)
            cells.append(("1" if tau >= 0.995 else f"{tau:.2f}", f"low{level}" if level else ""))
        rows.append((name, cells))
    return heat(rows, ["all", "steps", *found["psnr"]])


def meaning(found: dict[str, Any]) -> str:
    known = [name for name in found["psnr"] if name != "noise"]
    rows = []
    for name, m in by(found, lambda m: m.get("spread", [0.0])[0]):
        cells = [(interval(m["spread"], 1) if "spread" in m else "", "")]
        for distortion in known:
            numbers = m["of"].get(distortion, {}).get("decibels")
            if numbers is None:
                cells.append(("", ""))
                continue
            level = shade(abs(numbers[0]) / DARKEST)
            kind = ("high" if numbers[0] > 0 else "low") + str(level)
            cells.append((f"{numbers[0]:+.0f}".replace("-0", "0").replace("+0", "0"), kind if level else ""))
        rows.append((name, cells))
    return heat(rows, ["spread, dB", *known])


def counted(found: dict[str, Any]) -> str:
    """Of how many photographs each distortion's column of `meaning` is."""
    any_measure = next(iter(found["measures"].values()))
    return ", ".join(
        f"{name} {of['photographs']}" for name, of in any_measure["of"].items() if name != "noise"
    )


def alike(found: dict[str, Any]) -> Image.Image:
    """One photograph under every distortion, all of one PSNR."""
    names = list(found["psnr"])
    side, rows = found["settings"]["side"], 2
    every = photographs(side)
    pixels, seed = every[SHOWN], list(every).index(SHOWN)
    columns = -(-len(names) // rows)
    sheet = Image.new("RGB", (columns * (side + 6), rows * (side + 22)), "white")
    draw = ImageDraw.Draw(sheet)
    for k, each in enumerate(each for each in DISTORTIONS if each.name in names):
        image = at_psnr(pixels, each, found["settings"]["psnr"], seed, found["settings"]["within"])
        left, top = k % columns * (side + 6), k // columns * (side + 22)
        draw.text((left + 2, top + 4), each.name, fill="black")
        if image is not None:
            sheet.paste(as_image(image), (left, top + 18))
    return sheet


def tables(found: dict[str, Any]) -> dict[str, str]:
    return {each.__name__: each(found) for each in (distortions, order, meaning, counted)}


def written_into(page: str, made: dict[str, str]) -> str:
    """The page with the tables in their marked places."""
    for name, table in made.items():
        mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- /made -->)", re.DOTALL)
        page, count = mark.subn(lambda at, table=table: f"{at[1]}\n{table}\n\n{at[2]}", page)  # type: ignore[misc]
        assert count == 1, f"the page has {count} places for the table {name!r}, expected one"
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true")
    found = json.loads(FOUND.read_text())
    made = tables(found)
    if parser.parse_args().show:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in made.items()))
        return
    PAGE.write_text(written_into(PAGE.read_text(), made))
    alike(found).save(PAGE.with_name("distortion_order_alike.jpg"), quality=88)


if __name__ == "__main__":
    main()
