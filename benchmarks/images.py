"""Measures of pairs of images beside their peers, in one run: ``python -m benchmarks.images [case ...]``.

Each contender runs in a process of its own, the contenders of a case in turn, round after round. `rows` of
`images.json` hold each convention's ratio to the best peer of the same convention, and to the best of any.
A peer that is not installed is left out, by name. `--small` asks only whether everything runs and agrees.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from .cases_images import BACKWARD, CASES, FORWARD, ImageCase
from .run import machine
from .training import MAPPED

HERE = Path(__file__).parent
THREADS = 2
# what was asked of both structural similarities
ASKED, FASTER, MEMORY_SHARE, APART = ("ssim", "ms_ssim"), 2.0, 0.5, 1e-5


def run_child(case: ImageCase, contender: str, settings: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.child_images", case.name, contender, json.dumps(settings)]
    environment = {**os.environ, **MAPPED, "OMP_NUM_THREADS": str(settings["threads"])}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parent, env=environment, check=False
    )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))  # type: ignore[no-any-return]
    raise RuntimeError(f"{case.name}, {contender}: {done.stderr.strip()[-800:]}")


def run_case(case: ImageCase, *, small: bool, threads: int) -> dict[str, Any]:
    """Sizes, versions, what is missing, and contender by contender the figures of each pass."""
    n, side = min(case.n, 2) if small else case.n, case.side
    passes: dict[str, dict[str, Any]] = {way: {} for way in case.passes}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    process_seconds = 0.0
    for round_ in range(1 if small else case.rounds):
        for name, contender in case.contenders.items():
            if name in missing:
                continue
            settings = {
                "threads": threads,
                "n": n,
                "side": side,
                "least_seconds": 0.0 if small else 0.4,
                "peak": round_ == 0,
            }
            got = run_child(case, name, settings)
            if "missing" in got:
                missing[name] = got["missing"]
                print(f"  {case.name}: {got['missing']}", file=sys.stderr)
                continue
            if got["version"]:
                versions[contender.package] = got["version"]
            process_seconds += got["process_seconds"]
            for way, found in got["passes"].items():
                row = passes[way].setdefault(
                    name, {**found, "convention": contender.convention, "own": contender.own, "seconds": []}
                )
                row["seconds"].append(statistics.median(found["seconds"]))
                print(
                    f"  {case.name} round {round_ + 1}, {way}: {name}: {row['seconds'][-1]:.4f} s",
                    file=sys.stderr,
                )
    for rows in passes.values():
        _compare(rows)
    return {
        "size": f"{n} x {case.channels} x {side} x {side}",
        "tolerance": case.tolerance,
        "why": case.why,
        "versions": versions,
        "missing": missing,
        "process_seconds": process_seconds,
        "passes": passes,
    }


def _compare(rows: dict[str, dict[str, Any]]) -> None:
    """Medians, and how far values and gradients are from assay's of the same convention."""
    own = {row["convention"]: (row["values"], row.get("gradient")) for row in rows.values() if row["own"]}
    for row in rows.values():
        row["median_seconds"] = statistics.median(row["seconds"])
        values, gradient = own[row["convention"]]
        row["difference"] = max(abs(a - b) for a, b in zip(values, row["values"], strict=True))
        if gradient is not None:
            largest = max(abs(g) for g in gradient)
            apart = max(abs(a - b) for a, b in zip(gradient, row["gradient"], strict=True))
            row["gradient_difference"] = apart / largest if largest else apart
    for row in rows.values():
        row["value"] = statistics.fmean(row.pop("values"))
        row.pop("gradient", None)


