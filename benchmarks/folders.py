"""Whole passes, from folders of images to the distance: ``python -m benchmarks.folders [case ...]``.

Every contender is a process of its own that starts from nothing but the two folders and a file of weights; its seconds
are of the whole call, imports and start apart. The Inception graph has random weights (none can be downloaded here, and
the work does not depend on them), the images are Fashion-MNIST's in `examples/`. Figures go to `folders.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
CASES: dict[str, tuple[tuple[str, ...], int]] = {
    # name: contenders, images in both folders together
    "inception": (
        ("assay, legacy-pytorch", "pytorch-fid", "assay, legacy-tensorflow", "torch-fidelity"),
        500,
    ),
    "lite0": (("assay", "eager PyTorch, same reader"), 1000),
    "again": (("assay", "assay, second run"), 2000),
}


def folders(root: Path, count: int) -> tuple[str, str]:
    """Half of the images each of the real and the late example, as files."""
    for name in ("real", "late"):
        (root / name).mkdir()
        with zipfile.ZipFile(EXAMPLES / f"{name}.zip") as archive:
            for k, member in enumerate(
                sorted(n for n in archive.namelist() if n.endswith(".png"))[: count // 2]
            ):
                (root / name / f"{k:05d}.png").write_bytes(archive.read(member))
    return str(root / "real"), str(root / "late")


def _assay(real: str, late: str, features: str, **how: Any) -> float:
    import assay

    found = assay.compare(real, {"late": late}, features=features, measures="fd", **how)
    return found["late", "fd"].value


def _pytorch_fid(real: str, late: str, weights: str) -> float:
    import torch

    from . import peers

    peers._torchvision_names()
    import pytorch_fid.inception as package
    from pytorch_fid.fid_score import calculate_fid_given_paths

    state = torch.load(weights, weights_only=True)
    package.load_state_dict_from_url = lambda *_, **__: state
    # what its own command takes by default here
    return float(
        calculate_fid_given_paths([real, late], 50, "cpu", 2048, num_workers=min(os.cpu_count() or 1, 8))
    )


def _torch_fidelity(real: str, late: str, weights: str) -> float:
    from . import peers

    peers._torchvision_names()
    from torch_fidelity import calculate_metrics

    found = calculate_metrics(
        input1=real, input2=late, fid=True, cuda=False, cache=False, verbose=False,
        feature_extractor_weights_path=weights,
    )  # fmt: skip
    return float(found["frechet_inception_distance"])


def _eager(real: str, late: str) -> float:
    import torch

    import assay
    from assay.data import batches, open_images
    from assay.features import get_extractor

    module = get_extractor("efficientnet-lite0", device="cpu")
    network = module.torch_module().network

    def features(folder: str) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat(
                [network(b.images)[0] for b in batches(open_images(folder), transform=module.transform)]
            )

    return float(assay.frechet_distance(features(real), features(late)))


def contenders(real: str, late: str, weights: str) -> dict[str, dict[str, Callable[[], float]]]:
    def inception(resize: str) -> Callable[[], float]:
        return lambda: _assay(real, late, "inception", resize=resize, weights=weights, cache=False)

    lite = "efficientnet-lite0"
    return {
        "inception": {
            "assay, legacy-pytorch": inception("legacy-pytorch"),
            "assay, legacy-tensorflow": inception("legacy-tensorflow"),
            "pytorch-fid": lambda: _pytorch_fid(real, late, weights),
            "torch-fidelity": lambda: _torch_fidelity(real, late, weights),
        },
        "lite0": {
            "assay": lambda: _assay(real, late, lite, cache=False),
            "eager PyTorch, same reader": lambda: _eager(real, late),
        },
        "again": {
            "assay": lambda: _assay(real, late, lite),
            "assay, second run": lambda: _assay(real, late, lite),
        },
    }


def child(case: str, contender: str, real: str, late: str, weights: str) -> None:
    import torch  # noqa: F401

    import assay.features  # noqa: F401

    call = contenders(real, late, weights)[case][contender]
    start = time.perf_counter()
    value = call()
    print("RESULT " + json.dumps({"seconds": time.perf_counter() - start, "value": value}))


def run(case: str, root: Path, weights: str, save: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    names, count = CASES[case]
    (root / case).mkdir()
    real, late = folders(root / case, count)
    os.environ["ASSAY_HOME"] = str(root / "home")
    out: dict[str, Any] = {"images": count}
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.folders", "--child", case, name, real, late, weights],
            capture_output=True, text=True, cwd=HERE.parent, check=False,
        )  # fmt: skip
        line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
        if line is None:
            raise RuntimeError(f"{case}, {name}: {done.stderr.strip()[-800:]}")
        got = json.loads(line.removeprefix("RESULT "))
        got["images_per_second"] = count / got["seconds"]
        got["load"] = os.getloadavg()[0]
        out[name] = got
        save(out)
        print(f"  {case}: {name}: {got['seconds']:.1f} s, {got['value']:.6g}", file=sys.stderr)
    return out


def _weights(path: Path) -> str:
    import importlib.util

    import torch

    from assay.features import inception_network

    spec = importlib.util.spec_from_file_location("docs_protocols", HERE.parent / "docs" / "protocols.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = inception_network.InceptionNetwork()
    torch.save(module.random_state(network), path)
    return str(path)


def warm(weights: str, root: Path) -> None:
    """The network is exported once, at the first use of a machine: it is not part of what is timed."""
    (root / "warm").mkdir()
    real, late = folders(root / "warm", 16)
    os.environ["ASSAY_HOME"] = str(root / "home")
    for features, how in (("inception", {"weights": weights}), ("efficientnet-lite0", {})):
        start = time.perf_counter()
        _assay(real, late, features, cache=False, **how)
        print(f"  export of {features}: {time.perf_counter() - start:.1f} s", file=sys.stderr)


def main(wanted: list[str]) -> None:
    from .run import machine

    target = HERE / "folders.json"
    results = json.loads(target.read_text()) if target.is_file() else {}
    results["machine"] = machine()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        weights = _weights(root / "weights.pth")
        warm(weights, root)
        for case in wanted or CASES:

            def save(rows: dict[str, Any], case: str = case) -> None:
                target.write_text(json.dumps({**results, case: rows}, indent=2) + "\n")

            results[case] = run(case, root, weights, save)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main(sys.argv[1:])
