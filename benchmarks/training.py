"""Objectives and measures of training, contender by contender: ``python -m benchmarks.training [case ...]``.

As `benchmarks.run`, with the targets of training steps. Figures go to `training.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .run import Case, keep, machine, run_case

HERE = Path(__file__).parent
# so that memory given back is given back: without it peaks measure the allocator
MAPPED = {"MALLOC_MMAP_THRESHOLD_": "65536"}
CACHED = {
    batch: Case(
        "cached_backward", ("assay",), rounds=1, sizes={"batch": batch}, warm=True, environment=MAPPED
    )
    for batch in (64, 512, 4096)
}
PLAIN = Case("cached_backward", ("assay", "plain, one chunk"), rounds=2, sizes={"batch": 2048})
CROSS = Case("info_nce_cross", ("assay",), rounds=1, runs=0, sizes={"n": 65_536})
# a decomposition takes seconds, which vary by a fifth on a shared machine: short runs in turns
EXACT = Case("frechet_step", ("assay", "4 eigendecompositions"), rounds=3, sizes={"steps": 4})
BOUNDED = Case("frechet_step", ("assay, bounded error", "16 eigendecompositions"), rounds=2, runs=0)

CASES = (
    Case("nt_xent", ("assay", "lightly")),
    Case("info_nce_cross", ("assay", "cross entropy of the matrix")),
    CROSS,
    Case("supervised", ("assay", "pytorch-metric-learning")),
    Case("uniformity_of", ("assay", "torch.pdist")),
    Case("sigmoid_pair", ("assay", "open_clip")),
    PLAIN,
    *CACHED.values(),
    EXACT,
    BOUNDED,
    Case("sinkhorn", ("assay", "geomloss, tensorised"), rounds=2, runs=0),
    Case("sinkhorn_batch", ("assay", "geomloss, tensorised")),
    Case("sliced_wasserstein", ("assay", "POT")),
    Case("chamfer", ("assay", "torch.cdist")),
    Case("chamfer_batch", ("assay", "torch.cdist")),
    Case("energy", ("assay", "torch.cdist")),
)


def judged(cases: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked, what was reached; of the cases that were run."""
    out: list[dict[str, Any]] = []

    def told(what: str, got: str, met: bool) -> None:
        out.append({"what": what, "got": got, "met": met})

    def faster(case: str, peer: str, at_least: float, peak_at_most: float | None = None) -> None:
        if case not in cases:
            return
        own, theirs = cases[case]["assay"], cases[case][peer]
        ratio = theirs["median_seconds"] / own["median_seconds"]
        told(f"{case}: {at_least:g}x as fast as {peer}", f"{ratio:.1f}x", ratio >= at_least)
        if peak_at_most is not None:
            share = own["peak_mib"] / theirs["peak_mib"]
            told(
                f"{case}: peak memory at most {peak_at_most:.3g} of {peer}'s",
                f"{share:.3f}",
                share <= peak_at_most,
            )

    def at_most(case: str, contender: str, against: str, factor: float) -> None:
        if case not in cases:
            return
        rows = cases[case]
        ratio = rows[contender]["median_seconds"] / rows[against]["median_seconds"]
        told(f"{case}, {contender}: at most {factor:g}x of {against}", f"{ratio:.2f}x", ratio <= factor)

    faster("nt_xent", "lightly", 4, 1 / 20)
    if CROSS.label in cases:
        peak = cases[CROSS.label]["assay"]["peak_mib"]
        told(
            "info_nce of 65,536 pairs: 300 MB of extra memory at most",
            f"{peak:.0f} MiB",
            peak <= 300e6 / 2**20,
        )
    at_most(PLAIN.label, "assay", "plain, one chunk", 1.5)
    peaks = [cases[case.label]["assay"]["peak_mib"] for case in CACHED.values() if case.label in cases]
    if len(peaks) == len(CACHED):
        spread = max(peaks) / min(peaks) - 1
        shown = ", ".join(f"{peak:.1f}" for peak in peaks)
        told(
            "cached_backward, batch 64 to 4,096: peak memory flat within 10%",
            f"{spread:+.1%} ({shown} MiB)",
            spread <= 0.1,
        )
    at_most(EXACT.label, "assay", "4 eigendecompositions", 1.3)
    at_most(BOUNDED.label, "assay, bounded error", "16 eigendecompositions", 0.25)
    faster("sinkhorn", "geomloss, tensorised", 2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "cases", nargs="*", help="names of cases; all by default, the others are kept as they were"
    )
    parser.add_argument("--out", type=Path, default=HERE / "training.json")
    chosen = parser.parse_args()
    known: dict[str, Any] = {}
    if chosen.cases and chosen.out.is_file():
        known = json.loads(chosen.out.read_text())["cases"]
    for case in CASES:
        if not chosen.cases or case.name in chosen.cases:
            known[case.label] = run_case(case)
    keep({"machine": machine(), "cases": known, "targets": judged(known)}, chosen.out)


if __name__ == "__main__":
    main()
