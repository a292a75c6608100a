"""Measures of pairs of images: what is timed, and beside whom.

A contender names its convention: contenders of one convention compute the same, and their values are compared.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

PairFunction = Callable[..., Any]
FORWARD, BACKWARD = "forward", "forward + backward"
ONLY = "the only one"
OWN = "assay"


@dataclass(frozen=True)
class Contender:
    """`load` imports what it needs, of `package`, and gives a function of the case's members."""

    convention: str
    load: Callable[[], PairFunction]
    package: str = OWN

    @property
    def own(self) -> bool:
        return self.package == OWN


@dataclass(frozen=True)
class ImageCase:
    """`backward`: by the first member. `tolerance`: of values within a convention; above 1e-5, `why` says why."""

    name: str
    contenders: dict[str, Contender]
    draw: Callable[[int, int], tuple[Any, ...]]
    n: int = 8
    side: int = 256
    channels: int = 3
    backward: bool = True
    rounds: int = 2
    tolerance: float = 1e-5
    why: str = ""

    @property
    def passes(self) -> tuple[str, ...]:
        return (FORWARD, BACKWARD) if self.backward else (FORWARD,)


def images(n: int, side: int) -> tuple[Tensor, Tensor]:
    """Smooth random targets in [0, 1], and the same with noise."""
    g = torch.Generator().manual_seed(0)
    smooth = functional.avg_pool2d(torch.rand(n, 3, side + 8, side + 8, generator=g), 9, 1)
    target = (4 * (smooth - 0.5) + 0.5).clamp(0, 1)
    return (target + 0.05 * torch.randn(target.shape, generator=g)).clamp(0, 1), target


def maps(n: int, side: int) -> tuple[Tensor, Tensor]:
    """Feature maps of 64 channels, the generated ones near the reference's."""
    g = torch.Generator().manual_seed(0)
    reference = torch.randn(n, 64, side, side, generator=g)
    return reference.roll(3, 3) + 0.5 * torch.randn(reference.shape, generator=g), reference


def masks(n: int, side: int) -> tuple[Tensor, Tensor]:
    """Hard masks of three classes that may overlap."""
    return tuple(image > 0.55 for image in images(n, side))  # type: ignore[return-value]


def curves(_n: int, _side: int) -> tuple[list[float], ...]:
    """Rates and qualities of an anchor and of a tested codec at six settings."""
    rates = [0.1 * 2**k for k in range(6)]
    anchor, test = (
        [28 + 3.1 * k - 0.12 * k * k for k in range(6)],
        [29 + 3.0 * k - 0.1 * k * k for k in range(6)],
    )
    return rates, anchor, [0.95 * rate for rate in rates], test


def peer(package: str, module: str, name: str) -> Any:
    """What a peer calls `name`; where it is not installed, an ImportError that says what to install."""
    from . import peers

    try:
        importlib.metadata.version(package)
        with contextlib.redirect_stdout(io.StringIO()):
            return peers._from(module, name)
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        raise ImportError(f"{package} is left out ({error}): pip install {package}") from error


def _assay(convention: str, name: str, /, **options: Any) -> Contender:
    def load() -> PairFunction:
        import assay.images

        return functools.partial(getattr(assay.images, name), **options)

    return Contender(convention, load)


def _peer(
    convention: str, package: str, module: str, name: str, *, per_pair: bool = True, **options: Any
) -> Contender:
    """`per_pair`: whether the result is a value a pair; else it is a map of each pair."""

    def load() -> PairFunction:
        function = functools.partial(peer(package, module, name), **options)
        return function if per_pair else lambda *members: function(*members).flatten(1).mean(1)

    return Contender(convention, load, package)


def _piq(convention: str, name: str, **options: Any) -> Contender:
    return _peer(convention, "piq", "piq", name, reduction="none", **options)


def _torchmetrics(convention: str, name: str) -> Contender:
    module = "torchmetrics.functional.image"
    return _peer(convention, "torchmetrics", module, name, data_range=1.0, reduction="none")


SSIM = ImageCase(
    "ssim",
    {
        "assay, wang2004": _assay("wang2004", "ssim", convention="wang2004"),
        "pytorch-msssim": _peer(
            "wang2004", "pytorch-msssim", "pytorch_msssim", "ssim", data_range=1.0, size_average=False
        ),
        "assay, torchmetrics": _assay("torchmetrics", "ssim", convention="torchmetrics"),
        "torchmetrics": _torchmetrics("torchmetrics", "structural_similarity_index_measure"),
        "kornia": _peer("torchmetrics", "kornia", "kornia.metrics", "ssim", per_pair=False, window_size=11),
        "assay, piq": _assay("piq", "ssim", convention="piq"),
        "piq": _piq("piq", "ssim"),
    },
    images,
    n=16,
    rounds=2,
)
MS_SSIM = ImageCase(
    "ms_ssim",
    {
        "assay, pytorch-msssim": _assay("pytorch-msssim", "ms_ssim", convention="pytorch-msssim"),
        "pytorch-msssim": _peer(
            "pytorch-msssim",
            "pytorch-msssim",
            "pytorch_msssim",
            "ms_ssim",
            data_range=1.0,
            size_average=False,
        ),
        "assay, torchmetrics": _assay("torchmetrics", "ms_ssim", convention="torchmetrics"),
        "torchmetrics": _torchmetrics("torchmetrics", "multiscale_structural_similarity_index_measure"),
        "assay, piq": _assay("piq", "ms_ssim", convention="piq"),
        "piq": _piq("piq", "multi_scale_ssim"),
    },
    images,
    n=16,
    rounds=2,
)


