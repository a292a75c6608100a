"""Does a measure's order follow a distortion's strength, and does a value mean the same under another distortion?

Ten photographs that scikit-image and scikit-learn ship, fourteen distortions at five strengths each
(`distortion_order_images.py`), every measure of `assay.images` that compares two RGB images with its default options:

* **order**: Kendall's tau of the value and the strength, and the share of neighbouring strengths in the right order.
  Values no worse than those of an image with nothing but the noise of rounding to 8 bits count as equal.
* **meaning**: each distortion at the strength that gives one and the same PSNR. The value is held against the curve
  of white noise: how many decibels stronger or weaker is the noise that the measure finds as bad?

Means are over photographs, with intervals by photograph.

    python studies/distortion_order.py --keep FOLDER       resumes where it stopped

The folder keeps the values of each photograph; `distortion_order_report.py` writes the tables into the page.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from distortion_order_images import (
    DISTORTIONS,
    PHOTOGRAPHS,
    Pixels,
    at_psnr,
    distorted,
    inner,
    noise,
    photographs,
    psnr,
)
from torch import Tensor

import assay
import assay.images
from assay.errors import MissingExtra, UsageError
from assay.pairs import PairMeasure, pair_measure
from assay.written_whole import written_whole

# rooms whose measures do not compare two photographs in colour
OTHER_TOPICS = ("depth", "masks", "coding", "text")
SIDE_OF = {"linear_prediction_distance": 48}  # it solves a system of equations a pixel
SPARSE = ("blocks",)  # which a middle of that size may miss
AT_ONCE = 12
STRONGEST = 0.32  # deviation of the last noise of the curve


@dataclass(frozen=True)
class Scale:
    side: int = 176
    photographs: tuple[str, ...] = tuple(name.split(".")[0] for name in PHOTOGRAPHS)
    distortions: tuple[str, ...] = tuple(each.name for each in DISTORTIONS)
    measures: tuple[str, ...] | None = None  # all
    psnr: float = 28.0
    within: float = 0.5  # decibels


SCALES = {
    "toy": Scale(
        64, ("coffee", "china"), ("noise", "bright"), ("psnr", "mean_absolute_error", "ssim", "gmsd")
    ),
    "full": Scale(),
}


@pair_measure(domain="any", best="max", lower=-1.0, upper=1.0, reference="Kendall 1938, tau a")
def order_followed(strength: Tensor, value: Tensor) -> Tensor:
    """Kendall's tau over the last axis of (B, ..., S), averaged over the axes between; ties count 0."""
    first, second = torch.triu_indices(value.shape[-1], value.shape[-1], 1)
    signs = [(x[..., second] - x[..., first]).sign() for x in (strength, value)]
    return (signs[0] * signs[1]).flatten(1).mean(1)


@pair_measure(domain="any", best="max", lower=0.0, upper=1.0, reference="here")
def steps_followed(strength: Tensor, value: Tensor) -> Tensor:
    """The share of steps between neighbours on the last axis of (B, ..., S) that go the same way, averaged."""
    return ((strength.diff() * value.diff()) > 0).flatten(1).to(value.dtype).mean(1)


@pair_measure(domain="any", best="min", reference="here")
def mean_of(value: Tensor) -> Tensor:
    return value.reshape(len(value), -1).mean(1)


@lru_cache
def measures(wanted: tuple[str, ...] | None = None) -> dict[str, PairMeasure]:
    """Those of two RGB images that need nothing beside, and BRISQUE where its model is installed."""
    found: dict[str, PairMeasure] = {}
    small = torch.rand(2, 3, 176, 176, generator=torch.Generator().manual_seed(0))
    for topic in pkgutil.iter_modules(assay.images.__path__):
        module = importlib.import_module(f"assay.images.{topic.name}")
        for name in getattr(module, "__all__", ()) if topic.name not in OTHER_TOPICS else ():
            each = getattr(module, name)
            if not isinstance(each, PairMeasure) or (wanted and each.name not in wanted):
                continue
            if each.domain == "images" and len(each.members) == 2:
                try:
                    values_of(each, small[:1], small[1:])
                except (UsageError, MissingExtra):  # it wants a network
                    continue
                found[each.name] = each
    try:
        if not wanted or "brisque" in wanted:
            found["brisque"] = assay.images.brisque.with_options(model=assay.images.brisque_model())
    except (UsageError, MissingExtra):
        pass
    return {name: found[name] for name in sorted(found)}


