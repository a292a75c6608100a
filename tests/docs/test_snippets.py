"""What the README and the documentation show is run here, and prints what they say it prints.

python tests/docs/test_snippets.py --write [PAGE ...]   puts what is printed now into the pages, to be read before
                                                        committed
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(python|sh)\n(.*?)^```\n(?:\n?^```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# these install, or look at a thousand images with a network: run whole by .ci/run
RUN_BY_CI = (".venv/bin/",)


@dataclass(frozen=True)
class Snippet:
    """A block, and the output shown under it."""

    language: str
    code: str
    output: str | None
    line: int


def snippets(page: str) -> list[Snippet]:
    return [Snippet(m[1], m[2], m[3], page.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(page)]


def run(snippet: Snippet, scope: dict[str, object], said: list[str]) -> str:
    """What the block prints; python blocks of a page share their names, as a reader's session does."""
    if snippet.language == "python":
        said.append(snippet.code)
        # on disk, because a function defined here may be read again from its file
        module = Path("my_module.py")
        module.write_text("\n" * sum(s.count("\n") for s in said[:-1]) + snippet.code)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(module.read_text(), str(module.resolve()), "exec"), scope)
        return out.getvalue()
    module = Path("my_module.py")
    if said:
        module.write_text(said[0])
    printed = []
    for line in snippet.code.replace("\\\n", " ").splitlines():
        if line.startswith("assay "):
            command = [sys.executable, "-m", *line.split("#")[0].split()]
            env = {**os.environ, "COLUMNS": "84", "NO_COLOR": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            printed.append(done.stdout)
    return "".join(printed)


def differences(shown: str, printed: str) -> str | None:
    """None where both say the same: words exactly, numbers to one in a hundred."""
    if " ".join(NUMBER.sub("#", shown).split()) != " ".join(NUMBER.sub("#", printed).split()):
        return f"the page shows\n{shown}\nand this was printed\n{printed}"
    for a, b in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        if abs(float(a) - float(b)) > 1e-2 * abs(float(a)) + 2e-3:
            return f"the page shows {a}, printed was {b}\n{printed}"
    return None


def in_workplace(folder: Path) -> contextlib.AbstractContextManager[None]:
    """A fresh folder that has the example sets, as a checkout has them."""
    (folder / "examples").symlink_to(ROOT / "examples")
    return contextlib.chdir(folder) if sys.version_info >= (3, 11) else _chdir(folder)


@contextlib.contextmanager
def _chdir(folder: Path):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_snippets_print_what_the_page_shows(page: Path, tmp_path: Path):
    scope: dict[str, object] = {"__name__": "my_module"}
    said: list[str] = []
    with in_workplace(tmp_path):
        for snippet in snippets(page.read_text()):
            if any(word in snippet.code for word in RUN_BY_CI):
                continue
            printed = run(snippet, scope, said)
            if snippet.language == "python" and "print(" in snippet.code:
                assert snippet.output is not None, (
                    f"line {snippet.line}: prints, and the page does not show what"
                )
            if snippet.output is not None:
                wrong = differences(snippet.output, printed)
                assert wrong is None, f"line {snippet.line}: {wrong}"


def test_a_page_that_shows_another_number_or_word_is_caught():
    assert differences("value 1.00\n", "value 1.001\n") is None
    assert "1.05" in str(differences("value 1.00\n", "value 1.05\n"))
    assert differences("lower is better", "higher is better") is not None
    (only,) = snippets("x\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n")
    assert (only.code, only.output, only.line) == ("print(1)\n", "1\n", 3)


def test_every_public_measure_has_a_page_in_the_navigation():
    import assay

    navigation = (ROOT / "mkdocs.yml").read_text()
    for name in assay.sets.__all__:
        thing = getattr(assay.sets, name)
        if isinstance(thing, (assay.Measure, assay.Joint)):
            assert f"measures/{name}.md" in navigation, name
            assert (ROOT / "docs" / "measures" / f"{name}.md").is_file(), name


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def rewrite(page: Path) -> None:
    import tempfile

    text = page.read_text()
    scope: dict[str, object] = {"__name__": "my_module"}
    said: list[str] = []

    def shown(m: re.Match[str]) -> str:
        if any(word in m[2] for word in RUN_BY_CI):
            return m[0]
        try:
            printed = run(Snippet(m[1], m[2], m[3], 0), scope, said)
        except Exception as error:
            print(f"{page}: left as it was: {error}", file=sys.stderr)
            return m[0]
        block = f"```{m[1]}\n{m[2]}```\n"
        wanted = (
            m[1] == "python" or m[3] is not None
        )  # a command's output is shown where a page shows it already
        return f"{block}\n```text\n{printed.rstrip()}\n```\n" if printed.strip() and wanted else block

    with tempfile.TemporaryDirectory() as folder, in_workplace(Path(folder)):
        text = FENCE.sub(shown, text)
    page.write_text(text)


def check_first_output(printed: Path) -> None:
    """What the README's first command printed is what the README shows."""
    page = PAGES[0].read_text()
    (shown,) = re.findall(r"^```text\n(real: .*?)^```\n", page, re.DOTALL | re.MULTILINE)
    wrong = differences(shown, printed.read_text())
    if wrong is not None:
        sys.exit(f"README.md: {wrong}")
    print("as the README shows")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        for each in [Path(page).resolve() for page in sys.argv[2:]] or PAGES:
            rewrite(each)
    elif sys.argv[1:2] == ["--first"]:
        check_first_output(Path(sys.argv[2]))
