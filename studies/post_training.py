"""Does minimising the Fréchet distance make a generator better, in other eyes than those it was trained with?

A small one-step generator of Fashion-MNIST, trained against a critic, is trained on with the Fréchet distance to the
training images as its only loss (Yang et al. 2026, arXiv:2604.28190), in the features of a classifier (`classifier`),
of a denoising autoencoder (`autoencoder`), or of both. The statistic covers the batch alone or a population: the last
256 to 50,000 images ("queue") or fading counts of that weight ("ema"), as in their Table 1. Two regimes: few steps at a
high learning rate, and many at a low one.

Judged on the 10,000 test images, which no network here was trained on, in both spaces and in a third that nothing is
minimised in (`other`: a classifier of another architecture, trained on moved images), and in EfficientNet-Lite0's.

    python studies/post_training.py --keep FOLDER      resumes where it stopped

The folder keeps the networks and some images of each run; `post_training_pictures.py` draws them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from post_training_judge import (
    asked_class,
    changed,
    in_photograph_space,
    judged,
    numbers,
    photograph_features,
)
from post_training_networks import Generator
from post_training_runs import Arm, drawn, features_of, post_trained
from post_training_start import TRAINED, Data, load, networks
from torch import Tensor

import assay
from assay.statistics import Moments
from assay.written_whole import written_whole

SHOWN = 80  # images of each run that are kept


@dataclass(frozen=True)
class Regime:
    steps: int
    rate: float
    seeds: int


@dataclass(frozen=True)
class Scale:
    """`few`: images a side for precision and recall, twice as many for the kernel distance. `photographs`: images that
    EfficientNet-Lite0 is shown of each set, 0 for none."""

    regimes: dict[str, Regime]
    populations: tuple[int, ...]
    first: int = 1500  # steps against the critic
    fitting: int = 700  # steps of each space
    batch: int = 128
    judged: int = 10_000
    looked: int = 2_000
    few: int = 1_500
    photographs: int = 500
    real: int | None = None  # real images of each split that are used, None for all


POPULATIONS = (256, 1_000, 10_000, 50_000)
SCALES = {
    "toy": Scale({"few steps": Regime(2, 1e-4, 1)}, (64, 200), 2, 2, 32, 300, 150, 100, 0, 400),
    "small": Scale({"few steps": Regime(250, 1e-4, 2), "many steps": Regime(800, 1e-5, 1)}, POPULATIONS),
    "large": Scale(
        {"few steps": Regime(2_000, 1e-4, 3), "many steps": Regime(20_000, 1e-5, 3)},
        POPULATIONS,
        first=20_000,
        fitting=5_000,
        batch=256,
        few=5_000,
        photographs=5_000,
    ),
}


def pieces(scale: Scale) -> Iterator[tuple[str, Arm, int]]:
    """(regime, arm, seed), every arm before one comes twice; the second space and both in the first regime only."""
    one, middle = TRAINED[:1], scale.populations[min(1, len(scale.populations) - 1)]
    arms = [Arm(one, None)] + [Arm(one, n) for n in scale.populations]
    arms += [Arm(one, n, "ema") for n in scale.populations[1:]]
    others = [Arm(TRAINED[1:], None), Arm(TRAINED[1:], middle), Arm(TRAINED, None), Arm(TRAINED, middle)]
    first = next(iter(scale.regimes))
    for seed in range(max(regime.seeds for regime in scale.regimes.values())):
        for name, regime in scale.regimes.items():
            if seed < regime.seeds:
                yield from ((name, arm, seed) for arm in [*arms, *(others if name == first else [])])


def keep(found: dict[str, Any], path: Path) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")


def started(scale: Scale, device: torch.device, path: Path) -> dict[str, Any]:
    """What the file holds, where it was made with these settings; else an empty start."""
    settings = json.loads(json.dumps({**asdict(scale), "device": str(device)}))
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        if found["settings"] == settings:
            return found
        raise SystemExit(f"{path} was made with other settings; give another --out, or remove it")
    machine = {
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.machine(),
        "python": platform.python_version(), "torch": torch.__version__, "assay": assay.__version__,
    }  # fmt: skip
    return {
        "settings": settings,
        "machine": machine,
        "networks": {},
        "sets": {},
        "runs": {},
        "photographs": {},
    }


def study(scale: Scale, data: Data, folder: Path, path: Path) -> dict[str, Any]:
    """Everything that is not in the file yet; the file is written after each piece."""
    device = data.train[0].device
    found = started(scale, device, path)
    base, spaces, classify, found["networks"] = networks(
        data, folder, first=scale.first, fitting=scale.fitting
    )
    references = {name: Moments.of(features_of(spaces[name], data.train[0])) for name in TRAINED}
    real = {name: features_of(space, data.test[0]) for name, space in spaces.items()}

    def seen(images: Tensor) -> dict[str, Tensor]:
        return {name: features_of(space, images) for name, space in spaces.items()}

    images, classes = drawn(base, scale.judged, 1, device)
    before = seen(images)
    torch.save(images[:SHOWN].cpu(), folder / "images base.pt")
    if not found["sets"]:
        order = torch.randperm(len(data.train[0]), generator=torch.Generator().manual_seed(0))[: scale.judged]
        found["sets"] = {
            "training images": judged(seen(data.train[0][order.to(device)]), real, scale.few),
            "base": {
                **judged(before, real, scale.few),
                "asked_class": asked_class(classify, images, classes),
            },
        }
        keep(found, path)
    for regime, arm, seed in pieces(scale):
        name = f"{regime} | {arm} | seed {seed}"
        if name in found["runs"]:
            continue
        curve: list[dict[str, Any]] = []

        def look(step: int, generator: Generator, curve: list[dict[str, Any]] = curve) -> None:
            some = drawn(generator, scale.looked, 2, device)[0]
            curve.append({
                "step": step,
                **{n: numbers(assay.frechet_distance.estimate(real[n], features_of(spaces[n], some))) for n in spaces},
            })  # fmt: skip

        plan, start = scale.regimes[regime], time.process_time()
        generator = post_trained(
            base, arm, spaces, references,
            steps=plan.steps, batch=scale.batch, rate=plan.rate, seed=seed + 100, look=look,
        )  # fmt: skip
        seconds = time.process_time() - start
        images, classes = drawn(generator, scale.judged, 1, device)
        after = seen(images)
        found["runs"][name] = {
            "regime": regime, "spaces": list(arm.spaces), "population": arm.population, "memory": arm.memory,
            "seed": seed, "steps": plan.steps, "rate": plan.rate, "seconds": round(seconds, 1), "curve": curve,
            "asked_class": asked_class(classify, images, classes),
            "change": {n: changed(real[n], before[n], after[n]) for n in spaces},
            **judged(after, real, scale.few),
        }  # fmt: skip
        torch.save(images[: max(SHOWN, scale.photographs)].cpu(), folder / f"images {name}.pt")
        keep(found, path)
        shown = "  ".join(f"{n} {found['runs'][name][n]['frechet_distance']['value']:.3f}" for n in spaces)
        print(f"{name:52} {shown}  {seconds:.0f} s", flush=True)
    if scale.photographs:
        photographs(scale, data, base, folder, found)
        keep(found, path)
    return found


def photographs(scale: Scale, data: Data, base: Generator, folder: Path, found: dict[str, Any]) -> None:
    """The kernel distance in EfficientNet-Lite0's features, of the first regime's first seed."""
    device, n = data.train[0].device, scale.photographs
    real = photograph_features(data.test[0][:n], str(device))
    sets = {"training images": data.train[0][:n], "base": drawn(base, n, 1, device)[0]}
    first = next(iter(scale.regimes))
    middle = scale.populations[min(1, len(scale.populations) - 1)]
    for name, run in found["runs"].items():
        if (
            run["regime"] == first
            and run["seed"] == 0
            and run["population"] in (None, middle)
            and run["memory"] == "queue"
        ):
            sets[name] = torch.load(folder / f"images {name}.pt")[:n]
    for name, images in sets.items():
        if name not in found["photographs"]:
            found["photographs"][name] = in_photograph_space(real, photograph_features(images, str(device)))
            print(f"{name:52} EfficientNet-Lite0 {found['photographs'][name]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path, help="a folder with the four files of Fashion-MNIST")
    parser.add_argument(
        "--keep", type=Path, required=True, help="a folder for the networks and images of each run"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    scale = SCALES[arguments.scale]
    data = load(arguments.data, torch.device(arguments.device), scale.real)
    study(scale, data, arguments.keep, arguments.out)


if __name__ == "__main__":
    main()
