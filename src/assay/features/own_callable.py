"""`python:package.module:name`: an extractor, a network or a function of your own."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from assay.devices import chosen_device
from assay.errors import DataError, UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.model_names import need_argument
from assay.features.network_runner import _full_precision as full_precision
from assay.features.preprocessing import Preprocessing
from assay.features.towers import first_line, weights_sha256

FAMILY = "python"
FORM = "python:package.module:name or python:path/to/file.py:name"
REVISION = 1
PROBED = 64  # the side of the images that tell networks apart, where they take any

Own = Callable[[Tensor], Tensor]


def split_name(name: str) -> tuple[str, str, str]:
    """(family, colon, argument) of an extractor's name.

    `package.module:name` and `path/to/file.py:name` are short for `python:` before them: no family's name has a dot
    or a slash, so that neither can ever mean another.
    """
    family, colon, argument = name.partition(":")
    if colon and ("." in family or "/" in family):
        return FAMILY, ":", name
    return family, colon, argument


def own_callable(argument: str | None, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """`python:package.module:name`, `python:path/to/file.py:name`: what a name of your own code is.

    | the name is | features |
    |---|---|
    | an `Extractor` | its own |
    | an `nn.Module`, or a function of one argument | what it makes of images: see `extractor_of` |
    | a class or function without arguments that returns one of these | of what it returns |

    Images of different sizes are resized by `size`, where the command has it, or by the code itself. The module is
    imported, so its code runs; the current folder is looked in first.

    Raises `UsageError` for another form, a module that cannot be imported, no such name, or something else there.
    """
    argument = need_argument(argument, FAMILY, FORM)
    place, colon, attribute = argument.rpartition(":")
    if not colon or not place or not attribute:
        raise UsageError(f"{FAMILY}:{argument}: expected {FORM}")
    found: Any = _module(place)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{FAMILY}:{argument}: {place} has no {part!r}")
        found = getattr(found, part)
    name = f"{FAMILY}:{argument}"
    made = _made(found, name)
    if isinstance(made, Extractor):
        if crop is not None:
            raise UsageError(f"{name} is an extractor with a preprocessing of its own, and takes no crop")
        return made
    return extractor_of(made, name=name, crop=crop, device=device)


def extractor_of(
    network: nn.Module | Own,
    *,
    name: str | None = None,
    size: int | None = None,
    crop: Crop | None = None,
    license: str = "your own",
    identity: str | None = None,
    device: torch.device | str | None = None,
) -> Extractor:
    """An extractor of a network, or any function, that is in memory.

    network: images (B, 3, H, W) float32 RGB in [0, 1] on `device` -> features (B, d), floating point, finite. It does
        its own normalisation. A module must be in evaluation (`.eval()`); it is copied, and left as it is.
    name: as printed; by default the class's or function's.
    size: images are resized to size x size, bicubic, antialiased, on floats, and clipped to [0, 1]; without it they
        keep their size, and must all have the same.
    crop: "center" for the central square, "none" (the default) for the whole image.
    device: where it runs; by default CUDA where there is one, else the CPU.

    identity: your word for what it computes: the same text for the same features, whatever the machine.

    The fingerprint, by which kept features are found again, is of the weights, the printed form of the module, the
    source file it is defined in, the name, the preprocessing, and what the network answers to two fixed images: that
    tells apart what is held elsewhere, in attributes, closures and other files. An answer is of its machine, to the
    bit: on another one the same network may count as another, unless `identity` says what it is. A network that cannot
    answer (it wants a size, and none is given) or answers differently each time is another one at every start.

    Raises `UsageError` for something that cannot be called, a module in training, and a size that is none;
    `DataError`, naming the network, where it fails or gives another shape or type, NaN or infinity.
    """
    name = str(name or getattr(network, "__qualname__", type(network).__qualname__))
    where = chosen_device(device)
    if not callable(network):
        raise UsageError(f"{name}: expected a module or a function of images, got {type(network).__name__}")
    if isinstance(network, nn.Module) and any(part.training for part in network.modules()):
        raise UsageError(
            f"{name} is in training, where a feature depends on its batch: call .eval() on it first"
        )
    if size is not None and not 1 <= size <= 4096:
        raise UsageError(f"{name}: size: expected a whole number from 1 to 4096, got {size}")
    preprocessing = _preprocessing(size, crop)
    own = _Own(network, preprocessing, name).to(where)
    told = _answer_sha256(own, size, where) if identity is None else f"identity {identity}"
    made_of = "|".join(
        [FAMILY, name, weights_sha256(own), _source_sha256(network), str(preprocessing), told, str(REVISION)]
    )

    def forward(batch: Tensor) -> Outputs:
        with torch.no_grad(), full_precision(where):
            features = own.features(batch.to(where, torch.float32))
        if not bool(features.isfinite().all()):
            bad = int((~features.isfinite()).any(1).sum())
            raise DataError(f"{name} gives NaN or infinity for {bad} of {len(batch)} images")
        return Outputs(features.float().cpu(), None)

    return Extractor(
        name=name,
        dim=None,
        license=license,
        fingerprint=hashlib.sha256(made_of.encode()).hexdigest(),
        transform=preprocessing.of_array,
        forward=forward,
        torch_module=lambda: copy.deepcopy(own),
    )


class _Own(nn.Module):
    """Preprocessing and network: images (B, 3, H, W) in [0, 1] -> (B, d); in evaluation, whatever `.train()` says."""

    def __init__(self, network: nn.Module | Own, preprocessing: Preprocessing, name: str) -> None:
        super().__init__()
        module = isinstance(network, nn.Module)
        # not the user's own: its gradients, device and mode are theirs to set
        self.network = copy.deepcopy(network).requires_grad_(False) if module else network  # type: ignore[union-attr]
        self.preprocessing = preprocessing
        self.name = name
        self.eval()

    def features(self, images: Tensor) -> Tensor:
        """The network's answer for images as it wants them, looked at."""
        try:
            found = self.network(images)
        except (UsageError, DataError):
            raise
        except Exception as error:  # whatever somebody's code raises
            raise DataError(
                f"{self.name} fails on images {tuple(images.shape)} ({first_line(error)})"
            ) from error
        if not isinstance(found, Tensor):
            raise DataError(f"{self.name} gives a {type(found).__name__}, expected a tensor (B, d)")
        if found.ndim != 2 or len(found) != len(images) or found.shape[1] == 0:
            raise DataError(
                f"{self.name} gives the shape {tuple(found.shape)} for {len(images)} images, "
                f"expected ({len(images)}, d); pool or flatten"
            )
        if not found.is_floating_point():
            raise DataError(f"{self.name} gives {found.dtype}, expected floating-point features")
        return found

    def forward(self, images: Tensor) -> Tensor:
        return self.features(self.preprocessing.of_tensor(images))

    def train(self, mode: bool = True) -> _Own:
        return super().train(False)


