"""What the pages are made from beside their own text: measured figures, the measures' own facts, formulas as MathML.

MathML needs no script and nothing from elsewhere: the pages read the same offline.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MARK = re.compile(r"<!-- (facts|figures): ([\w-]+) -->")
DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)
# drawn as a border: without a mathematical font a bar does not stretch
OVERLINE = re.compile(r"<mover>(<mrow>(?:(?!<mover>).)*?</mrow>)<mo[^>]*>&#x0*2015;</mo></mover>", re.DOTALL)
# names that the converter leaves as they were written, behind \Big and by themselves
ESCAPED = re.compile(r">\\([A-Za-z]+|[|{}])<")
NORMS = {"lVert": "‖", "rVert": "‖", "|": "‖", "langle": "⟨", "rangle": "⟩"}
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put tables in the marked places."""
    return MARK.sub(lambda found: (facts if found[1] == "facts" else figures)(found[2]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Formulas as MathML."""
    content = DISPLAY.sub(lambda found: f'<div class="arithmatex">{mathml(found[1], "block")}</div>', content)
    return INLINE.sub(lambda found: f'<span class="arithmatex">{mathml(found[1], "inline")}</span>', content)


def mathml(escaped: str, display: str) -> str:
    """MathML of a formula in LaTeX, as it stands in HTML."""
    from latex2mathml.converter import convert

    latex = html.unescape(escaped).strip()
    # forms the converter does not know, said with those it does
    latex = latex.replace(r"\mathbf 1", r"\mathbf{1}").replace(r"\,", r"\;")
    found = OVERLINE.sub(r'<mrow class="overline">\1</mrow>', str(convert(latex, display=display)))
    return ESCAPED.sub(lambda each: f">{NORMS.get(each[1], each[1])}<", found)


def facts(name: str) -> str:
    """What a measure promises, as the contract holds it."""
    import assay

    rooms = (assay, assay.sets, assay.embeddings, assay.images)
    m = next(found for room in rooms if (found := getattr(room, name, None)) is not None)
    if isinstance(m, assay.BatchObjective):
        return batch_facts(m)
    if isinstance(m, assay.PairMeasure):
        return pair_facts(m)
    unbiased = "yes" if m.is_unbiased() else "no"
    if callable(m.unbiased):
        unbiased += ", by default"
    spread = "half-samples without replacement; not bias-corrected"
    if m.spread == "influences":
        spread = "influences; no bias to correct" if m.is_unbiased() else "influences; bias by half-splits"
    bounds = f"{'-∞' if m.lower is None else f'{m.lower:g}'} to {'∞' if m.upper is None else f'{m.upper:g}'}"
    laws = ", ".join(law.__name__.replace("_", " ") for law in m.laws) or "those of every measure"
    lines = [
        ("Better", {"min": "lower ↓", "max": "higher ↑"}[m.best]),
        ("Bounds", bounds),
        ("Of each set it needs", f"`{m.statistic.__name__}`"),
        ("Options", ", ".join(f"`{k}={v}`" for k, v in m.options.items()) or "none"),
        ("Unbiased", unbiased),
        ("Error bar", spread),
        ("Training signal", "yes" if m.differentiable else "no: piecewise constant in the samples"),
        ("Declared laws", laws),
        ("Source", m.reference),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| **{k}** | {v} |" for k, v in lines)


def batch_facts(m: Any) -> str:
    """What a batch objective promises."""
    bounds = f"{'-∞' if m.lower is None else f'{m.lower:g}'} to {'∞' if m.upper is None else f'{m.upper:g}'}"
    laws = ", ".join(law.__name__.replace("_", " ") for law in m.laws) or "those of every batch objective"
    lines = [
        ("Better", {"min": "lower ↓", "max": "higher ↑"}[m.best]),
        ("Bounds", bounds),
        ("Of a batch it needs", ", ".join(f"`{part}`" for part in m.batch)),
        ("Laws", laws),
        ("Source", m.reference),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| **{what}** | {value} |" for what, value in lines)])


def pair_facts(m: Any) -> str:
    """What a pair measure promises."""
    bounds = f"{'-∞' if m.lower is None else f'{m.lower:g}'} to {'∞' if m.upper is None else f'{m.upper:g}'}"
    options = ", ".join(f"`{k}={v}`" for k, v in m.options.items())
    lines = [
        ("Better", {"min": "lower ↓", "max": "higher ↑"}[m.best]),
        ("Bounds", bounds),
        ("Of a pair it needs", ", ".join(f"`{member}`" for member in m.members)),
        ("Options", html.escape(options).replace("|", r"\|") or "none"),
        ("Map", "yes" if m.map_function else "no"),
        ("Training signal", "yes" if m.differentiable else "no"),
        (
            "Declared laws",
            ", ".join(law.__name__.replace("_", " ") for law in m.laws) or "those of every pair measure",
        ),
        *(("Exception", f"{law.replace('_', ' ')}: {why}") for law, why in m.exceptions.items()),
        ("Source", m.reference),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| **{what}** | {value} |" for what, value in lines)])


def figures(name: str) -> str:
    """A table of measured figures, or a sentence that says which script makes them."""
    path, make, script = FIGURES[name]
    if not (ROOT / path).is_file():
        return f"*No figures here yet: run `{script}`, which writes `{path}`.*"
    return make(json.loads((ROOT / path).read_text()))


def budget_table(rows: list[dict[str, Any]]) -> str:
    """A table a measure, and why its numbers differ."""
    versions = sorted({f"{r['peer']} {r['version']}" for r in rows})
    out = [f"Measured with {', '.join(versions)}."]
    for measure in dict.fromkeys(r["measure"].split(",")[0] for r in rows):
        own = [r for r in rows if r["measure"].split(",")[0] == measure]
        out += [
            "",
            f"### {measure.replace('_', ' ').capitalize().replace('frechet', 'Fréchet').replace('Frechet', 'Fréchet')}",
            "",
        ]
        out += ["| package | case | theirs | assay | differ by | budget | |", "|---|---|---|---|---|---|---|"]
        reasons = list(dict.fromkeys(r["why"] for r in own))
        for r in own:
            kind = ",".join(r["measure"].split(",")[1:]).strip()
            case = f"{r['case']}, {kind}" if kind and kind != r["case"] else r["case"]
            budget = "other definition" if r["budget"] is None else power(r["budget"])
            out.append(
                f"| {r['peer']} | {case} | {r['peer_value']:.6g} | {r['assay']:.6g} | {power(r['difference'])} "
                f"| {budget} | {'abcdefgh'[reasons.index(r['why'])]} |"
            )
        out += ["", *(f"{'abcdefgh'[k]}. {why[0].upper()}{why[1:]}.  " for k, why in enumerate(reasons))]
    return "\n".join(out)


def power(value: float) -> str:
    """0.00002 as 2·10⁻⁵."""
    if value == 0 or value >= 1e-3:
        return f"{value:.2g}"
    digits, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}·10{raised}" if digits != "1" else f"10{raised}"


def coverage_table(content: dict[str, Any]) -> str:
    """How often intervals held the truth, case by case."""
    rows, level = content["rows"], content["settings"]["level"]
    out = [f"{content['settings']['redraws']} redraws a line; the intervals are of {100 * level:g}%."]
    for case in dict.fromkeys(r["case"] for r in rows):
        own = [r for r in rows if r["case"] == case]
        out += ["", f"### {case[0].upper()}{case[1:]}, d = {own[0]['d']}", ""]
        out += [
            "| measure | n | truth | mean value | mean corrected | held the truth | error / spread |",
            "|---|---|---|---|---|---|---|",
        ]
        for r in own:
            ratio = f"{r['ratio']:.2f}" if r["ratio"] is not None else "no spread"
            truth = f"{r['truth']:.4g}" + ("" if r["truth_from"] == "closed form" else r"\*")
            out.append(
                f"| {r['measure'].replace('_', ' ')} | {r['n']} | {truth} | {r['mean_value']:.3g} "
                f"| {r['mean_corrected']:.3g} | {100 * r['coverage']:.1f}% | {ratio} |"
            )
    out += [
        "",
        "\\* Not a closed form: the mean over the redraws for neighbour measures, else one very large sample.",
    ]
    return "\n".join(out)


def benchmark_table(content: dict[str, Any]) -> str:
    """Seconds and memory side by side, and which targets are met."""
    out = []
    for name, contenders in content["cases"].items():
        own = next(r for c, r in contenders.items() if c.startswith("assay"))["median_seconds"]
        out += ["", f"### {name.replace('_', ' ').capitalize()}", ""]
        out += ["| | seconds, median | times assay's | peak memory above inputs |", "|---|---|---|---|"]
        for contender, r in contenders.items():
            seconds = r["median_seconds"]
            out.append(f"| {contender} | {seconds:.3g} | {seconds / own:.2g} | {r['peak_mib']:.0f} MiB |")
    out += ["", "### Targets", "", "| target | reached | met |", "|---|---|---|"]
    out += [f"| {t['what']} | {t['got']} | {'yes' if t['met'] else '**no**'} |" for t in content["targets"]]
    machine = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in content.get("machine", {}).items())
    return "\n".join([f"Measured on: {machine}." if machine else "", *out])


def folder_table(content: dict[str, Any]) -> str:
    """Whole passes side by side: images a second, and the distance each found."""
    out = []
    for case, title in (
        ("inception", "Two folders of images, the Inception graph, the Fréchet distance"),
        ("lite0", "The same with EfficientNet-Lite0"),
        ("again", "The same images a second time, EfficientNet-Lite0"),
    ):
        if case not in content:
            continue
        rows = {name: row for name, row in content[case].items() if isinstance(row, dict)}
        out += ["", f"### {title}", "", f"{content[case]['images']:,} images in both folders together.", ""]
        out += ["| | seconds | images a second | distance |", "|---|---|---|---|"]
        for name, row in rows.items():
            out.append(
                f"| {name} | {row['seconds']:.3g} | {row['images_per_second']:.3g} | {row['value']:.6g} |"
            )
    return "\n".join(out)


def protocol_table(rows: list[dict[str, Any]]) -> str:
    """Each package on each set of images."""
    compared = [r for r in rows if "peer" in r]
    head = "| package | protocol | images | FD | features |\n|---|---|---|---|---|"
    return "\n".join(
        [
            head,
            *(
                f"| {r['peer']} {r['version']} | `{r['protocol']}` | {r['count']} and {r['count']} of {r['case']} "
                f"| {r['difference']:.1e} | {r['features']:.1e} |"
                for r in compared
            ),
        ]
    )


def resizing_table(rows: list[dict[str, Any]]) -> str:
    """What each rule of resizing does to the same distance."""
    shown = [r for r in rows if "resize" in r]
    named = list(dict.fromkeys(r["case"] for r in shown))
    lines = [f"| resizing | {' | '.join(named)} |", "|---" * (len(named) + 1) + "|"]
    for resize in dict.fromkeys(r["resize"] for r in shown):
        found = {r["case"]: r["beside_clean"] for r in shown if r["resize"] == resize}
        lines.append(f"| `{resize}` | {' | '.join(f'{found[case]:+.1%}' for case in named)} |")
    return "\n".join(lines)


def deletion_table(content: dict[str, Any]) -> str:
    """Maps against random ones: how much sooner the influence falls, and how often they point at the fault."""
    s = content["settings"]
    out = [
        f"{s['explained']} crops of {s['photographs']} photographs; intervals of 95% over photographs. Deletion: the "
        "area under the curve of random orders minus the map's, over the whole fall: above 0 is better than random.",
        "",
        "| measure | samples a set | map | test | result | by chance |",
        "|---|---|---|---|---|---|",
    ]
    for r in content["rows"]:
        chance = f"{r['by_chance']:.2f}" if "by_chance" in r else "0"
        out.append(
            f"| {r['measure']} | {r['samples']} | {r['map']} | {r['test']} (n = {r['n']}) "
            f"| {r['mean']:.2f} [{r['low']:.2f}, {r['high']:.2f}] | {chance} |"
        )
    return "\n".join(out)


def image_benchmark_table(content: dict[str, Any]) -> str:
    """Each measure, pass and convention beside the best peer of the same convention, and of any."""
    machine = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in content["machine"].items())
    versions = sorted({f"{k} {v}" for case in content["cases"].values() for k, v in case["versions"].items()})
    out = [f"Measured on: {machine}; beside {', '.join(versions)}.", ""]
    out += [
        "| measure | pass | convention | assay, ms | best peer of the convention | best peer of any | peak memory "
        "| leanest peer | values differ by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in content["rows"]:
        same, best = (f"{b['peer']}: {b['times']:.1f} times" if b else "none" for b in (r["same"], r["any"]))
        lean = f"{r['leanest']['peak_mib']:.0f} MiB ({r['leanest']['peer']})" if r["leanest"] else "none"
        apart = "" if r["difference"] is None else power(r["difference"])
        why = f": {r['why']}" if r["why"] else ""
        out.append(
            f"| `{r['measure']}`, {r['size']} | {r['pass']} | {r['convention']} | {1000 * r['seconds']:.3g} | {same} "
            f"| {best} | {r['peak_mib']:.0f} MiB | {lean} | {apart}{why} |"
        )
    out += ["", "### Targets", "", "| target | reached | met |", "|---|---|---|"]
    out += [f"| {t['what']} | {t['got']} | {'yes' if t['met'] else '**no**'} |" for t in content["targets"]]
    return "\n".join(out)


FIGURES: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "images": ("benchmarks/images.json", image_benchmark_table, "python -m benchmarks.images"),
    "error-budgets": ("docs/error_budgets.json", budget_table, "python docs/error_budgets.py --write"),
    "protocols": ("docs/protocols.json", protocol_table, "python docs/protocols.py --write"),
    "resizing": ("docs/protocols.json", resizing_table, "python docs/protocols.py --write"),
    "coverage": ("studies/coverage.json", coverage_table, "python studies/coverage.py"),
    "folders": ("benchmarks/folders.json", folder_table, "python -m benchmarks.folders"),
    "deletion": ("studies/deletion.json", deletion_table, "python studies/deletion.py"),
    "benchmarks": ("benchmarks/results.json", benchmark_table, "python -m benchmarks.run"),
    "training": ("benchmarks/training.json", benchmark_table, "python -m benchmarks.training"),
}
