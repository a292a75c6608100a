"""The published set-ups by name: which extractor, which measures with which options, from how many images.

A value may carry a published name (FID, sFID, KID, ...) only if everything its row fixes holds; `unmet` says what does
not. Measures are meant by name, because extractors know none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from assay.errors import UsageError
from assay.features.by_name import USUAL_CROP
from assay.features.did_you_mean import did_you_mean
from assay.features.extractor import Crop
from assay.features.inception import DEFAULT_RESIZE

Space = Literal["features", "probabilities", "spatial"]


@dataclass(frozen=True)
class Printed:
    """One published number.

    name: as it is printed (`"FID"`).
    measure: its measure's short name (`"fd"`).
    space: what of an image the measure reads: features, class probabilities, or an extra by its name.
    options: the measure's arguments, where they differ from its defaults.
    raw: whether the published number is the value as it comes out of the finite sets, bias and all. A corrected value
        then carries another name.
    """

    name: str
    measure: str
    space: Space = "features"
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    raw: bool = True


@dataclass(frozen=True)
class Protocol:
    """A row of the table.

    extractor, crop, resize: what `get_extractor` is asked for.
    printed: the numbers it gives, in the order the original prints them.
    real, generated: the fewest images of each side under which the original's numbers are published.
    source: the paper, and the code that defines what the paper leaves open.
    note: what a reader must know who sets the number beside a printed one; empty if nothing.
    weights: why the published weights are not the original's own, or None where they are.
    """

    name: str
    extractor: str
    printed: tuple[Printed, ...]
    real: int
    generated: int
    source: str
    crop: Crop | None = None
    resize: str | None = None
    note: str = ""
    weights: str | None = None


def _options(**options: Any) -> Mapping[str, Any]:
    return MappingProxyType(options)


FD = Printed("FID", "fd")
NEIGHBOURS = _options(nearest_k=3)

_ROWS = (
    Protocol(
        name="fid",
        extractor="inception",
        resize="legacy-tensorflow",
        printed=(FD,),
        real=10_000,
        generated=50_000,
        source="Heusel et al. 2017, arXiv:1706.08500; github.com/bioinf-jku/TTUR, github.com/toshas/torch-fidelity",
        note="The graph resizes inside, bilinear and not antialiased, on the grid of TensorFlow 1. "
        "The code asks for at least 10,000 images of each side, the paper takes 50,000 generated ones.",
    ),
    Protocol(
        name="pytorch-fid",
        extractor="inception",
        resize="legacy-pytorch",
        printed=(FD,),
        real=10_000,
        generated=50_000,
        source="Heusel et al. 2017, arXiv:1706.08500; github.com/mseitzer/pytorch-fid",
        note="PyTorch's bilinear resizing in place of TensorFlow's, and pixels scaled by 127.5 in place of 128.",
    ),
    Protocol(
        name="clean-fid",
        extractor="inception",
        resize="clean",
        printed=(
            Printed("clean-FID", "fd"),
            Printed("clean-KID", "kid_subsets", options=_options(subsets=100, subset_size=1000)),
        ),
        real=10_000,
        generated=50_000,
        source="Parmar et al. 2022, arXiv:2104.11222; github.com/GaParmar/clean-fid",
        note="Bicubic, antialiased, on floats: the only row whose resizing is this package's own choice too.",
    ),
    Protocol(
        name="adm",
        extractor="inception",
        resize="legacy-tensorflow",
        printed=(
            Printed(
                "IS", "inception_score_splits", "probabilities", _options(split_size=5000, shuffle=False)
            ),
            FD,
            Printed("sFID", "fd", "spatial"),
            Printed("Precision", "precision", options=NEIGHBOURS),
            Printed("Recall", "recall", options=NEIGHBOURS),
        ),
        real=10_000,
        generated=50_000,
        source="Dhariwal and Nichol 2021, arXiv:2105.05233; github.com/openai/guided-diffusion, evaluations",
        note="FID and sFID of the original are against statistics of the whole training set, which its reference files "
        "hold as mu, sigma, mu_s and sigma_s; precision and recall against their 10,000 images. Its score is over "
        "parts of 5,000 in their order. It compares squared distances in float16 where these are finite.",
    ),
    Protocol(
        name="kid",
        extractor="inception",
        resize="legacy-tensorflow",
        printed=(Printed("KID", "kid_subsets", options=_options(subsets=100, subset_size=1000)),),
        real=1_000,
        generated=1_000,
        source="Binkowski et al. 2018, arXiv:1801.01401; github.com/toshas/torch-fidelity, "
        "github.com/NVlabs/stylegan2-ada-pytorch",
        note="Unbiased at any size of the sets. The subsets are drawn, so two runs of any package differ by the draw.",
    ),
    Protocol(
        name="cmmd",
        extractor="open_clip:ViT-L-14-336-quickgelu/openai",
        crop="center",
        printed=(Printed("CMMD", "cmmd"),),
        real=1_000,
        generated=1_000,
        source="Jayasumana et al. 2024, arXiv:2401.09603; github.com/google-research/google-research, cmmd",
        note="Pillow's bicubic on bytes to 336, of the central square (where an image is not square, the original cuts "
        "before it resizes, this package after). Embeddings of unit length, Gaussian kernel with sigma 10, pairs of a "
        "sample with itself included, times 1000. The code names no least number of images; the paper's tables have "
        "30,000.",
    ),
    Protocol(
        name="fd-dinov2",
        extractor="transformers:facebook/dinov2-large",
        crop="none",
        printed=(Printed("FD_DINOv2", "fd"),),
        real=10_000,
        generated=50_000,
        source="Stein et al. 2023, arXiv:2306.04675; github.com/layer6ai-labs/dgm-eval",
        note="The whole image to 224 x 224, its proportions not kept, Pillow's bicubic on bytes; the class token of "
        "ViT-L/14.",
    ),
    Protocol(
        name="precision-recall-vgg",
        extractor="vgg16",
        resize="legacy-tensorflow",
        printed=(
            Printed("Precision", "precision", options=NEIGHBOURS),
            Printed("Recall", "recall", options=NEIGHBOURS),
        ),
        real=50_000,
        generated=50_000,
        source="Kynkaanniemi et al. 2019, arXiv:1904.06991; "
        "github.com/kynkaat/improved-precision-and-recall-metric, github.com/toshas/torch-fidelity",
        note="Second fully connected layer after its ReLU, as torch-fidelity has it.",
        weights="the original's VGG-16 is another training of the network, whose license does not allow every use; "
        "these are torchvision's weights, which give higher values",
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({row.name: row for row in _ROWS})


def get_protocol(name: str) -> Protocol:
    """The row called `name`; `UsageError` names the nearest where there is none."""
    if name not in PROTOCOLS:
        hint = did_you_mean(name.lower(), PROTOCOLS)
        raise UsageError(f"unknown protocol {name!r}: {hint}known are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def unmet(protocol: Protocol, *, n_real: int, n_generated: int, extractor: str) -> tuple[str, ...]:
    """Why a value may not carry the published names of a row: one clause a reason, empty where it may.

    extractor: the name of the extractor that was used. A name shows weights, resizing and sizes that depart.
    """
    wanted = expected_name(protocol)
    reasons = [
        f"{given:,} {side} images, the protocol asks for {least:,}"
        for side, given, least in (
            ("real", n_real, protocol.real),
            ("generated", n_generated, protocol.generated),
        )
        if given < least
    ]
    if extractor != wanted:
        reasons.append(f"features of {extractor}, the protocol asks for {wanted}")
    if protocol.weights is not None:
        reasons.append(protocol.weights)
    return tuple(reasons)


def expected_name(protocol: Protocol) -> str:
    """The name of a row's extractor with the published weights."""
    family = protocol.extractor.partition(":")[0]
    if protocol.crop is not None and protocol.crop != USUAL_CROP.get(family):
        return f"{protocol.extractor}[crop={protocol.crop}]"
    if protocol.resize is None or protocol.resize == DEFAULT_RESIZE:
        return protocol.extractor
    return f"{protocol.extractor}[{protocol.resize}]"