def _preprocessing(size: int | None, crop: Crop | None) -> Preprocessing:
    side = (size, size) if size is not None else (0, 0)
    if size is None:
        if crop == "center":
            raise UsageError(
                "crop: the central square of images that keep their size has no one size; give size too"
            )
        return Preprocessing("none", side, None, bytes=False)
    if crop == "center":
        return Preprocessing("shortest", side, side, bytes=False)
    return Preprocessing("squash", side, None, bytes=False)


def _made(found: Any, name: str) -> Any:
    """An extractor, module or function of images, from what a name leads to."""
    if isinstance(found, (Extractor, nn.Module)):
        return found
    if not callable(found):
        raise UsageError(
            f"{name} is a {type(found).__name__}; expected a module, an Extractor, a function of images, "
            "or a function without arguments that returns one"
        )
    if _required(found) != 0:
        if inspect.isclass(found):
            raise UsageError(
                f"{name} is a class that needs arguments; write a function that builds it and returns it"
            )
        return found
    made = found()
    if isinstance(made, (Extractor, nn.Module)) or (callable(made) and _required(made) != 0):
        return made
    raise UsageError(
        f"{name}() returns a {type(made).__name__}; expected a module, an Extractor or a function"
    )


def _required(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built in: nobody can tell, and a factory would be written in Python
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is p.empty and p.kind in positional for p in parameters)


def _answer_sha256(own: _Own, size: int | None, where: torch.device) -> str:
    """Of the features of two fixed images; a text that never comes again where there is no steady answer."""
    side = PROBED if size is None else size
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(where)
    try:
        with torch.no_grad(), full_precision(where), torch.random.fork_rng(devices=[]):
            first, second = (own.features(images).float().cpu() for _ in range(2))
    except (DataError, UsageError):  # said of the images themselves, where it holds of them too
        return secrets.token_hex(16)
    if not torch.equal(first, second):
        return secrets.token_hex(16)
    return hashlib.sha256(first.contiguous().numpy().tobytes()).hexdigest()


def _source_sha256(network: Any) -> str:
    """Of the file that defines it; of the compiled code where there is no file; empty where there is neither."""
    while isinstance(network, functools.partial):
        network = network.func
    defined = network if inspect.isroutine(network) else type(network)
    try:
        source = inspect.getsourcefile(defined)
    except TypeError:
        source = None
    if source is not None and os.path.isfile(source):
        return hashlib.sha256(Path(source).read_bytes()).hexdigest()
    code = getattr(network, "__code__", None)
    return "" if code is None else hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()


def _module(place: str) -> ModuleType:
    try:
        if place.endswith(".py") or "/" in place:
            return _of_file(Path(place).expanduser())
        folder = os.getcwd()
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return importlib.import_module(place)
    except UsageError:
        raise
    except Exception as error:  # whatever somebody's code raises
        raise UsageError(
            f"{FAMILY}: {place} cannot be imported ({first_line(error)}); expected {FORM}"
        ) from error


def _of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{FAMILY}: there is no file {path}; expected {FORM}")
    # known under the hash of its path, so that two files of one name are two modules
    known_as = f"assay_own_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    if known_as in sys.modules:
        return sys.modules[known_as]
    spec = importlib.util.spec_from_file_location(known_as, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known_as] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known_as]
        raise
    return module
