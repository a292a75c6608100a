"""One contender of one case of images, in a process of its own: seconds, peak memory, values and gradients."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .cases_images import BACKWARD, CASES, PairFunction
from .child import _peak_kib

FEWEST, MOST = 2, 200  # calls
ENTRIES = 512  # of the gradient, which are compared
# glibc's settings of what is mapped by itself and of what is given back, and the most to which it sets them by itself
KEEPING = {-3: 32 << 20, -1: 64 << 20}


def one_call(
    function: PairFunction, members: tuple[Any, ...], way: str
) -> Callable[[], tuple[Any, Tensor | None]]:
    """A function without arguments: value, and gradient by the first member where the pass has one."""

    def forward() -> tuple[Any, None]:
        return function(*members), None

    def forward_and_backward() -> tuple[Any, Tensor]:
        first = members[0].detach().requires_grad_()  # a new leaf of the same memory
        value = function(first, *members[1:])
        value.mean().backward()
        return value.detach(), first.grad

    return forward_and_backward if way == BACKWARD else forward


def timed(call: Callable[[], Any], least_seconds: float) -> list[float]:
    """Seconds of each call: some calls, and more until `least_seconds` have passed."""
    seconds: list[float] = []
    while len(seconds) < FEWEST or (sum(seconds) < least_seconds and len(seconds) < MOST):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_mib(call: Callable[[], Any]) -> float:
    """Resident memory of a second call above what there was before it, where freed memory is given back at once."""
    call()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_kib()
    call()
    return (_peak_kib() - before) / 1024


def main(case_name: str, contender_name: str, settings: dict[str, Any]) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # the peers' own
    torch.set_num_threads(settings["threads"])
    case = next(each for each in CASES if each.name == case_name)
    contender = case.contenders[contender_name]
    try:
        function = contender.load()
    except ImportError as missing:
        return {"missing": str(missing)}
    members = case.draw(settings["n"], settings["side"])
    calls = {way: one_call(function, members, way) for way in case.passes}
    passes: dict[str, dict[str, Any]] = {way: {} for way in case.passes}
    if settings["peak"]:
        for way, call in calls.items():
            passes[way]["peak_mib"] = peak_mib(call)
    # the process starts with every tensor mapped by itself, for peaks; for seconds memory is kept, as it is by default
    for setting, size in KEEPING.items():
        ctypes.CDLL(None).mallopt(setting, size)
    for way, call in calls.items():
        value, gradient = call()  # what a library sets up at its first call is not timed
        passes[way]["values"] = torch.as_tensor(value).flatten().tolist()
        if gradient is not None:
            flat = gradient.flatten()
            passes[way]["gradient"] = flat[:: max(1, len(flat) // ENTRIES)].tolist()
        del value, gradient
        passes[way]["seconds"] = timed(call, settings["least_seconds"])
    version = None if contender.own else importlib.metadata.version(contender.package)
    return {"passes": passes, "version": version, "process_seconds": time.process_time()}


if __name__ == "__main__":
    print("RESULT " + json.dumps(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