def tensor(images: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().contiguous()


def values_of(measure: PairMeasure, images: Tensor, target: Tensor) -> list[float]:
    """One value an image, few at a time, in six digits."""
    side = SIDE_OF.get(measure.name, target.shape[-1])
    start = (target.shape[-1] - side) // 2
    at = (..., slice(start, start + side), slice(start, start + side))
    found: list[float] = []
    with torch.inference_mode():
        for chunk in images.split(AT_ONCE):  # type: ignore[no-untyped-call]
            members = (
                (chunk[at],) if len(measure.members) == 1 else (chunk[at], target[at].expand_as(chunk[at]))
            )
            found += measure(*members).tolist()
    return [float(f"{value:.7g}") for value in found]


def shown_images(pixels: Pixels, seed: int, scale: Scale) -> tuple[list[tuple[str, float]], list[Pixels]]:
    """(what, strength) and the image of everything that is measured of one photograph."""
    target = inner(pixels)
    rounding = np.random.default_rng(seed).uniform(-0.5, 0.5, target.shape) / 255
    rows, images = [("target", 0.0), ("rounding", 0.0)], [target, np.clip(target + rounding, 0, 1)]
    rows.append(("strongest", STRONGEST))
    images.append(np.clip(noise(target, STRONGEST, np.random.default_rng(seed)), 0, 1))
    for each in DISTORTIONS:
        if each.name not in scale.distortions:
            continue
        for strength in each.strengths:
            rows.append((each.name, strength))
            images.append(distorted(pixels, each, strength, seed))
        alike = at_psnr(pixels, each, scale.psnr, seed, scale.within)
        if alike is not None:
            rows.append((f"{each.name} alike", psnr(alike, target)))
            images.append(alike)
    return rows, images


def of_photograph(name: str, pixels: Pixels, seed: int, scale: Scale, path: Path) -> dict[str, Any]:
    """The values of every measure of one photograph; the file is written after each measure."""
    rows, images = shown_images(pixels, seed, scale)
    found: dict[str, Any] = {
        "rows": rows,
        "psnr": [psnr(x, images[0]) for x in images],
        "values": {},
        "seconds": {},
    }
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["rows"] != json.loads(json.dumps(rows)):
            raise SystemExit(f"{path} was made with other settings; give another --keep, or remove it")
        found = kept
    stacked = tensor(images)
    for measure in measures(scale.measures).values():
        if measure.name in found["values"]:
            continue
        start = time.process_time()
        found["values"][measure.name] = values_of(measure, stacked, stacked[:1])
        found["seconds"][measure.name] = round((time.process_time() - start) / len(images), 5)
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(found) + "\n")
    print(f"{name:20} {sum(found['seconds'].values()) * len(images):.0f} s", flush=True)
    return found


def badness(kept: Mapping[str, Any], measure: PairMeasure) -> dict[str, list[float]]:
    """What -> values, larger for worse, by strength; no better than rounding alone makes it."""
    sign = 1 if measure.best == "min" else -1
    values = [sign * value for value in kept["values"][measure.name]]
    floor = values[1] if len(measure.members) > 1 else -np.inf
    found: dict[str, list[float]] = {}
    for (what, _), value in zip(kept["rows"], values, strict=True):
        found.setdefault(what, []).append(max(value, floor))
    return found


