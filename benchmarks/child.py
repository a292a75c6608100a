"""One contender in a process of its own: seconds of each run and the peak memory above what it started from."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from . import (
    cases,
    cases_cached,
    cases_contrastive,
    cases_divergence,
    cases_population,
    cases_sigmoid,
    cases_transport,
)

MODULES = (
    cases, cases_cached, cases_contrastive, cases_divergence, cases_population, cases_sigmoid, cases_transport
)  # fmt: skip


def _peak_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise RuntimeError("no VmHWM: peak memory is read from Linux's /proc")


def main(case: str, contender: str, runs: int, sizes: dict[str, int], warm: bool) -> None:
    (make,) = (getattr(module, case) for module in MODULES if hasattr(module, case))
    call = make(**sizes)[contender]
    if warm:  # what a library sets up at its first call, and what an allocator keeps of it, is nobody's step
        call()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of making the inputs
    before = _peak_kib()
    start = time.perf_counter()
    result = call()
    first = time.perf_counter() - start
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    out = {
        "seconds": seconds or [first],
        "first": first,
        "peak_mib": (_peak_kib() - before) / 1024,
        "result": result,
    }
    print("RESULT " + json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]), sys.argv[5:] == ["warm"])