def rows_of(cases: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a measure, pass and convention: assay beside the best peer of the same convention, and of any."""
    out = []
    for measure, case in cases.items():
        for way, contenders in case["passes"].items():
            peers = {name: row for name, row in contenders.items() if not row["own"]}
            for row in contenders.values():
                if row["own"]:
                    same = {k: v for k, v in peers.items() if v["convention"] == row["convention"]}
                    out.append(_row(measure, case, way, row, same, peers))
    return out


def _row(
    measure: str,
    case: dict[str, Any],
    way: str,
    own: dict[str, Any],
    same: dict[str, dict[str, Any]],
    peers: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    def fastest(among: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        if not among:
            return None
        name = min(among, key=lambda k: among[k]["median_seconds"])
        seconds = among[name]["median_seconds"]
        return {"peer": name, "seconds": seconds, "times": seconds / own["median_seconds"]}

    leanest = min(same, key=lambda k: same[k]["peak_mib"], default=None)
    apart = [row["difference"] for row in same.values()]
    slopes = [row["gradient_difference"] for row in same.values() if "gradient_difference" in row]
    return {
        "measure": measure,
        "size": case["size"],
        "pass": way,
        "convention": own["convention"],
        "seconds": own["median_seconds"],
        "peak_mib": own["peak_mib"],
        "same": fastest(same),
        "any": fastest(peers),
        "leanest": None if leanest is None else {"peer": leanest, "peak_mib": same[leanest]["peak_mib"]},
        "difference": max(apart, default=None),
        "gradient_difference": max(slopes, default=None),
        "tolerance": case["tolerance"],
        "why": case["why"],
    }


def judged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was asked, and what the worst convention reached; of the cases that were run beside a peer."""
    out: list[dict[str, Any]] = []

    def told(what: str, got: str, met: bool) -> None:
        out.append({"what": what, "got": got, "met": met})

    for measure in ASKED:
        own = [row for row in rows if row["measure"] == measure and row["same"]]
        for way in (FORWARD, BACKWARD):
            these = [row for row in own if row["pass"] == way]
            for kind, whom in (("same", "the same convention"), ("any", "any convention")):
                if these:
                    worst = min(these, key=lambda row: row[kind]["times"])
                    times = worst[kind]["times"]
                    told(
                        f"{measure}, {way}: {FASTER:g}x as fast as the best peer of {whom}",
                        f"{times:.1f}x ({worst['convention']} beside {worst[kind]['peer']})",
                        times >= FASTER,
                    )
            shares = [(row["peak_mib"] / max(row["leanest"]["peak_mib"], 1e-3), row) for row in these]
            if shares:
                share, worst = max(shares, key=lambda pair: pair[0])
                told(
                    f"{measure}, {way}: peak memory at most {MEMORY_SHARE:g} of the leanest peer's",
                    f"{share:.2f} ({worst['convention']} beside {worst['leanest']['peer']})",
                    share <= MEMORY_SHARE,
                )
        if own:
            apart = max(row["difference"] for row in own)
            told(f"{measure}: values equal within a convention to {APART:g}", f"{apart:.1g}", apart <= APART)
    others = [row for row in rows if row["measure"] not in ASKED and row["difference"] is not None]
    wrong = [row["measure"] for row in others if row["difference"] > row["tolerance"]]
    if others:
        what = "the other measures' values are the peers', within what each states"
        told(what, ", ".join(dict.fromkeys(wrong)) or "all", not wrong)
    return out


def table(content: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = [
        "| measure | pass | convention | assay | best peer, same convention | best peer, any | memory: assay / leanest "
        "| values differ by | gradients |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in content["rows"]:
        best = [f"{b['peer']} {b['times']:.2f}x" if b else "none here" for b in (r["same"], r["any"])]
        lean = f"{r['leanest']['peak_mib']:.1f}" if r["leanest"] else "none here"
        far = [f"{d:.1g}" if d is not None else "" for d in (r["difference"], r["gradient_difference"])]
        lines.append(
            f"| {r['measure']}, {r['size']} | {r['pass']} | {r['convention']} | {1000 * r['seconds']:.3g} ms "
            f"| {best[0]} | {best[1]} | {r['peak_mib']:.1f} / {lean} MiB | {far[0]} | {far[1]} |"
        )
    lines += ["", "| target | reached | |", "|---|---|---|"]
    lines += [f"| {t['what']} | {t['got']} | {'yes' if t['met'] else '**no**'} |" for t in content["targets"]]
    missing = [sentence for case in content["cases"].values() for sentence in case["missing"].values()]
    return "\n".join([*lines, "", *dict.fromkeys(missing)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "cases", nargs="*", help="names of cases; all by default, the others are kept as they were"
    )
    parser.add_argument("--out", type=Path, help="benchmarks/images.json; with --small nothing unless given")
    parser.add_argument("--small", action="store_true", help="two pairs, one round: does all run and agree?")
    parser.add_argument("--threads", type=int, default=THREADS)
    chosen = parser.parse_args()
    unknown = set(chosen.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(
            f"no case {', '.join(sorted(unknown))}; there are {', '.join(case.name for case in CASES)}"
        )
    out = chosen.out or (None if chosen.small else HERE / "images.json")
    cases: dict[str, Any] = {}
    if chosen.cases and out and out.is_file():
        cases = json.loads(out.read_text())["cases"]
    for case in CASES:
        if not chosen.cases or case.name in chosen.cases:
            cases[case.name] = run_case(case, small=chosen.small, threads=chosen.threads)
    rows = rows_of(cases)
    content = {
        "machine": {**machine(), "threads": chosen.threads},
        "cases": cases,
        "rows": rows,
        "targets": judged(rows),
    }
    if out:
        temporary = out.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(out)
    print(json.dumps(content["machine"]))
    print(table(content))
    seconds = sum(case["process_seconds"] for case in cases.values())
    print(f"\nprocessor time of all contenders: {seconds:.0f} s")


if __name__ == "__main__":
    main()
