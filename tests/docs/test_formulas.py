"""No formula of the documentation shows a command that its converter did not know."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml")
ROOT = Path(__file__).parents[2]


def hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "latex,shown",
    [
        (r"\Big\{ a \Big\}", "{a}"),
        (r"\Big\lVert a \Big\rVert", "‖a‖"),
        (r"\arg\min_x f", "argminxf"),
    ],
)
def test_what_the_converter_leaves_is_said_in_signs(latex, shown):
    text = re.sub(r"<[^>]*>", "", hooks().mathml(latex, "inline"))
    assert re.sub(r"&#x0*([0-9A-F]+);", lambda m: chr(int(m[1], 16)), text) == shown


def test_no_formula_of_a_docstring_holds_a_command():
    """Formulas stand in the docstrings between dollars; code that has dollars has quotes too."""
    broken, seen = [], 0
    made = hooks().mathml
    for path in sorted((ROOT / "src").rglob("*.py")):
        for block in re.findall(r"\$\$?(?=\S)(.+?)(?<=\S)\$\$?", path.read_text(encoding="utf-8"), re.DOTALL):
            if "\\" not in block or '"' in block:
                continue
            seen += 1
            text = re.sub(r"<[^>]*>", "", made(block, "inline"))
            if "\\" in text:
                broken.append((path.name, block.strip()[:60], re.findall(r"\\\w*", text)))
    assert not broken
    assert seen > 50
