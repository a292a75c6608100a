"""How is something done with a model in the middle of its training, so that the training never knows?"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ..errors import UsageError


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation; after it, every part is in its own mode again.

    Also put back: the random numbers of Python, NumPy, and PyTorch on the CPU and on the accelerators that were used.
    Modes are set through `.train()`, part by part, so that layers which do something at a change of mode undo it, and
    parts that were frozen in evaluation stay there.
    """
    modes = [(part, part.training) for part in model.modules()]
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    metal = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
    try:
        model.eval()
        yield
    finally:
        for part, training in modes:
            if part.training != training:
                part.train(training)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if metal is not None:
            torch.mps.set_rng_state(metal)


def bare(model: nn.Module) -> nn.Module:
    """The model inside `DistributedDataParallel` or `DataParallel`, whose forward pass waits for other processes.

    Raises:
        UsageError: a model whose weights are spread over processes, which no process can run alone.
    """
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    while isinstance(model, wrappers):
        model = model.module
    if _is_sharded(model):
        raise UsageError(
            f"{type(model).__name__} has its weights spread over processes (FSDP, or DeepSpeed's third stage), and "
            "processes make images in turns of their own here, so that they would wait for each other forever: "
            "gather the weights into a whole copy, such as an average of them, and compare that"
        )
    return model


def _is_sharded(model: nn.Module) -> bool:
    kinds = {base.__name__ for part in model.modules() for base in type(part).__mro__}
    # Told by name, as importing them takes long; DTensor and DeepSpeed add these attributes to a parameter.
    return bool(kinds & {"FSDPModule", "FullyShardedDataParallel"}) or any(
        hasattr(parameter, name) for parameter in model.parameters() for name in ("device_mesh", "ds_id")
    )
