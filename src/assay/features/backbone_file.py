"""The convolutions of a published classifier, without its fully connected layers, from its file of weights."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.errors import DataError
from assay.features.weight_tensors import read_state, refuse_misfits
from assay.features.weights import find_weights, given_file

PREFIX = "features."


def backbone_path(name: str, file: str | os.PathLike[str] | None) -> Path:
    """Where the weights of `name` (a key of `PUBLISHED`) are: `file`, which is not checked, or else what was fetched.

    Raises `UsageError` where `file` does not exist or is a URL, or nothing was fetched.
    """
    return find_weights(name).path if file is None else given_file(file, "weights")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` or `.pt` (nothing is unpickled) or `.safetensors` file by name.

    Raises `DataError` where it is none, or is cut off.
    """
    try:
        return dict(read_state(file))
    except OSError as error:  # what PyTorch makes of a file that was cut off
        raise DataError(f"{file} cannot be read as a file of weights: is it whole? ({error})") from None


def load_features(layers: nn.Sequential, file: Path, name: str) -> nn.Sequential:
    """The first layers of the classifier `name`, built on the meta device, with the weights `features.*` of a file.

    Raises `DataError` where the file is of another network.
    """
    state = {k.removeprefix(PREFIX): v for k, v in read_tensors(file).items() if k.startswith(PREFIX)}
    wanted = layers.state_dict()
    wrong = [
        f"{PREFIX}{k} is missing"
        if k not in state
        else f"{PREFIX}{k} is {tuple(state[k].shape)}, not {tuple(v.shape)}"
        for k, v in wanted.items()
        if k not in state or state[k].shape != v.shape
    ]
    refuse_misfits(file, name, wrong)
    layers.load_state_dict({k: state[k].to(torch.float32) for k in wanted}, assign=True)
    return layers
