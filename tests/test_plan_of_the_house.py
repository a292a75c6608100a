"""Data flows one way, rooms know only what they stand on, and importing assay imports nothing heavy."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import assay

ROOT = Path(assay.__file__).parent
ROOMS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} - {
    "commands",
    "comparing",
    "explaining",
    "scoring",
}
CONTRACT = {
    "arguments", "batch_arguments", "batch_law_inputs", "batch_laws", "batch_loss", "batch_objective", "checks",
    "conditional", "conditional_objective", "contrast", "declaration", "devices", "drawing", "errors",
    "estimate", "gradient_laws", "home", "joint", "law_inputs", "laws", "measure", "note", "objective",
    "pair_arguments", "pair_estimate", "pair_law_inputs", "pair_laws", "pair_metric", "pairs", "per_class",
    "permutation",
    "population", "printable", "resample", "set_measure", "several_objectives", "spread", "stream", "trace", "tracker",
    "version", "warm_up", "weighting", "written_whole",
}  # fmt: skip
MAIN_JOB = {
    "__init__", "__main__", "check", "check_kinds", "cli", "clip_scores", "commands", "compare", "comparing",
    "comparison", "direction", "explain", "explaining", "explanation", "fail_if", "make_reference",
    "measure_by_name", "report_maps", "total", "score", "scoring",
}  # fmt: skip

# what a room may import of assay, beside itself
MAY = {
    "scale": {"errors"},
    "statistics": {"errors", "scale", "written_whole"},
    "sets": CONTRACT | {"scale", "statistics"},
    "data": {"errors"},
    "features": {"errors", "checks", "data", "devices", "home", "scale", "written_whole"},
    "references": {"errors", "data", "printable", "sets", "statistics", "written_whole"},
    "embeddings": CONTRACT | {"scale"},
    "images": CONTRACT | {"features", "scale"},
    "attribution": CONTRACT | {"features", "sets", "statistics", "scale", "explanation", "measure_by_name"},
    "report": CONTRACT | {"comparison", "direction", "explanation", "measure_by_name"},
    "history": CONTRACT | {"comparison", "direction", "data", "report"},
    # other libraries' interfaces stand on the main job
    "adapters": CONTRACT
    | {"statistics", "scale", "data", "features", "report", "compare", "comparing", "comparison"},
}


def imported(path: Path) -> set[str]:
    """The first names below `assay` that a file imports when it is run; those for type checkers alone do not count."""
    package = ("assay", *path.relative_to(ROOT).with_suffix("").parts[:-1])
    found = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            full = (*base, *(node.module.split(".") if node.module else ()))
            if full[:1] == ("assay",):
                found.update([full[1]] if len(full) > 1 else [alias.name for alias in node.names])
        if isinstance(node, ast.Import):
            found.update(a.name.split(".")[1] for a in node.names if a.name.startswith("assay."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def owner(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@functools.cache
def edges() -> frozenset[tuple[str, str]]:
    return frozenset((owner(p), name) for p in ROOT.rglob("*.py") for name in imported(p) if name != owner(p))


def test_every_file_is_in_the_plan() -> None:
    loose = {path.stem for path in ROOT.glob("*.py")}
    assert loose | {"commands", "comparing", "explaining", "scoring"} == CONTRACT | MAIN_JOB
    assert set(MAY) == ROOMS


@pytest.mark.parametrize("room", sorted(MAY))
def test_a_room_imports_only_what_it_stands_on(room: str) -> None:
    known = ROOMS | CONTRACT | MAIN_JOB
    used = {to for source, to in edges() if source == room and to in known}
    assert used <= MAY[room]


def test_the_contract_knows_no_room_of_measures() -> None:
    used = {to for source, to in edges() if source in CONTRACT}
    assert used & (ROOMS | MAIN_JOB) <= {"scale", "statistics"}


def test_no_circle_among_rooms() -> None:
    graph = {room: {to for source, to in edges() if source == room and to in ROOMS} for room in ROOMS}
    while graph:
        leaves = {room for room, uses in graph.items() if not uses & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {room: uses for room, uses in graph.items() if room not in leaves}


def test_importing_assay_imports_nothing_heavy() -> None:
    program = "import sys, assay; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" in loaded
    heavy = {
        "PIL",
        "onnx",
        "onnxruntime",
        "rich",
        "typer",
        "hypothesis",
        "torchmetrics",
        "scipy",
        "sklearn",
        "pandas",
        "pyarrow",
        "fsspec",
        "timm",
        "open_clip",
        "transformers",
        "torchvision",
        "matplotlib",
        "lightning",
        "tensorboard",
        "wandb",
        "mlflow",
        "accelerate",
        "sqlite3",
    }
    assert not heavy & set(loaded)
