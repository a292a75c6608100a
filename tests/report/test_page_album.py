"""The pictures a page carries: each once, within the budget, and nothing that is no picture."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
import torch

import assay.report.html.album as album_file
from assay import Comparison
from assay.report.html import as_page
from assay.report.html.album import album_of

from .page_parts import data_of


def test_each_picture_is_carried_once(full: Comparison) -> None:
    same = [full.sets[0].thumbnails[0]] * len(full.sets[0])
    sets = tuple(replace(one, thumbnails=same) for one in full.sets)
    assert len(data_of(as_page(replace(full, sets=sets)))["pictures"]) == 1
    assert len(data_of(as_page(full))["pictures"]) == sum(map(len, full.sets))


def test_pictures_stop_at_the_budget_the_least_important_first(
    full: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(4 * ((len(p) + 2) // 3) for one in full.sets for p in one.thumbnails)
    real = full.sets[0]
    wanted = [(real.name, k) for k in range(10)]
    album = album_of(full.sets, {}, wanted[5:7], wanted, budget=4 * size)
    assert sorted(key[1] for key in album.at) == [0, 1, 5, 6] and album.left_out == 6
    monkeypatch.setattr(album_file.album_of, "__defaults__", (10 * size,))
    page = as_page(full)
    assert sum(map(len, data_of(page)["pictures"])) <= 10 * size
    assert "pictures were left out" in page and "no picture" in page


class Lazy:
    """As many large thumbnails as are asked for."""

    def __len__(self) -> int:
        return 50_000

    def __getitem__(self, row: int) -> bytes:
        return b"\xff\xd8\xff" + row.to_bytes(4, "big") * 2250


def test_fifty_thousand_large_thumbnails_give_less_than_25_megabytes(full: Comparison) -> None:
    n = 50_000
    features = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    names = [f"a/folder/of/images/{k:06}.png" for k in range(n)]
    sets = tuple(
        replace(one, features=features + k, names=names, thumbnails=Lazy()) for k, one in enumerate(full.sets)
    )
    size = len(as_page(replace(full, sets=sets)).encode())
    assert 19e6 < size < 25e6


def test_bytes_that_are_no_picture_are_not_carried(full: Comparison) -> None:
    sets = tuple(replace(one, thumbnails=[b"", b"<svg onload=alert(1)>"] * 30) for one in full.sets)
    assert data_of(as_page(replace(full, sets=sets)))["pictures"] == []


def test_heat_maps_come_with_a_toggle(full: Comparison) -> None:
    key = (full.sets[1].name, int(full.explanations[0].badness().argmax()))
    heat = b"\x89PNG\r\n\x1a\nheat"
    page = as_page(full, {key: heat})
    assert 'id="maps"' in page and base64.b64encode(heat).decode() in data_of(page)["pictures"]
    assert 'id="maps"' not in as_page(full)
