"""A comparison with everything a report can show, made up, and a browser without a screen."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import struct
import subprocess
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay import Comparison, compare
from assay.comparing.compared_sets import ComparedSet
from assay.explanation import Explanation, GroupShare, Nearest

HOSTILE = "<img src=x onerror=alert(1)>.png"
HOSTILE_CLASS = "</script><script>alert(1)</script>"
HOSTILE_SET = "late\"'><svg onload=alert(1)>\u2028&amp;"


def png(red: int, green: int, blue: int, side: int = 8) -> bytes:
    """A small picture of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = b"".join(b"\0" + bytes((red, green, blue)) * side for _ in range(side))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def explained(
    bare: Comparison,
    features: dict[str, torch.Tensor],
    *,
    names: Callable[[int], str] | None,
    pictures: Callable[[int], bytes] | None,
) -> Comparison:
    """The comparison with sets, and with explanations of numbers that are drawn and not found."""
    sets = tuple(
        ComparedSet(
            name, name, x, len(x), "images",
            names=None if names is None else [names(k) for k in range(len(x))],
            thumbnails=None if pictures is None else [pictures(1000 * s + k) for k in range(len(x))],
        )
        for s, (name, x) in enumerate(features.items())
    )  # fmt: skip
    draws = np.random.default_rng(0)
    n = len(sets[0])
    explanations = []
    for candidate in sets[1:]:
        m = len(candidate)
        groups = tuple(
            GroupShare(f"{HOSTILE_CLASS}{k}", np.arange(k, m, 3), 0.5 - k, 0.4 - k, 0.6 - k) for k in range(3)
        )
        nearest = Nearest(draws.integers(0, n, m), np.linspace(0, 1, m, dtype=np.float32), np.arange(m) < 5)
        for name, direction in (
            ("fd[features]", "lower is better"),
            ("coverage[features]", "higher is better"),
        ):
            smooth = direction == "lower is better"
            explanations.append(
                Explanation(
                    name, name, candidate.name, direction,
                    draws.normal(size=m).astype(np.float32),
                    draws.normal(size=n).astype(np.float32) if smooth else None,
                    "made up", groups if smooth else (), 0.25 if smooth else None, nearest if smooth else None,
                )
            )  # fmt: skip
    return replace(bare, explanations=tuple(explanations), sets=sets)


def features_of(names: list[str], n: int = 60, d: int = 5) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {name: torch.randn(n, d, generator=g) * (1 + 0.3 * k) for k, name in enumerate(names)}


def with_classes(found: Comparison) -> Comparison:
    rows = [r for r in found.rows if r.measure in ("frechet_distance", "coverage")]
    labels = [HOSTILE_CLASS, "b10", "b9", "a"]
    classes = [
        replace(r, group=label, estimate=replace(r.estimate, corrected=float((7 * k) % 5), low=0.0, high=9.0))
        for r in rows
        for k, label in enumerate(labels)
    ]
    return replace(found, classes=tuple(classes))


@pytest.fixture(scope="session")
def bare() -> Comparison:
    """Two candidates, and nothing but numbers."""
    sets = features_of(["real", "early", HOSTILE_SET])
    real = sets.pop("real")
    return compare(real, sets, measures=["fd", "prdc", "vendi"], floor=True)


@pytest.fixture(scope="session")
def full(bare: Comparison) -> Comparison:
    """Everything, under hostile names."""
    made = explained(
        bare,
        features_of(["real", "early", HOSTILE_SET]),
        names=lambda k: f"{k:03} {HOSTILE}",
        pictures=lambda k: png(k % 256, k // 256 % 256, 80),
    )
    return with_classes(made)


@pytest.fixture(scope="session")
def steps() -> Comparison:
    """Three checkpoints of one training."""
    sets = features_of(["real", "step-20k", "step-10k", "step-5k"])
    real = sets.pop("real")
    return compare(real, sets, measures=["fd", "prdc"])


PATIENCE = 600  # seconds; a busy machine takes many of them for what is done in one


class Browser:
    """Chromium without a screen, driven over HTTP by chromedriver."""

    def __init__(self, driver: str, chromium: str) -> None:
        # it looks for a free port itself, says which, and by then it listens
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found is not None:
                break
        else:
            raise RuntimeError("chromedriver ended without a word of its port")
        self.base = f"http://127.0.0.1:{found[1]}"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options = {"binary": chromium, "args": flags}
        wanted = {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": options,
            "timeouts": {"pageLoad": PATIENCE * 1000, "script": PATIENCE * 1000},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=content, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=False)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._call("POST", f"{self.session}/url", {"url": page.as_uri()})

    def devtools(self, command: str, **parameters: Any) -> Any:
        body = {"cmd": command, "params": parameters}
        return self._call("POST", f"{self.session}/goog/cdp/execute", body)

    def run(self, script: str, *arguments: Any) -> Any:
        body = {"script": script, "args": list(arguments)}
        return self._call("POST", f"{self.session}/execute/sync", body)

    def sees(self, selector: str) -> list[list[int]]:
        """Width and height of the pictures in the element, once it is scrolled to and they have loaded."""
        script = (
            "const [selector, done] = arguments, shown = document.querySelector(selector);"
            "const pictures = [shown, ...shown.querySelectorAll('*')].filter(e => e.tagName === 'IMG');"
            "shown.scrollIntoView();"
            "Promise.all(pictures.map(i => i.naturalWidth || new Promise((yes, no) => {"
            "i.addEventListener('load', yes); i.addEventListener('error', no); })))"
            ".then(() => done(pictures.map(i => [i.naturalWidth, i.naturalHeight])), () => done('broken'))"
        )
        return self._call("POST", f"{self.session}/execute/async", {"script": script, "args": [selector]})

    def keys(self, selector: str, *keys: str) -> None:
        """Press keys on the element, as a person would."""
        self.run("document.querySelector(arguments[0]).focus()", selector)
        actions = [{"type": t, "value": k} for k in keys for t in ("keyDown", "keyUp")]
        self._call(
            "POST", f"{self.session}/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]}
        )

    def console(self) -> list[str]:
        """What the page complained of since the last call."""
        return [
            entry["message"] for entry in self._call("POST", f"{self.session}/se/log", {"type": "browser"})
        ]

    def alerted(self) -> bool:
        try:
            self._call("GET", f"{self.session}/alert/text")
        except urllib.error.HTTPError:
            return False
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._call("DELETE", self.session)
        self.process.terminate()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        pytest.skip("no chromium and chromedriver here")
    made = Browser(driver, chromium)
    yield made
    made.close()
