"""Every case, contender by contender, in one run: ``python -m benchmarks.run [case ...]``.

Each contender runs in a process of its own (so that its peak memory is its own), the contenders of a case in turn,
round after round, so that a drift of the machine meets all of them. Medians and ratios go to `results.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """What one contender must reach against another: `factor` times as fast, or `slower` times its time at most."""

    case: str
    contender: str
    against: str
    at_least: float
    peak_at_most: float | None = None  # share of the peer's peak memory


@dataclass(frozen=True)
class Case:
    name: str
    contenders: tuple[str, ...]
    rounds: int = 3
    runs: int = 1
    sizes: dict[str, int] = field(default_factory=dict)
    warm: bool = False  # a call before the clock and the peak are looked at
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        sizes = ", ".join(f"{k} = {v}" for k, v in self.sizes.items())
        return f"{self.name}, {sizes}" if sizes else self.name


CASES = (
    Case(
        "frechet",
        ("assay", "assay, known reference", "pytorch-fid", "clean-fid", "torchmetrics", "torch-fidelity"),
    ),
    Case("frechet_estimate", ("value alone", "assay")),
    Case("prdc", ("assay", "prdc")),
    Case("kernel", ("assay", "torch-fidelity, all in one subset"), sizes={"n": 10_000}),
    Case("kernel", ("assay",), rounds=1, runs=0, sizes={"n": 50_000}),
    Case("network", ("assay", "eager PyTorch")),
)
TARGETS = (
    Target("frechet", "assay", "pytorch-fid", 8),
    Target("frechet", "assay", "clean-fid", 8),
    Target("frechet", "assay", "torchmetrics", 2.5),
    Target("frechet", "assay", "torch-fidelity", 2),
    Target("frechet_estimate", "assay", "value alone", 1 / 3),
    Target("prdc", "assay", "prdc", 3.5, peak_at_most=1 / 3),
    Target("network", "assay", "eager PyTorch", 4),
)
KERNEL_SECONDS, KERNEL_MIB, IMPORT_SECONDS = 75.0, 300.0, 1.0


def run_child(case: Case, contender: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.child",
        case.name,
        contender,
        str(case.runs),
        json.dumps(case.sizes),
        *(["warm"] if case.warm else []),
    ]
    environment = {**os.environ, **case.environment}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parent, env=environment, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))  # type: ignore[no-any-return]
    raise RuntimeError(f"{case.name}, {contender}: {done.stderr.strip()[-800:]}")


def run_case(case: Case) -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {}
    for round_ in range(case.rounds):
        for contender in case.contenders:
            got = run_child(case, contender)
            row = rows.setdefault(contender, {"seconds": [], "peak_mib": [], "result": got["result"]})
            row["seconds"] += got["seconds"]
            row["peak_mib"].append(got["peak_mib"])
            print(
                f"  {case.name} {case.sizes or ''} round {round_ + 1}: {contender}: "
                f"{statistics.median(got['seconds']):.2f} s, {got['peak_mib']:.0f} MiB",
                file=sys.stderr,
            )
    for row in rows.values():
        row["median_seconds"] = statistics.median(row["seconds"])
        row["peak_mib"] = statistics.median(row["peak_mib"])
    return rows


def import_time() -> dict[str, float]:
    """Seconds `import assay` takes beyond `import torch`, the median of five fresh interpreters."""
    program = (
        "import time; import torch; start = time.perf_counter(); import assay; "
        "print(time.perf_counter() - start)"
    )
    seconds = [
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        )
        for _ in range(5)
    ]
    return {"median_seconds": statistics.median(seconds), "seconds": seconds}  # type: ignore[dict-item]


def machine() -> dict[str, Any]:
    import torch

    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        "| work | contender | seconds (median) | times assay's | peak memory above inputs |",
        "|---|---|---|---|---|",
    ]
    for name, rows in results["cases"].items():
        own = next(r for c, r in rows.items() if c.startswith("assay"))["median_seconds"]
        for contender, row in rows.items():
            lines.append(
                f"| {name} | {contender} | {row['median_seconds']:.2f} | {row['median_seconds'] / own:.1f} "
                f"| {row['peak_mib']:.0f} MiB |"
            )
    if "import" in results:
        lines.append(
            f"| import assay, beyond torch | assay | {results['import']['median_seconds']:.2f} | | |"
        )
    lines += ["", "| target | reached | |", "|---|---|---|"]
    for target in results["targets"]:
        lines.append(f"| {target['what']} | {target['got']} | {'yes' if target['met'] else '**no**'} |")
    return "\n".join(lines)


def judged(results: dict[str, Any]) -> list[dict[str, Any]]:
    out = []
    for t in TARGETS:
        rows = results["cases"].get(t.case)
        if rows is None:
            continue
        ratio = rows[t.against]["median_seconds"] / rows[t.contender]["median_seconds"]
        if t.at_least < 1:
            what, got = f"{t.case}: at most {1 / t.at_least:g}x of {t.against}", f"{1 / ratio:.2f}x"
        else:
            what, got = f"{t.case}: {t.at_least:g}x as fast as {t.against}", f"{ratio:.1f}x"
        out.append({"what": what, "got": got, "met": ratio >= t.at_least})
        if t.peak_at_most is not None:
            share = rows[t.contender]["peak_mib"] / rows[t.against]["peak_mib"]
            what = f"{t.case}: peak memory at most {t.peak_at_most:.2f} of {t.against}'s"
            out.append({"what": what, "got": f"{share:.2f}", "met": share <= t.peak_at_most})
    large = results["cases"].get("kernel, n = 50000")
    if large:
        row = large["assay"]
        seconds, peak = row["median_seconds"], row["peak_mib"]
        what = f"kernel, 50,000 x 50,000 x 512: {KERNEL_SECONDS:g} s at most"
        out.append({"what": what, "got": f"{seconds:.1f} s", "met": seconds <= KERNEL_SECONDS})
        what = f"the same: {KERNEL_MIB:g} MiB above the features at most"
        out.append({"what": what, "got": f"{peak:.0f} MiB", "met": peak <= KERNEL_MIB})
    seconds = results["import"]["median_seconds"]
    what = f"import assay: {IMPORT_SECONDS:g} s beyond torch at most"
    out.append({"what": what, "got": f"{seconds:.2f} s", "met": seconds <= IMPORT_SECONDS})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="names of cases; all by default")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    chosen = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "cases": {}}
    for case in CASES:
        if chosen.cases and case.name not in chosen.cases:
            continue
        results["cases"][case.label] = run_case(case)
    results["import"] = import_time()
    results["targets"] = judged(results)
    keep(results, chosen.out)


def keep(results: dict[str, Any], out: Path) -> None:
    """Written whole, and printed."""
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=2) + "\n")
    temporary.replace(out)
    print(json.dumps(results["machine"]))
    print(table(results))


if __name__ == "__main__":
    main()
