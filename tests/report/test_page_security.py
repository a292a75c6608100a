"""A page runs nothing but its own two inline texts, fetches nothing, and shows hostile names as text."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from assay import Comparison
from assay.report.html import as_page, write_page

from .page_parts import sections


def test_the_policy_allows_the_two_inline_texts_and_nothing_else(full: Comparison) -> None:
    page = as_page(full)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    policy = policy.replace("&#x27;", "'")
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_nothing_comes_from_elsewhere(full: Comparison) -> None:
    page = as_page(full)
    without_data = page.replace(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0], "")
    assert not re.search(r"https?:|//\w+\.|@import|url\(|\bfetch\(|XMLHttp|\bstyle=", without_data)
    assert set(re.findall(r'<\w+[^>]* (?:src|href)="([^"]*)"', without_data)) <= {
        "data:,", "#main", *(f"#{name}" for name in sections(page)),
    }  # fmt: skip


def test_names_of_undecodable_bytes_and_controls_are_shown_as_escapes(
    full: Comparison, tmp_path: Path
) -> None:
    odd = "a\udcff\x00\x1b\u202egnp.exe"
    sets = tuple(replace(one, names=[odd] * len(one)) for one in full.sets)
    write_page(replace(full, sets=sets), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_bytes().decode()
    assert r"a\udcff\x00\x1b\u202egnp.exe" in text
    assert not set("\x00\x1b\u202e") & set(text)
