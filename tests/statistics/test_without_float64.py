"""A device without float64 gives the moments of the CPU: a stand-in, as such a device is rarely there to test on."""

from __future__ import annotations

import pytest
import torch

from assay import Moments

NARROW = torch.device("mps")


class OnNarrowDevice(torch.Tensor):
    """Says it is on an MPS device, and refuses what that refuses: any tensor of float64."""

    @property
    def device(self):
        return NARROW

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        given = [*args, *(kwargs or {}).values()]
        widens = any(each is torch.float64 for each in given)
        if (
            function is torch.Tensor.to
            and not widens
            and any(isinstance(each, torch.device) for each in given)
        ):
            with torch._C.DisableTorchFunctionSubclass():
                return args[0].as_subclass(torch.Tensor)
        if widens:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize("n", [40, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_made_on_the_cpu(normal, n, weighted):
    samples = normal(n, 9).float()
    counts = torch.arange(1.0, n + 1) if weighted else None
    narrow = samples.as_subclass(OnNarrowDevice)
    with pytest.raises(TypeError, match="float64"):
        narrow.to(torch.float64)
    found = Moments.of(narrow, None if counts is None else counts.as_subclass(OnNarrowDevice))
    wanted = Moments.of(samples, counts)
    for name, tensor in wanted.tensors().items():
        assert type(found.tensors()[name]) is torch.Tensor
        assert torch.equal(found.tensors()[name], tensor)
