"""Does a larger contrastive batch help, at equal memory?

An encoder is trained on Fashion-MNIST without classes, to find the other view of each image among those of its batch
(NT-Xent), and judged by one linear layer on its frozen features. The step is taken plainly; with the gradient cached
(`assay.scale.cached_backward`), the loss over a matrix of all pairs or over tiles (`assay.embeddings.info_nce`); or
accumulated, where a large batch is many small ones and only images of one small batch are told apart.

* **Equal samples**: every way sees the same number of images, so a larger batch means fewer steps.
* **Equal steps**: every way takes the same number of steps, so a larger batch means more images.
* **Memory and time** of one step of each way, in a process of its own.

Two learning rates a way, three times apart, that grow with the root of the batch; the first seed tries both, the
images set aside choose, the other seeds use the chosen one. What the test images say is only reported.

    python studies/contrastive_batch.py --out studies/contrastive_batch.json

goes on where it was stopped; `--scale large --device cuda` is for a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from contrastive_batch_memory import in_processes
from contrastive_batch_probe import Split, probe
from contrastive_batch_training import TEMPERATURE, Encoder, Way, pretrained
from torch import Tensor

import assay
from assay.written_whole import write_whole

EXAMPLES = Path(__file__).parents[1] / "examples"
RATES = (1.0, 3.0)  # times the scale's `rate` times the root of batch / 256


@dataclass(frozen=True)
class Scale:
    """How much is done. Each way of `trained` sees `seen` images; each of `stepped` takes `steps` steps.

    A way that stands in both, with `seen` being `steps` of its batches, is run once.
    """

    seen: int
    trained: tuple[Way, ...]
    steps: int
    stepped: tuple[Way, ...]
    rate: float
    seeds: int
    labelled: tuple[int, ...]
    weighed: tuple[Way, ...]  # whose memory and time are measured


def weighed(batches: tuple[int, ...], chunk: int) -> tuple[Way, ...]:
    """All four of plain or cached, dense or tiled, and the accumulated one, where the batch is above the chunk."""
    out = []
    for batch in batches:
        out += [Way("plain", "dense", batch), Way("plain", "tiled", batch)]
        if batch > chunk:
            out += [Way(b, loss, batch, chunk) for b, loss in WITH_CHUNKS]  # type: ignore[arg-type]
    return tuple(out)


WITH_CHUNKS = (("accumulated", "dense"), ("cached", "dense"), ("cached", "tiled"))

FEW = (
    Way("plain", "dense", 32),
    Way("plain", "dense", 128),
    Way("plain", "dense", 512),
    Way("accumulated", "dense", 512, 32),
    Way("cached", "tiled", 2048, 32),
)
SMALL = Scale(
    seen=192 * 512,
    trained=FEW,
    steps=192,
    stepped=FEW,
    rate=1.6e-3,
    seeds=3,
    labelled=(2_000, 20_000),
    weighed=weighed((32, 128, 512, 2048, 8192), 32),
)
MANY = (
    *(Way("plain", "dense", batch) for batch in (64, 256, 1024, 4096)),
    *(Way("accumulated", "dense", batch, 256) for batch in (1024, 4096)),
    *(Way("cached", "tiled", batch, 256) for batch in (16384, 32768)),
)
LARGE = Scale(
    seen=3_000 * 4096,
    trained=MANY,
    steps=3_000,
    stepped=MANY[:-2],
    rate=1.6e-3,
    seeds=5,
    labelled=(2_000, 20_000),
    weighed=weighed((256, 1024, 4096, 16384, 32768), 256),
)
SCALES = {"small": SMALL, "large": LARGE}


# -- the data ---------------------------------------------------------------------------------------------------------


def load(data: Path | None, device: torch.device) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
    """Images to train the encoder on, without classes; images and classes to fit, to choose by and to report.

    The last sixth of the training file is set aside to choose by: the encoder does not see it.
    """
    sys.path.insert(0, str(EXAMPLES))
    import fashion_mnist

    folder = fashion_mnist.DEBIAN_FOLDER if data is None else data
    images, classes = (torch.from_numpy(part).to(device) for part in fashion_mnist.load("train", folder))
    report = [torch.from_numpy(part).to(device) for part in fashion_mnist.load("test", folder)]
    kept = len(images) * 5 // 6
    return images[:kept], {
        "fit": (images[:kept], classes[:kept].long()),
        "choose": (images[kept:], classes[kept:].long()),
        "report": (report[0], report[1].long()),
    }


def split_of(labelled: int, parts: dict[str, tuple[Tensor, Tensor]]) -> Split:
    images, classes = parts["fit"]
    return Split((images[:labelled], classes[:labelled]), parts["choose"], parts["report"])


def probes(encode: Any, scale: Scale, parts: dict[str, tuple[Tensor, Tensor]]) -> dict[str, dict[str, float]]:
    """Accuracies by the number of labelled images."""
    return {str(n): probe(encode, split_of(n, parts)) for n in scale.labelled}


# -- the runs ---------------------------------------------------------------------------------------------------------


def planned(scale: Scale) -> list[tuple[Way, int]]:
    """Each way with the images it sees, those of equal samples first."""
    both = [(way, scale.seen) for way in scale.trained]
    both += [(way, scale.steps * way.batch) for way in scale.stepped]
    return list(dict.fromkeys(both))


def pieces(scale: Scale, found: dict[str, Any]) -> Iterator[tuple[Way, int, float, int]]:
    """(way, images seen, learning rate, seed): seed 0 tries every rate, the others take what it chose."""
    plan = planned(scale)
    first = len(scale.trained)
    for part in (plan[:first], plan[first:]):
        for seed in range(scale.seeds):
            for way, seen in part:
                rates = [scale.rate * (way.batch / 256) ** 0.5 * factor for factor in RATES]
                for rate in rates if seed == 0 else [chosen_rate(found, way, seen)]:
                    yield way, seen, rate, seed


def name_of(way: Way, seen: int, rate: float, seed: int) -> str:
    return f"{way} | {seen} seen | rate {rate:.3g} | seed {seed}"


def chosen_rate(found: dict[str, Any], way: Way, seen: int) -> float:
    """The rate whose first seed was right most often on the images set aside, the most labelled."""
    tried = [
        run for run in found["runs"].values() if (run["way"], run["seen"], run["seed"]) == (str(way), seen, 0)
    ]
    return float(max(tried, key=lambda run: list(run["accuracy"].values())[-1]["choose"])["rate"])


def keep(found: dict[str, Any], path: Path) -> None:
    write_whole(path, (json.dumps(found, indent=1) + "\n").encode())


def run_all(scale: Scale, data: Path | None, device: torch.device, path: Path) -> dict[str, Any]:
    """Everything that is not in the file yet; the file is written after each piece."""
    found = started(scale, device, path)
    images, parts = load(data, device)
    if not found["baselines"]:
        torch.manual_seed(0)
        untrained = Encoder().to(device)
        found["baselines"] = {
            "pixels": probes(lambda x: x.flatten(1), scale, parts),
            "untrained features": probes(untrained.features, scale, parts),
        }
        keep(found, path)
    for piece in pieces(scale, found):
        name = name_of(*piece)
        if name in found["runs"]:
            continue
        way, seen, rate, seed = piece
        start = time.process_time()
        encoder, losses = pretrained(way, images, seen=seen, rate=rate, seed=seed)
        seconds = time.process_time() - start
        accuracy = probes(encoder.features, scale, parts)
        last = losses[-max(1, len(losses) // 20) :]
        found["runs"][name] = {
            "way": str(way), "backward": way.backward, "loss": way.loss, "batch": way.batch, "chunk": way.chunk,
            "seen": seen, "steps": len(losses), "rate": rate, "seed": seed,
            "last_loss": sum(last) / len(last), "seconds": round(seconds, 1), "accuracy": accuracy,
        }  # fmt: skip
        keep(found, path)
        shown = "  ".join(f"{n} labelled {100 * one['report']:.2f}%" for n, one in accuracy.items())
        print(f"{name:70} {shown}  {seconds:.0f} s", flush=True)
    return found


def started(scale: Scale, device: torch.device, path: Path) -> dict[str, Any]:
    """What the file holds, where it was made with these settings; else an empty start."""
    settings = {
        "seen": scale.seen, "steps": scale.steps, "rate": scale.rate, "rates": list(RATES), "seeds": scale.seeds,
        "labelled": list(scale.labelled), "temperature": TEMPERATURE, "device": str(device),
    }  # fmt: skip
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        if found["settings"] == settings:
            return found
        raise SystemExit(f"{path} was made with other settings; give another --out, or remove it")
    machine = {
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "processor": platform.machine(),
        "python": platform.python_version(), "torch": torch.__version__, "assay": assay.__version__,
    }  # fmt: skip
    return {"settings": settings, "machine": machine, "baselines": {}, "runs": {}, "step": {}}


def weigh_all(scale: Scale, device: torch.device, path: Path) -> dict[str, Any]:
    """Memory and time of a step of each way that is not in the file yet."""
    found = started(scale, device, path)
    for way in scale.weighed:
        if str(way) in found["step"]:
            continue
        what = {"backward": way.backward, "loss": way.loss, "batch": way.batch, "chunk": way.chunk}
        one = {**what, **in_processes(way, str(device))}
        found["step"][str(way)] = one
        keep(found, path)
        ms = 1000 * one["seconds"] / way.batch
        print(f"{way!s:40} {one['bytes'] / 1e6:9.1f} MB  {ms:.3f} ms an image", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path, help="a folder with the four files of Fashion-MNIST")
    parser.add_argument("--only", choices=("train", "weigh"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scale, device = SCALES[arguments.scale], torch.device(arguments.device)
    if arguments.only != "train":
        weigh_all(scale, device, arguments.out)
    if arguments.only != "weigh":
        run_all(scale, arguments.data, device, arguments.out)


if __name__ == "__main__":
    main()
