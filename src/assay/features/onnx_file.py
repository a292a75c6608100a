"""`onnx:FILE`: a network of your own as an ONNX file, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from assay.data import refuse_url
from assay.errors import DataError, MissingExtra, UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.model_names import need_argument
from assay.features.onnx_session import session_options
from assay.features.preprocessing import Interpolation, Preprocessing
from assay.features.towers import UNKNOWN_LICENSE, first_line

FAMILY = "onnx"
FORM = "onnx:FILE or onnx:FILE#OUTPUT, such as onnx:encoder.onnx"
REVISION = 1
BLOCK = 1 << 20
KEYS = ("assay.mean", "assay.std", "assay.size", "assay.resize", "assay.interpolation", "assay.license")


@dataclass(frozen=True)
class OnnxFile:
    """What a file says before it is run.

    Attributes:
        path: where it is.
        sha256: of the file and, in order of their names, of the files its weights are in.
        metadata: its `metadata_props` whose keys begin with `assay.`.
    """

    path: Path
    sha256: str
    metadata: Mapping[str, str]


def onnx_file(argument: str | None, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """`onnx:FILE` or `onnx:FILE#OUTPUT`: the features an ONNX model gives for images (B, 3, H, W) float32.

    The features are the model's output of shape (B, d): its only one, or the one called OUTPUT. Images come as RGB in
    [0, 1], resized whole to the input's fixed size, bicubic, antialiased, on floats. The file's `metadata_props` say
    what departs from that:

    | key | value | default |
    |---|---|---|
    | `assay.size` | `224` or `224,160` (height, width) | the input's fixed size |
    | `assay.mean`, `assay.std` | three numbers in units of [0, 1]: the input is (x - mean) / std | 0,0,0 and 1,1,1 |
    | `assay.resize` | `squash`, or `shortest` (then the central crop) | `squash` |
    | `assay.interpolation` | `bicubic` or `bilinear` | `bicubic` |
    | `assay.license` | of the weights | not stated |

    Weights in files beside the model are read from its own folder only. The graph has no gradient: `torch_module`
    raises `UsageError`.

    Raises `MissingExtra` without onnx or onnxruntime; `UsageError` for several outputs that could be meant (with
    their names), a free input size, an unknown `assay.` key, or a CUDA device that onnxruntime cannot use;
    `DataError` for a file that is missing, broken, or refers to files outside its folder.
    """
    argument = need_argument(argument, FAMILY, FORM)
    refuse_url(argument, "ONNX models")
    given, _, output = argument.partition("#")
    name = f"{FAMILY}:{argument}"
    file = _checked(Path(given).expanduser(), name)
    session = _session(file.path, device, name)
    shape = _input_shape(session, name)
    preprocessing = onnx_preprocessing(file.metadata, (shape[2], shape[3]), name).cropped(crop)
    chosen = _output(session, output, name)
    entry, fixed_batch = session.get_inputs()[0].name, isinstance(shape[0], int)
    if fixed_batch and shape[0] != 1:
        raise UsageError(
            f"{name}: takes batches of exactly {shape[0]} images; export it with a free batch axis"
        )

    def run(images: np.ndarray[Any, Any]) -> Tensor:
        try:
            return torch.from_numpy(np.asarray(session.run([chosen], {entry: images})[0]))
        except Exception as error:  # ONNX Runtime's exceptions have no class of their own to name
            raise DataError(f"{name} cannot be run ({first_line(error)})") from error

    def forward(batch: Tensor) -> Outputs:
        images = np.ascontiguousarray(batch.detach().to("cpu", torch.float32).numpy())
        rows = [run(images[i : i + 1]) for i in range(len(images))] if fixed_batch else [run(images)]
        features = torch.cat(rows)
        if features.ndim != 2 or len(features) != len(images):
            raise DataError(
                f"{name}: the output {chosen!r} has the shape {tuple(features.shape)} for {len(images)} images, "
                f"expected ({len(images)}, d)"
            )
        return Outputs(features.float(), None)

    def torch_module() -> nn.Module:
        raise UsageError(
            f"{name} has no gradient: an ONNX file is run as it is; use python:package.module:name"
        )

    assert preprocessing.output is not None
    dim = forward(torch.zeros(1, 3, *preprocessing.output)).features.shape[1]
    identity = f"{FAMILY}|{file.sha256}|{chosen}|{preprocessing}|{REVISION}"
    return Extractor(
        name=name,
        dim=dim,
        license=file.metadata.get("assay.license", UNKNOWN_LICENSE),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        transform=preprocessing.of_array,
        forward=forward,
        torch_module=torch_module,
    )


def onnx_preprocessing(
    metadata: Mapping[str, str], static: tuple[int | str | None, int | str | None], name: str = FAMILY
) -> Preprocessing:
    """The preprocessing a file's metadata and fixed input size (height, width) ask for; see `onnx_file`.

    Raises `UsageError` for an unknown key or value, or where no size is fixed.
    """
    unknown = sorted(set(metadata) - set(KEYS))
    if unknown:
        raise UsageError(f"{name}: unknown metadata {', '.join(unknown)}; known are {', '.join(KEYS)}")
    size = static
    if "assay.size" in metadata:
        sides = _numbers(metadata["assay.size"], "assay.size", (1, 2), name)
        size = (int(sides[0]), int(sides[-1]))
        if min(size) < 1 or any(side != int(side) for side in sides):
            raise UsageError(
                f"{name}: assay.size is {metadata['assay.size']!r}, expected whole numbers above 0"
            )
        if any(isinstance(fixed, int) and fixed != side for fixed, side in zip(static, size, strict=True)):
            raise UsageError(f"{name}: assay.size is {size} and the model's input is fixed to {static}")
    height, width = size
    if not isinstance(height, int) or not isinstance(width, int):
        raise UsageError(
            f"{name}: its input has no fixed height and width ({height}, {width}): export it with a fixed size, or "
            'write the metadata key "assay.size", such as 224, into the file'
        )
    mean = _numbers(metadata.get("assay.mean", "0,0,0"), "assay.mean", (3,), name)
    std = _numbers(metadata.get("assay.std", "1,1,1"), "assay.std", (3,), name)
    if min(std) <= 0:
        raise UsageError(f"{name}: assay.std is {metadata['assay.std']!r}, expected numbers above 0")
    resize = _one_of(metadata.get("assay.resize", "squash"), "assay.resize", ("squash", "shortest"), name)
    kernels = tuple(kernel for kernel in get_args(Interpolation) if kernel != "lanczos")
    kernel = _one_of(metadata.get("assay.interpolation", "bicubic"), "assay.interpolation", kernels, name)
    kept: Literal["squash", "shortest"] = "squash" if resize == "squash" else "shortest"
    return Preprocessing(
        resize=kept,
        size=(height, width),
        crop=None if kept == "squash" else (height, width),
        interpolation="bilinear" if kernel == "bilinear" else "bicubic",
        mean=(mean[0], mean[1], mean[2]),
        std=(std[0], std[1], std[2]),
        bytes=False,
    )


def _numbers(text: str, key: str, counts: tuple[int, ...], name: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in counts or not np.isfinite(numbers).all():
        wanted = " or ".join(str(count) for count in counts)
        raise UsageError(f"{name}: {key} is {text!r}, expected {wanted} numbers with commas between them")
    return numbers


def _one_of(text: str, key: str, known: Sequence[str], name: str) -> str:
    if text not in known:
        raise UsageError(f"{name}: {key} is {text!r}, expected {' or '.join(known)}")
    return text


def _checked(path: Path, name: str) -> OnnxFile:
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "images", name) from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise DataError(f"{name}: {path} cannot be read ({(error.strerror or str(error)).lower()})") from None
    except Exception:  # protobuf's own
        raise DataError(f"{name}: {path} is not an ONNX model") from None
    if not model.graph.input:
        raise DataError(f"{name}: {path} is not an ONNX model with an input")
    digest = hashlib.sha256()
    _add(digest, path)
    for place in sorted(set(_external(model, onnx))):
        _add(digest, _beside(path, place, name))
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key.startswith("assay.")}
    return OnnxFile(path, digest.hexdigest(), metadata)


def _external(model: Any, onnx: Any) -> Iterator[str]:
    """The places of all weights outside the file."""
    graphs, tensors, nodes = [model.graph], [], [node for f in model.functions for node in f.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            tensors += list(graph.initializer)
            for sparse in graph.sparse_initializer:
                tensors += [sparse.values, sparse.indices]
            nodes += list(graph.node)
        while nodes:
            for attribute in nodes.pop().attribute:
                tensors += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
                graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _beside(path: Path, place: str, name: str) -> Path:
    folder = path.resolve().parent
    target = (folder / place).resolve()
    if not place or Path(place).is_absolute() or "\\" in place or not target.is_relative_to(folder):
        raise DataError(f"{name}: keeps weights in {place!r}, outside its folder, which is not read")
    if not target.is_file():
        raise DataError(f"{name}: keeps weights in {place!r} beside it, where no such file is")
    return target


def _add(digest: Any, path: Path) -> None:
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)


def _session(path: Path, device: torch.device, name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("onnxruntime", "images", name) from error
    provider: Any = "CPUExecutionProvider"
    if device.type == "cuda":
        provider = ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0})
        if provider[0] not in onnxruntime.get_available_providers():
            raise UsageError(
                f"{name}: onnxruntime sees no CUDA; pip install onnxruntime-gpu, or use device cpu"
            )
    elif device.type != "cpu":
        raise UsageError(f"{name}: an ONNX file runs on cpu or cuda, not {device.type}")
    try:
        return onnxruntime.InferenceSession(str(path), session_options(), providers=[provider])
    except Exception as error:  # ONNX Runtime's exceptions have no class of their own to name
        raise DataError(f"{name} cannot be loaded by onnxruntime ({first_line(error)})") from error


def _input_shape(session: Any, name: str) -> list[int | str | None]:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise UsageError(f"{name}: has {len(inputs)} inputs ({names}), expected one: images (B, 3, H, W)")
    shape: list[int | str | None] = list(inputs[0].shape)
    if inputs[0].type != "tensor(float)" or len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        raise UsageError(f"{name}: its input is {inputs[0].type} {shape}, expected float32 (B, 3, H, W)")
    return shape


def _output(session: Any, wanted: str, name: str) -> str:
    outputs = session.get_outputs()
    flat = [each.name for each in outputs if each.type == "tensor(float)" and len(each.shape or ()) == 2]
    names = ", ".join(f"{each.name} {each.shape}" for each in outputs)
    find: Callable[[str], bool] = [each.name for each in outputs].__contains__
    if wanted:
        if not find(wanted):
            raise UsageError(f"{name}: has no output {wanted!r}; its outputs are {names}")
        if wanted not in flat:
            raise UsageError(f"{name}: the output {wanted!r} is not float32 (B, d); its outputs are {names}")
        return wanted
    if len(flat) != 1:
        what = "several outputs are" if flat else "no output is"
        example = f"; say which, as {name}#{flat[0]}" if flat else ""
        raise UsageError(f"{name}: {what} float32 (B, d) among {names}{example}")
    only: str = flat[0]
    return only
