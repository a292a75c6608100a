"""BRISQUE: does an image look as natural scenes do, without a target to hold it against?"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from ...errors import MissingExtra, UsageError
from ...pairs import pair_measure
from .feature_ranges import RANGES
from .natural_scene import Convention, brisque_features
from .support_vectors import Ranges, SupportVectors, read_libsvm

# where packages of this name keep the model
INSIDE = ("models/svm.txt", "allmodel")


@pair_measure(
    domain="images",
    best="min",
    reference="Mittal, Moorthy and Bovik 2012, No-Reference Image Quality Assessment in the Spatial Domain, "
    "IEEE TIP 21(12)",
)
def brisque(
    images: Tensor, *, data_range: float = 1.0, model: SupportVectors | None = None, rounded: bool = False
) -> Tensor:
    r"""How bad an image looks, by a regression from its natural scene statistics to people's opinions.

    $$ B = \sum_k c_k \exp\big(-\gamma \| s(f) - v_k \|^2\big) - \rho $$

    with the 36 features f of `brisque_features`, scaled by s to about [-1, 1], and the support vectors v, their
    coefficients c, $\gamma$ and $\rho$ of the published model.

    Args:
        images: (B, 1 or 3, H, W) in [0, data_range], at least 16 x 16.
        data_range: the value of white.
        model: `brisque_model()`; `brisque.with_options(model=brisque_model())` binds it.
        rounded: whether the luma of RGB is rounded to whole numbers of 0 to 255, as in the published program.

    Returns:
        (B,), about 0 for a good image to 100 for a bad one, and beyond for images unlike those of the LIVE data base
        that the model was fitted to; lower is better.

    Raises:
        UsageError: no model, images of another shape or smaller, a data range that is not above zero.

    Complexity: O(H W + K) time and memory for K support vectors.

    FAQ:
        *Which model?* The authors published two: 774 vectors beside their MATLAB program, 770 beside their C++
        program, each with its own convention of features (`brisque_features`) and ranges. The package `brisque` carries
        the second. `brisque_model` reads both, and the model says which features it wants. Their scores differ by
        points: compare within one.

        *Which equals what?* With the 774 vectors and `rounded=True`, piq's `brisque` of images with even sides to 0.04,
        which are its table of shapes. With the 770 the C++ program's arithmetic, by OpenCV's port of its features; the
        package `brisque` itself sets zeros beyond the border and is apart by points.

        *As an objective?* It has an exact gradient, and can be fooled like any small model: use it beside a distance
        to a target.
    """
    if model is None:
        raise UsageError(
            'brisque: model: pass brisque_model(), which reads the published one (pip install "assay[brisque]", or '
            "brisque_model(FILE)); brisque.with_options(model=brisque_model()) binds it"
        )
    if not isinstance(model, SupportVectors):
        raise UsageError(f"model: expected what brisque_model() reads, got {type(model).__name__}")
    wide = images.to(torch.float64)
    features = brisque_features(wide, data_range=data_range, convention=model.convention, rounded=rounded)
    return model(features).to(images.dtype)


def brisque_model(
    file: str | os.PathLike[str] | None = None,
    *,
    ranges: Ranges | None = None,
    convention: Convention = "matlab",
) -> SupportVectors:
    """The support vectors of a published model, or of your own.

    Nothing is unpickled or downloaded: the text that libsvm wrote is read, and the ranges of the two published models
    are known.

    Args:
        file: libsvm's text; by default that of the installed package `brisque`.
        ranges: the least and the largest of each feature, for a model of your own.
        convention: of the features it was fitted to.

    Raises:
        MissingExtra: neither a file nor the package.
        UsageError: no such file, or a model without known ranges.
        DataError: text that is no such model.
    """
    path = _packaged() if file is None else Path(file)
    return read_libsvm(path, known=RANGES, ranges=ranges, convention=convention)


def _packaged() -> Path:
    spec = find_spec("brisque")  # looks for it, and runs nothing of it
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for name in INSIDE:
            if (Path(folder) / name).is_file():
                return Path(folder) / name
    raise MissingExtra("brisque", "brisque", "the published BRISQUE model")
