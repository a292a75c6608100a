"""Jobs of several ranks, each forked from one process that has everything imported, since starting takes seconds.

python rank_worker.py FOLDER SCENARIO...        one JSON line a scenario: what each rank came to
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from assay import Moments
from assay.data import ImageSource, UnreadableImage, array_images
from assay.features import Extractor, Outputs, extract, extract_shards, get_extractor
from assay.scale.ranks import current_ranks, joined, left_to_first, told_elsewhere

IMAGES = np.random.default_rng(0).integers(0, 256, (90, 6, 5, 3), dtype=np.uint8)
WEIGHTS = torch.randn(3 * 16, 7, generator=torch.Generator().manual_seed(0))
SIZE = 8  # twelve shards, the last of two images
HOW = {"batch_size": 3, "workers": 1, "shard_size": SIZE}


def extractor(at_batch: Callable[[int], None] = lambda k: None, pause: float = 0.0) -> Extractor:
    plain = get_extractor("pixels:4", device="cpu")
    batches = 0

    def forward(batch):
        nonlocal batches
        batches += 1
        at_batch(batches)
        time.sleep(pause)
        features = batch.flatten(1) @ WEIGHTS + batch.mean()
        return Outputs(features, features[:, :3], {"more": features[:, :2]})

    return replace(plain, name="tiny", fingerprint="tiny", forward=forward)


def bits(found) -> str:
    parts = [found.features, found.logits, found.extra["more"], found.positions, *found.facts.values()]
    pictures = b"".join(found.thumbnails)
    named = json.dumps([found.names, found.content, [(s.name, s.reason) for s in found.skipped]]).encode()
    return hashlib.sha256(b"".join(p.numpy().tobytes() for p in parts) + pictures + named).hexdigest()


def broken(*bad: int) -> ImageSource:
    whole = array_images(IMAGES)

    def read(index):
        if index in bad:
            raise UnreadableImage(str(index), "truncated")
        return whole.read(index)

    return replace(whole, read=read)


def of_two_sizes() -> ImageSource:
    images = [image[:5] if 8 <= k < 16 else image for k, image in enumerate(IMAGES)]  # those of rank 1
    return replace(array_images(IMAGES), read=lambda index: images[index])


def own_home(rank: int) -> None:
    os.environ["ASSAY_HOME"] += f"-{rank}"


def die(at: int, rank: int) -> Callable[[int], None]:
    mine = int(os.environ["RANK"]) == rank
    return lambda k: os.kill(os.getpid(), signal.SIGKILL) if mine and k == at else None


def fail(at: int, rank: int) -> Callable[[int], None]:
    def look(k):
        if int(os.environ["RANK"]) == rank and k == at:
            raise ZeroDivisionError("in the network")

    return look


def first_alone(source, *how, **more):
    """What a command does: all extract, rank 0 goes on."""
    found = extract(source, *how, **more)
    left_to_first()
    return bits(found)


def moments(source):
    merged = None
    for part in extract_shards(source, extractor(), cache=False, **HOW):
        own = Moments.of(part.features)
        merged = own if merged is None else merged.merge(own)
    ranks = current_ranks()
    parts = [None if merged is None else {k: v.tolist() for k, v in merged.tensors().items()}]
    if ranks is not None and ranks.rank > 0:
        ranks.send(json.dumps(parts[0]).encode(), 0)
    if ranks is not None and ranks.rank == 0:
        parts += [json.loads(ranks.receive(other)) for other in range(1, ranks.world)]
    left_to_first()
    whole = None
    for part in filter(None, parts):
        one = Moments.from_tensors({k: torch.tensor(v, dtype=torch.float64) for k, v in part.items()})
        whole = one if whole is None else whole.merge(one)
    wanted = Moments.of(extract(source, extractor(), **HOW).features)
    error = (whole.dense_scatter() - wanted.dense_scatter()).norm() / wanted.dense_scatter().norm()
    return [float(whole.weight), float(error), float((whole.mean - wanted.mean).norm() / wanted.mean.norm())]


def apart(source, *how, **more):
    own_home(int(os.environ.get("RANK", 0)))
    return first_alone(source, *how, **more)


def command(*more: str) -> dict[str, object]:
    """The command itself on sets of 60 images, what it prints, and its status."""
    from PIL import Image

    from assay.cli import run

    folder = Path(sys.argv[1]) / f"sets-{os.environ['RANK']}-{os.getpid()}"
    for name, shift in (("real", 0), ("made", 20)):
        (folder / name).mkdir(parents=True)
        for row, image in enumerate(IMAGES[:60] // 2 + shift):
            Image.fromarray(image.astype(np.uint8)).save(folder / name / f"{row:02}.png")
    if "bad" in more:
        (folder / "made" / "01.png").write_bytes(b"")
    os.chdir(folder)
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        status = run(["compare", "real", "made", "--features", "pixels:4", "--measures", "fd,kd", "--quiet"])
    return {"status": status, "said": said.getvalue(), "errors": errors.getvalue()}


SCENARIOS: dict[str, Callable[[], object]] = {
    "whole": lambda: first_alone(array_images(IMAGES), extractor(), **HOW),
    "again": lambda: first_alone(array_images(IMAGES), extractor(die(1, 0)), **HOW),  # no batch is computed
    "apart": lambda: apart(array_images(IMAGES), extractor(), **HOW),
    "nothing kept": lambda: first_alone(array_images(IMAGES), extractor(), cache=False, **HOW),
    "few": lambda: first_alone(array_images(IMAGES[:10]), extractor(), **HOW),
    "moments": lambda: moments(array_images(IMAGES)),
    "few moments": lambda: moments(array_images(IMAGES[:10])),
    "skipping": lambda: first_alone(broken(3, 9, 17, *range(24, 32)), extractor(), skip_bad=True, **HOW),
    "bad": lambda: first_alone(broken(3, 9, 17), extractor(), **HOW),
    "all bad": lambda: first_alone(broken(*range(90)), extractor(), skip_bad=True, **HOW),
    "two sizes": lambda: first_alone(
        of_two_sizes(), replace(get_extractor("pixels", device="cpu"), fingerprint="two"), **HOW
    ),
    "failing": lambda: first_alone(
        array_images(IMAGES), extractor(fail(2, 1), pause=0.05), cache=False, **HOW
    ),
    "dying": lambda: first_alone(array_images(IMAGES), extractor(die(3, 1), pause=0.05), **HOW),
    "first dying": lambda: first_alone(array_images(IMAGES), extractor(die(3, 0), pause=0.05), **HOW),
}


def one_rank(scenario: str, out: Path) -> None:
    told: dict[str, object] = {}
    try:
        if scenario.startswith("command"):
            told.update(command(*scenario.split()[1:]))
        else:
            # who waits for a dead rank waits for so long; elsewhere a rank that the machine has no time for lives
            with joined(dead_after=6.0 if "dying" in scenario else 600.0):
                told["value"] = SCENARIOS[scenario]()
    except BaseException as error:
        told.update(error=type(error).__name__, message=str(error), told=not told_elsewhere(error))
        if not isinstance(error, (ValueError, ZeroDivisionError)):
            traceback.print_exc()
    out.write_text(json.dumps(told))


def job(scenario: str, world: int, folder: Path, home: str) -> list[object]:
    children = []
    outs = [folder / f"rank-{rank}.json" for rank in range(world)]
    # a socket that is bound and does not listen keeps the port from others, not from who listens with this option
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        for rank, out in enumerate(outs):
            out.unlink(missing_ok=True)
            child = os.fork()
            if child == 0:
                os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world))
                os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
                os.environ["ASSAY_HOME"] = str(folder / home)
                try:
                    one_rank(scenario, out)
                finally:
                    os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
    return [json.loads(out.read_text()) if out.exists() else None for out in outs]


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    torch.set_num_threads(1)
    for given in sys.argv[2:]:
        name, ranks, home = given.split(",")
        print(json.dumps(job(name, int(ranks), Path(sys.argv[1]), home)), flush=True)
