"""Which objective wins which measure? One small network for super-resolution, trained once per objective.

Photographs that scikit-learn and scikit-image carry are shrunk by 4 and restored by a network of 70,256 parameters:
bicubic interpolation and what eight convolutions add. It is trained with L1 first; from there once each with L1,
MS-SSIM, a perceptual distance (EfficientNet-Lite0), a frequency distance (focal) and their sum (`assay.total`,
gradients of one size), on the same batches. Every photograph is tested once, by networks that were trained on others:
two folds of five. Every restored image is judged by every measure.

    python studies/super_resolution.py --keep FOLDER      resumes where it stopped

The folder keeps the networks; `super_resolution_report.py` makes the tables and the picture.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from super_resolution_judge import Found, Judge, judges, summed_up, tested_crops, under_a_wave, values_of
from super_resolution_training import (
    ARMS,
    FOLDS,
    Upscaler,
    bicubic,
    digest,
    fold_photographs,
    in_8_bits,
    objective,
    shrunk,
    trained,
)
from torch import Tensor

import assay
from assay.written_whole import written_whole


@dataclass(frozen=True)
class Scale:
    """`first`: steps with L1 that all arms share. `side`: of a patch. `tested`: the side of a tested crop, of which
    each photograph gives `crops` at most. `again`: the arms that the second seed and later ones are for.
    `photographs`: tested of each fold, None for all."""

    first: int = 1500
    steps: int = 500
    patches: int = 4
    side: int = 96
    first_rate: float = 1e-3
    rate: float = 5e-4
    seeds: int = 2
    again: tuple[str, ...] = ("L1", "perceptual")
    tested: int = 192
    crops: int = 4
    photographs: int | None = None
    arms: tuple[str, ...] = ARMS
    folds: int = len(FOLDS)


SCALES = {
    "toy": Scale(2, 2, 2, 32, seeds=1, tested=64, crops=1, photographs=1, arms=("L1", "MS-SSIM")),
    "small": Scale(),
    "large": Scale(first=50_000, steps=50_000, patches=16, side=128, seeds=3),
}


def keep(found: Found, path: Path) -> None:
    with written_whole(path) as temporary:
        # a list of numbers on one line
        written = re.sub(r"\[[^\[\]{}\"]+\]", lambda m: " ".join(m[0].split()), json.dumps(found, indent=1))
        temporary.write_text(written + "\n")


def network_of(
    scale: Scale, fold: int, seed: int, arm: str, folder: Path, device: str
) -> tuple[Upscaler, dict[str, Any]]:
    """Trained, or read from the folder where it is there; `arm` "" is the common start."""
    path = folder / f"fold {fold} seed {seed} {arm or 'start'}.pt"
    settings = {k: getattr(scale, k) for k in ("first", "steps", "patches", "side", "first_rate", "rate")}
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if kept["settings"] != settings:
            raise SystemExit(f"{path} was made with other settings; give another --keep, or remove it")
        network = Upscaler().to(device)
        network.load_state_dict(kept["state"])
        return network, kept["told"]
    if arm:
        network = network_of(scale, fold, seed, "", folder, device)[0]
    else:
        torch.manual_seed(seed)
        network = Upscaler().to(device)
    before = time.process_time()
    minimised = objective(arm or "L1", toy=scale.side < 88)
    if isinstance(minimised, torch.nn.Module):
        minimised.to(device)
    losses = trained(
        network, minimised, fold_photographs(fold), device=device,
        steps=scale.steps if arm else scale.first, patches=scale.patches, side=scale.side,
        rate=scale.rate if arm else scale.first_rate, seed=1000 * seed + 10 * fold + bool(arm),
    )  # fmt: skip
    told = {
        "losses": losses,
        "cpu_seconds": round(time.process_time() - before, 1),
        "weights": digest(network.state_dict()),
    }
    with written_whole(path) as temporary:
        torch.save({"state": network.state_dict(), "told": told, "settings": settings}, temporary)
    print(
        f"fold {fold} seed {seed} {arm or 'start':12} {losses[0]:.5f} -> {losses[-1]:.5f}  {told['cpu_seconds']} s",
        flush=True,
    )
    return network, told


def started(scale: Scale, device: str, path: Path) -> Found:
    """What the file holds, where it was made with these settings; else an empty start."""
    settings = json.loads(json.dumps({**asdict(scale), "device": device}))
    if path.exists():
        found: Found = json.loads(path.read_text())
        if found["settings"] == settings:
            return found
        raise SystemExit(f"{path} was made with other settings; give another --out, or remove it")
    machine = {
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.machine(),
        "python": platform.python_version(), "torch": torch.__version__, "assay": assay.__version__,
    }  # fmt: skip
    return {"settings": settings, "machine": machine, "networks": {}, "crops": {}}


@torch.no_grad()
def judge(
    found: Found, path: Path, scale: Scale, asked: Mapping[str, Judge], fold: int, seed: int, name: str,
    model: Callable[[Tensor], Tensor],
) -> None:  # fmt: skip
    """Every measure of what one model makes of the photographs that its fold holds out."""
    device = found["settings"]["device"]
    for photograph in FOLDS[fold][: scale.photographs]:
        kept = found["crops"].setdefault(f"seed {seed}", {}).setdefault(photograph, {})
        if name not in kept:
            target = tested_crops(photograph, scale.tested, scale.crops)
            restored = in_8_bits(model(shrunk(target).to(device)).cpu())
            kept[name] = values_of(restored, target, asked)
            keep(found, path)


def study(scale: Scale, folder: Path, path: Path, device: str = "cpu") -> Found:
    """Everything that is not in the file yet; the file is written after each model and photograph."""
    found = started(scale, device, path)
    asked = judges(5 if scale.tested >= 161 else 2)
    for seed in range(scale.seeds):
        for fold in range(scale.folds):
            judge(found, path, scale, asked, fold, seed, "bicubic", bicubic)
            for arm in ("", *(scale.again if seed else scale.arms)):
                network, told = network_of(scale, fold, seed, arm, folder, device)
                found["networks"][f"fold {fold} seed {seed} {arm or 'start'}"] = told
                judge(found, path, scale, asked, fold, seed, arm or "start", network.eval())
    if "wave" not in found:
        target = torch.cat([
            tested_crops(name, scale.tested, 1) for fold in FOLDS[: scale.folds] for name in fold[: scale.photographs]
        ])  # fmt: skip
        found["wave"] = under_a_wave(bicubic(shrunk(target)), target, asked, (0, 0.005, 0.01, 0.02, 0.04))
    found["judges"] = {n: {"best": judge.best, "kin": list(judge.kin)} for n, judge in asked.items()}
    found["seeds"] = {}
    for seed_name, photographs in found["crops"].items():
        arms = scale.arms if seed_name == "seed 0" else scale.again
        labels = [n for n, of in photographs.items() for _ in of["bicubic"]["psnr"]]
        crops = {
            m: {j: [v for of in photographs.values() for v in of[m][j]] for j in (*asked, "variation_ratio")}
            for m in ("bicubic", "start", *arms)
        }
        found["seeds"][seed_name] = summed_up(crops, labels, asked, arms, "L1")
    keep(found, path)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep", type=Path, required=True, help="a folder for the networks")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    study(SCALES[arguments.scale], arguments.keep, arguments.out, arguments.device)


if __name__ == "__main__":
    main()