def _beside_piq(name: str, theirs: str, tolerance: float = 1e-5, why: str = "", **options: Any) -> ImageCase:
    contenders = {"assay": _assay(ONLY, name), "piq": _piq(ONLY, theirs, **options)}
    return ImageCase(name, contenders, images, tolerance=tolerance, why=why)


# ---- contenders that need more than a name

ALEXNET = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def _alexnet() -> tuple[dict[str, Tensor], list[Tensor]]:
    """Random convolutions of AlexNet and random heads: the same for all."""
    g = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for index, (wide, deep, kernel) in ALEXNET.items():
        deviation = (2 / (deep * kernel**2)) ** 0.5
        state[f"features.{index}.weight"] = deviation * torch.randn(wide, deep, kernel, kernel, generator=g)
        state[f"features.{index}.bias"] = 0.1 * torch.randn(wide, generator=g)
    return state, [torch.rand(wide, generator=g) for wide, _, _ in ALEXNET.values()]


def _own_lpips() -> PairFunction:
    import tempfile
    from pathlib import Path

    import assay.images
    from assay.features import alexnet_layers

    state, heads = _alexnet()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "alexnet.pth"
        torch.save(state, file)
        network = alexnet_layers(weights=file)
    return functools.partial(assay.images.lpips, features=network, heads=heads)


def _their_lpips() -> PairFunction:
    model = peer("lpips", "lpips", "LPIPS")(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    state, heads = _alexnet()
    with torch.no_grad():
        for own, given in zip(model.net.parameters(), state.values(), strict=True):
            own.copy_(given)
        for layer, head in zip(model.lins, heads, strict=True):
            layer.model[-1].weight.copy_(head.view(1, -1, 1, 1))
    model.requires_grad_(False)
    return lambda x, y: model(x, y, normalize=True)


def _own_frequency_distance() -> PairFunction:
    import assay.images

    return lambda x, y: assay.images.frequency_distance(x, y).mean()


def _focal_frequency_loss() -> PairFunction:
    return peer("focal-frequency-loss", "focal_frequency_loss", "FocalFrequencyLoss")()  # type: ignore[no-any-return]


def _dice_score() -> PairFunction:
    dice = peer("torchmetrics", "torchmetrics.functional.segmentation", "dice_score")
    return lambda x, y: dice(x, y, num_classes=x.shape[1], average="macro", aggregation_level="samplewise")


def _plain_matrix() -> PairFunction:
    """The contextual distance by its formula, with the matrices of all pairs of places."""

    def contextual(generated: Tensor, reference: Tensor) -> Tensor:
        middle = reference.mean((2, 3), keepdim=True)
        x, y = (functional.normalize((z - middle).flatten(2), dim=1) for z in (generated, reference))
        apart = (1 - x.transpose(1, 2) @ y) / 2
        relative = apart / (apart.amin(2, keepdim=True) + 1e-5)
        similarity = ((1 - relative) / 0.5).softmax(2)
        return -similarity.amax(1).mean(1).log()

    return contextual


CASES = (
    SSIM,
    MS_SSIM,
    _beside_piq("fsim", "fsim", 1e-4, "piq adds another constant to an energy", chromatic=False),
    _beside_piq("gmsd", "gmsd"),
    _beside_piq("vsi", "vsi"),
    _beside_piq("mdsi", "mdsi"),
    _beside_piq("haarpsi", "haarpsi", 1e-3, "piq's YIQ has four digits, the authors' three"),
    _beside_piq("vif", "vif_p"),
    _beside_piq("dss", "dss"),
    _beside_piq(
        "iw_ssim", "information_weighted_ssim", 1e-4, "piq in float32 is up to 5e-5 off itself in float64"
    ),
    ImageCase(
        "lpips",
        {"assay": Contender(ONLY, _own_lpips), "lpips": Contender(ONLY, _their_lpips, "lpips")},
        images,
    ),
    ImageCase(
        "frequency_distance",
        {
            "assay": Contender(ONLY, _own_frequency_distance),
            "focal-frequency-loss": Contender(ONLY, _focal_frequency_loss, "focal-frequency-loss"),
        },
        images,
    ),
    ImageCase(
        "dice",
        {"assay": _assay(ONLY, "dice"), "torchmetrics": Contender(ONLY, _dice_score, "torchmetrics")},
        masks,
        backward=False,
    ),
    ImageCase(
        "iou",
        {
            "assay": _assay(ONLY, "iou"),
            "torchmetrics": _peer(ONLY, "torchmetrics", "torchmetrics.functional.segmentation", "mean_iou"),
        },
        masks,
        backward=False,
    ),
    ImageCase(
        "bd_rate",
        {
            "assay": _assay(ONLY, "bd_rate"),
            "bjontegaard": _peer(ONLY, "bjontegaard", "bjontegaard", "bd_rate", method="pchip"),
        },
        curves,
        n=1,
        side=6,
        channels=1,
        backward=False,
    ),
    ImageCase(
        "contextual_distance",
        {
            "assay": _assay(ONLY, "contextual_distance"),
            "plain matrix": Contender(ONLY, _plain_matrix, "torch"),
        },
        maps,
        side=32,
        channels=64,
    ),
)