def decibels(worse: Mapping[str, list[float]], kept: Mapping[str, Any], distortion: str) -> float | None:
    """PSNR of the white noise that is as bad, minus the image's own: above 0 where the measure is lenient."""
    at = {
        what: [p for (w, _), p in zip(kept["rows"], kept["psnr"], strict=True) if w == what] for what in worse
    }
    name = f"{distortion} alike"
    if name not in worse:
        return None
    curve = np.maximum.accumulate(worse["rounding"] + worse["noise"] + worse["strongest"])
    levels = at["rounding"] + at["noise"] + at["strongest"]
    alike: float = at[name][0]
    return float(np.interp(worse[name][0], curve, levels)) - alike


def numbers(estimate: assay.Estimate) -> list[float]:
    return [round(x, 3) for x in (estimate.value, estimate.low, estimate.high)]


def summary(kept: Mapping[str, Mapping[str, Any]], measure: PairMeasure, scale: Scale) -> dict[str, Any]:
    worse = {name: badness(each, measure) for name, each in kept.items()}
    seen = [d for d in scale.distortions if measure.name not in SIDE_OF or d not in SPARSE]
    values = torch.tensor([[w[d] for d in seen] for w in worse.values()], dtype=torch.float64)
    strength = torch.arange(values.shape[-1], dtype=torch.float64).expand_as(values)
    raw = [each["values"][measure.name] for each in kept.values()]
    first = [min(v) if measure.best == "min" else max(v) for v in raw]
    found: dict[str, Any] = {
        "best": measure.best,
        "order": numbers(order_followed.estimate(strength, values)),
        "steps": numbers(steps_followed.estimate(strength, values)),
        "best_at_zero": sum(v[0] == f for v, f in zip(raw, first, strict=True)),
        "seconds": round(float(np.median([each["seconds"][measure.name] for each in kept.values()])), 4),
        "of": {},
    }
    lenient: dict[str, list[float]] = {}
    for k, name in enumerate(seen):
        row = {"order": numbers(order_followed.estimate(strength[:, k], values[:, k]))}
        row["steps"] = numbers(steps_followed.estimate(strength[:, k], values[:, k]))
        apart = {p: decibels(worse[p], kept[p], name) for p in kept}
        known = [value for value in apart.values() if value is not None]
        for p, value in apart.items():
            if value is not None and name != "noise":
                lenient.setdefault(p, []).append(value)
        if len(known) > 1:
            row["decibels"] = numbers(mean_of.estimate(torch.tensor(known)))
        found["of"][name] = {**row, "photographs": len(known)}
    spread = [float(np.std(each, ddof=1)) for each in lenient.values() if len(each) > 1]
    if len(spread) > 1:
        found["spread"] = numbers(mean_of.estimate(torch.tensor(spread)))
    return found


def mean_psnr(kept: Iterable[Mapping[str, Any]], scale: Scale) -> dict[str, list[float]]:
    """Of each distortion at each strength, over photographs."""
    found = {}
    for name in scale.distortions:
        each = [[p for (w, _), p in zip(k["rows"], k["psnr"], strict=True) if w == name] for k in kept]
        found[name] = [round(float(level), 1) for level in np.mean(each, axis=0)]
    return found


def study(scale: Scale, folder: Path, path: Path) -> dict[str, Any]:
    kept = {}
    for seed, (name, pixels) in enumerate(photographs(scale.side).items()):
        if name in scale.photographs:
            kept[name] = of_photograph(name, pixels, seed, scale, folder / f"{name}.json")
    found: dict[str, Any] = {
        "settings": asdict(scale),
        "machine": {"processor": platform.machine(), "torch": torch.__version__, "assay": assay.__version__},
        "psnr": mean_psnr(kept.values(), scale),
        "measures": {
            name: summary(kept, measure, scale) for name, measure in measures(scale.measures).items()
        },
    }
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="full")
    parser.add_argument("--keep", type=Path, required=True, help="a folder for the values of each photograph")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    study(SCALES[arguments.scale], arguments.keep, arguments.out)


if __name__ == "__main__":
    main()
