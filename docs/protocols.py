"""By how much does a protocol's value differ from the original package's? The same images, the same random weights.

    python docs/protocols.py          prints what is measured now
    python docs/protocols.py --write  also rewrites protocols.json, which the page shows
    python docs/protocols.py --count 20 --write   from fewer images a set: it takes a second an image

Needs the extra `bench`. The images are Fashion-MNIST's in `examples/real.zip` and `examples/early.zip`, and crops of
scikit-image's photographs, sharp against blurred. The weights are random, so that nothing is downloaded: a value here
means nothing by itself, the difference between two packages does. Every distance is by `assay.frechet_distance`, so
that what differs is the way from an image to its features; the distance itself is in error_budgets.py.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from error_budgets import name_missing_operators

import assay
from assay.features import get_extractor, inception_network

HERE = Path(__file__).parent
COUNT = 60  # images a set
SHOWN = ("clean", "legacy-pytorch", "legacy-tensorflow", "legacy-pil-bilinear")
Images = list[np.ndarray]


def random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights under which every layer has an effect and images stay apart."""
    draw = np.random.RandomState(0)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if value.ndim == 4:
            x = draw.randn(*value.shape) * (2 / value[0].numel()) ** 0.5
        elif value.ndim == 2:
            x = draw.randn(*value.shape) * 0.05
        elif name.endswith("running_var"):
            x = draw.uniform(0.5, 1.5, value.shape)
        elif name.endswith("bn.weight"):
            x = draw.uniform(0.7, 1.3, value.shape)
        else:
            x = 0.1 * draw.randn(*value.shape)
        state[name] = torch.from_numpy(x.astype(np.float32))
    return state


def zipped(path: Path, count: int) -> Images:
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))[:count]
        return [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]


def photographs(side: int, count: int) -> tuple[Images, Images]:
    """Random crops of photographs at one size, and others of the same, blurred a little."""
    from skimage import data, filters

    whole = [getattr(data, name)() for name in ("astronaut", "coffee", "rocket")]
    rng = np.random.default_rng(0)

    def crops() -> Iterator[np.ndarray]:
        for i in range(count):
            photograph = whole[i % len(whole)]
            top, left = (rng.integers(0, n - side + 1) for n in photograph.shape[:2])
            yield np.ascontiguousarray(photograph[top : top + side, left : left + side])

    real = list(crops())
    blurred = [filters.gaussian(c, 1.0, channel_axis=2, preserve_range=True) for c in crops()]
    return real, [np.rint(c).astype(np.uint8) for c in blurred]


def cases(count: int) -> dict[str, tuple[Images, Images]]:
    """Real and generated images by the name that the page shows."""
    examples = HERE.parent / "examples"
    return {
        "Fashion-MNIST, 28 x 28": (
            zipped(examples / "real.zip", count),
            zipped(examples / "early.zip", count),
        ),
        "photographs, 400 x 400": photographs(400, count),
    }


def of_pytorch_fid(images: Images, state: dict[str, torch.Tensor]) -> np.ndarray:
    import pytorch_fid.inception as package

    package.load_state_dict_from_url = lambda *_, **__: state
    network = package.InceptionV3([3]).eval()
    return in_batches(images, lambda u: network(torch.stack([t.float() / 255 for t in u]))[0].flatten(1))


def of_torch_fidelity(images: Images, state: dict[str, torch.Tensor]) -> np.ndarray:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "w.pth")
        network = FeatureExtractorInceptionV3(
            "inception", ["2048"], feature_extractor_weights_path=str(Path(folder) / "w.pth")
        )
    return in_batches(images, lambda u: network(torch.stack(u))[0])


def of_clean_fid(images: Images, state: dict[str, torch.Tensor]) -> np.ndarray:
    """Its resizer, and in place of its network, which is only published compiled, pytorch-fid's."""
    import pytorch_fid.inception as package
    from cleanfid.resize import build_resizer

    package.load_state_dict_from_url = lambda *_, **__: state
    network = package.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    resize = build_resizer("clean")

    def run(u: list[torch.Tensor]) -> torch.Tensor:
        x = np.stack([resize(t.permute(1, 2, 0).numpy()).transpose(2, 0, 1) for t in u])
        return network((torch.from_numpy(x) - 128) / 128)[0].flatten(1)

    return in_batches(images, run)


def in_batches(images: Images, run: Callable[[list[torch.Tensor]], torch.Tensor]) -> np.ndarray:
    found = []
    with torch.no_grad():
        for i in range(0, len(images), 20):
            batch = [torch.from_numpy(image).permute(2, 0, 1) for image in images[i : i + 20]]
            found.append(run(batch).numpy())
    return np.concatenate(found)


PEERS = {
    "pytorch-fid": ("pytorch-fid", "legacy-pytorch", of_pytorch_fid),
    "torch-fidelity": ("fid", "legacy-tensorflow", of_torch_fidelity),
    "clean-fid": ("clean-fid", "clean", of_clean_fid),
}


def own_features(images: Images, resize: str, weights: Path) -> torch.Tensor:
    """As the command extracts them, in batches of another size."""
    extractor = get_extractor("inception", device="cpu", resize=resize, weights=weights)
    return torch.cat(
        [
            extractor.forward(
                torch.from_numpy(np.stack([extractor.transform(image) for image in images[i : i + 8]]))
            ).features
            for i in range(0, len(images), 8)
        ]
    )


def measured(count: int = COUNT) -> list[dict[str, object]]:
    """A row a package and case: both values, their difference, and that of the features."""
    name_missing_operators()
    network = inception_network.InceptionNetwork()
    state = random_state(network)
    network.load_state_dict(state, strict=False)
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = Path(folder) / "random.pth"
        torch.save(state, weights)
        for case, (real, made) in cases(count).items():
            own = {}
            for resize in SHOWN:
                features = [own_features(images, resize, weights) for images in (real, made)]
                own[resize] = features, float(assay.frechet_distance(*features))
            print(case, {resize: value for resize, (_, value) in own.items()}, flush=True)
            for package, (protocol, resize, run) in PEERS.items():
                theirs = [run(images, state) for images in (real, made)]
                value = float(assay.frechet_distance(*map(torch.from_numpy, theirs)))
                features, mine = own[resize]
                apart = max(
                    float(np.abs(a - b.numpy()).max() / np.abs(a).max())
                    for a, b in zip(theirs, features, strict=True)
                )
                found.append(
                    {
                        "peer": package, "version": importlib.metadata.version(package), "protocol": protocol,
                        "case": case, "count": len(real), "peer_value": value, "assay": mine,
                        "difference": abs(value - mine) / mine, "features": apart,
                    }
                )  # fmt: skip
            clean = own["clean"][1]
            found.extend(
                {"resize": resize, "case": case, "assay": value, "beside_clean": value / clean - 1}
                for resize, (_, value) in own.items()
            )
    return found


if __name__ == "__main__":
    given = sys.argv[1:]
    found = measured(int(given[given.index("--count") + 1]) if "--count" in given else COUNT)
    for row in found:
        print({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    if "--write" in sys.argv:
        (HERE / "protocols.json").write_text(json.dumps(found, indent=2) + "\n")
