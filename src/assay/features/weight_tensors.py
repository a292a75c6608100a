"""Which tensors does a file of weights hold, and are they those of a network?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from assay.errors import DataError


def load_weights(network: nn.Module, file: Path, name: str) -> None:
    """Put the tensors of a `.pth` (`weights_only=True`: nothing is unpickled) or `.safetensors` file into `network`.

    Names and shapes must be those of the network; counters of batches may be missing.

    Raises `DataError` where the file cannot be read so or is of another network.
    """
    state = read_state(file)
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    wrong = [
        *(f"{k} is missing" for k in wanted if k not in given),
        *(f"{k} is unknown" for k in given if k not in wanted),
        *(
            f"{k} is {tuple(given[k].shape)}, not {tuple(v.shape)}"
            for k, v in wanted.items()
            if k in given and given[k].shape != v.shape
        ),
    ]
    refuse_misfits(file, name, wrong)
    network.load_state_dict(given, strict=False)


def refuse_misfits(file: Path, name: str, wrong: Sequence[str]) -> None:
    """Raise `DataError` that a file is not of the network `name` where anything is wrong, with the first three."""
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise DataError(f"{file} does not hold the weights of {name}: {', '.join(wrong[:3])}{more}")


def read_state(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name; nothing is unpickled."""
    import torch

    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: Mapping[str, Tensor] = load_file(file)
            return tensors
        state = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise DataError(
            f"{file} is not a file of weights that can be read safely (.pth of plain tensors, or .safetensors): "
            f"{reason}"
        ) from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{file} does not hold a dictionary of tensors, but {type(state).__name__}")
    return state
