"""What a study of post-training starts from: real images, a trained generator, and networks that look at images."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from post_training_judge import asked_class
from post_training_networks import (
    Generator,
    Space,
    autoencoder,
    classifier,
    first_training,
    patch_encoder,
    strided_encoder,
)
from post_training_runs import in_range
from torch import Tensor, nn

from assay.written_whole import written_whole

TRAINED = ("classifier", "autoencoder")


@dataclass(frozen=True)
class Data:
    """uint8 (n, 1, 28, 28) and (n,): to train on, and to judge by."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def load(folder: Path | None, device: torch.device, count: int | None) -> Data:
    """The first `count` images of both splits, or all."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import fashion_mnist

    def split(name: Any) -> tuple[Tensor, Tensor]:
        images, classes = fashion_mnist.load(name, folder or fashion_mnist.DEBIAN_FOLDER)
        return (
            torch.from_numpy(images[:count])[:, None].to(device),
            torch.from_numpy(classes[:count]).long().to(device),
        )

    return Data(split("train"), split("test"))


def kept(
    path: Path, device: torch.device, make: Callable[[], nn.Module], empty: nn.Module
) -> tuple[nn.Module, float]:
    """A trained network and the seconds that took, from its file where there is one."""
    if not path.exists():
        start = time.process_time()
        made = make()
        with written_whole(path) as temporary:
            torch.save({"weights": made.state_dict(), "seconds": time.process_time() - start}, temporary)
    found = torch.load(path, map_location=device)
    empty.load_state_dict(found["weights"])
    return empty.to(device), round(found["seconds"], 1)


def networks(
    data: Data, folder: Path, *, first: int, fitting: int
) -> tuple[Generator, dict[str, Space], nn.Module, dict[str, Any]]:
    """The generator, the spaces, a classifier that judges classes, and how good and how dear each was."""
    images, classes, device = in_range(data.train[0]), data.train[1], data.train[0].device
    facts: dict[str, Any] = {}

    def head() -> nn.Sequential:
        return nn.Sequential(nn.SiLU(), nn.Linear(64, 10))

    def told(whole: nn.Module) -> float:
        return asked_class(whole, *data.test)

    bodies: dict[str, nn.Module] = {}
    torch.manual_seed(1)
    for name, body, move in (("classifier", strided_encoder(), False), ("other", patch_encoder(), True)):

        def fit(body: nn.Module = body, move: bool = move) -> nn.Module:
            return classifier(body, images, classes, steps=fitting, seed=1, move=move)

        whole, seconds = kept(folder / f"{name}.pt", device, fit, nn.Sequential(body, head()))
        bodies[name] = whole[0]  # type: ignore[index]
        facts[name] = {"seconds": seconds, "right_classes_of_test_images": told(whole)}
    torch.manual_seed(2)
    bodies["autoencoder"], seconds = kept(
        folder / "autoencoder.pt",
        device,
        lambda: autoencoder(images, steps=fitting, seed=2),
        strided_encoder(),
    )
    facts["autoencoder"] = {"seconds": seconds}
    torch.manual_seed(0)
    base, seconds = kept(
        folder / "base.pt",
        device,
        lambda: first_training(images, classes, steps=first, seed=0),
        Generator(),
    )
    facts["base"] = {"seconds": seconds}
    spaces = {name: Space(bodies[name], images) for name in (*TRAINED, "other")}
    return base.requires_grad_(False), spaces, whole, facts  # type: ignore[return-value]
