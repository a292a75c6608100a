"""Passes that are killed: forked from one process that has everything imported, since starting takes seconds.

python resume_worker.py kills HOME        50 kills, then the same bits
python resume_worker.py together HOME     two passes at once over the same images
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from assay.data import array_images
from assay.features import Extractor, Outputs, extract, get_extractor

IMAGES = np.random.default_rng(0).integers(0, 256, (200, 6, 5, 3), dtype=np.uint8)
SIZE, BATCH = 10, 4
WEIGHTS = torch.randn(3 * 16, 7, generator=torch.Generator().manual_seed(0))


def extractor(log: Path | None, pause: float, at_work: Callable[[], object]) -> Extractor:
    """Features that depend in their last bits on what is in a batch, as a network's may."""
    plain = get_extractor("pixels:4", device="cpu")

    def forward(batch):
        if log is not None:
            with log.open("a") as file:
                file.write("x" * len(batch))
        at_work()
        time.sleep(pause)
        features = batch.flatten(1) @ WEIGHTS + batch.mean()
        return Outputs(features, features[:, :3])

    return replace(plain, name="slow", fingerprint="slow", forward=forward)


def run(
    log: Path | None = None,
    pause: float = 0.001,
    cache: bool = True,
    at_work: Callable[[], object] = lambda: None,
):
    """A pass; at_work: called with each image that is read and each batch."""
    whole = array_images(IMAGES)

    def read(index):
        at_work()
        return whole.read(index)

    return extract(
        replace(whole, read=read),
        extractor(log, pause, at_work),
        batch_size=BATCH,
        workers=2,
        shard_size=SIZE,
        cache=cache,
    )


def bits(found) -> str:
    parts = [found.features, found.logits, *found.facts.values()]
    pictures = b"".join(found.thumbnails)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts) + pictures).hexdigest()


def forked(work) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return child


def kills(home: Path) -> dict[str, object]:
    wanted = bits(run(pause=0, cache=False))
    moments = random.Random(0)
    run(pause=0)  # what is imported late is there now
    shutil.rmtree(home)
    landed, ended, wrong = 0, 0, 0
    while landed < 50:
        steps, step = os.pipe()
        child = forked(lambda out=step: run(at_work=lambda: os.write(out, b"x")))
        os.close(step)
        # some of its 260 steps, and a little on: wherever a pass is, however slow the machine
        for _ in range(moments.randrange(260)):
            if not os.read(steps, 1):
                break  # it has ended
        time.sleep(moments.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(steps)
        if os.WIFSIGNALED(status):
            landed += 1
        elif status:
            raise SystemExit("a pass failed")
        if landed % 5 == 4 or not os.WIFSIGNALED(status):
            ended += 1
            wrong += bits(run(pause=0)) != wanted
            shutil.rmtree(home)
    return {"landed": landed, "ended": ended, "wrong": wrong}


def together(home: Path) -> dict[str, object]:
    wanted = bits(run(pause=0, cache=False))
    log = home.parent / "log"

    def one() -> None:
        if bits(run(log, pause=0.004)) != wanted:
            raise SystemExit("other bits")

    children = [forked(one) for _ in range(2)]
    statuses = [os.waitpid(child, 0)[1] for child in children]
    return {"statuses": statuses, "computed": len(log.read_text()), "images": len(IMAGES), "shard": SIZE}


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
    torch.set_num_threads(1)
    home = Path(sys.argv[2])
    os.environ["ASSAY_HOME"] = str(home)
    print(json.dumps({"kills": kills, "together": together}[sys.argv[1]](home)))
