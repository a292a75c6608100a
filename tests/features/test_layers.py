"""Layer maps are what the network computes there, of a frozen copy, whatever the layers after them do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from assay.errors import UsageError
from assay.features.layers import IMAGENET_DEVIATION, IMAGENET_MEAN, layers_of


class Residual(nn.Module):
    """It counts its passes through the tail, and adds in place."""

    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.tail = nn.Linear(4, 2)
        self.spare = nn.Identity()
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        y = self.body(x)
        if self.in_place:
            y += x
        return self.tail((y + x).mean((2, 3)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Conv2d(4, 5, 3),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers)


def test_maps_are_those_of_the_layers_though_activations_work_in_place(network):
    x = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(1))
    layers = layers_of(network, ["3", "0", "4"])
    third, first, last = layers(x)
    expected = network[0](x)
    assert torch.equal(first, expected) and first.min() < 0
    assert torch.allclose(third, network[3](expected.relu()), atol=1e-6) and third.min() < 0
    assert torch.equal(last, third.relu())


def test_the_network_itself_is_left_alone_and_the_copy_is_frozen(network):
    layers = layers_of(network, ["4"])
    x = torch.rand(1, 3, 8, 8)
    before = layers(x)[0]
    assert network.training and network[1].inplace and network[0].weight.requires_grad
    with torch.no_grad():
        network[0].weight.zero_()
    assert torch.equal(layers(x)[0], before)
    assert not layers.train().training and torch.equal(layers(x)[0], before), "dropout must stay off"
    x.requires_grad_()
    layers(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0 and not any(p.requires_grad for p in layers.parameters())


def test_nothing_runs_after_the_last_layer_asked_for():
    network = Residual()
    network.tail = nn.Linear(99, 2)
    (found,) = layers_of(network, ["body"])(torch.rand(1, 3, 6, 6))
    assert found.shape == (1, 4, 6, 6)


def test_images_are_normalised():
    x = torch.rand(2, 3, 5, 5)
    (found,) = layers_of(
        nn.Sequential(nn.Identity()), ["0"], mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION
    )(x)
    expected = torch.stack([(x[:, c] - IMAGENET_MEAN[c]) / IMAGENET_DEVIATION[c] for c in range(3)], dim=1)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_it_computes_in_the_precision_of_the_images(network, dtype):
    x = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    layers = layers_of(network, ["4"])
    found = layers(x.to(dtype))[0]
    assert found.dtype == dtype and torch.allclose(
        found.float(), layers(x)[0], atol=1e-6 if dtype.itemsize > 4 else 5e-3
    )
    assert layers(x)[0].dtype == torch.float32, "the weights themselves must not have changed"


def test_it_pickles_and_compiles(network):
    x = torch.rand(2, 3, 9, 9)
    layers = layers_of(network, ["0", "4"])
    again = pickle.loads(pickle.dumps(layers))
    assert all(torch.equal(a, b) for a, b in zip(layers(x), again(x), strict=True))
    compiled = torch.compile(lambda x: sum(m.sum() for m in layers(x)), backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x), sum(m.sum() for m in layers(x)))


def test_an_overwritten_map_is_an_error_not_a_wrong_value():
    layers = layers_of(Residual(in_place=True), ["body", "tail"])
    with pytest.raises(UsageError, match="'body' is overwritten by an in-place operation"):
        layers(torch.rand(1, 3, 6, 6))
    with torch.inference_mode():
        layers_of(Residual(), ["body", "tail"])(torch.rand(1, 3, 6, 6))


def test_wrong_names_are_refused(network):
    with pytest.raises(UsageError, match=r"no layer '9'.*its last ones are 0, 1, 2, 3, 4"):
        layers_of(network, ["9"])
    for names in ([], "4"):
        with pytest.raises(UsageError, match="names: expected the names of one or more layers, such as"):
            layers_of(network, names)
    with pytest.raises(UsageError, match="each layer once"):
        layers_of(network, ["4", "4"])
    with pytest.raises(UsageError, match="'spare' does not run"):
        layers_of(Residual(), ["spare"])(torch.rand(1, 3, 6, 6))
    with pytest.raises(UsageError, match=r"expected \(B, 3, H, W\).*got \(1, 1, 6, 6\)"):
        layers_of(network, ["4"], mean=IMAGENET_MEAN)(torch.rand(1, 1, 6, 6))


def test_threads_that_share_a_network_get_their_own_maps(network):
    layers = layers_of(network, ["0", "1"])
    inputs = [torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    expected = [layers(x) for x in inputs]

    def often(k):
        return [layers(inputs[k]) for _ in range(40)]

    with ThreadPoolExecutor(4) as pool:
        for right, found in zip(expected, pool.map(often, range(4)), strict=True):
            for maps in found:
                for a, b in zip(right, maps, strict=True):
                    torch.testing.assert_close(a, b)
    assert not layers._found


def test_a_pass_that_fails_keeps_no_maps(network):
    layers = layers_of(network, ["0"])
    with pytest.raises(RuntimeError):
        layers(torch.rand(1, 5, 8, 8))
    assert not layers._found


def test_constants_stand_beside_the_weights_whatever_the_default_device(network):
    with torch.device("meta"):
        layers = layers_of(network, ["0"], mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)
    assert layers(torch.rand(1, 3, 8, 8))[0].device.type == "cpu"
    bare = layers_of(nn.Sequential(nn.ReLU()), ["0"], mean=IMAGENET_MEAN)
    assert bare(torch.rand(1, 3, 8, 8, device="meta"))[0].device.type == "meta"


def test_a_move_in_inference_mode_leaves_weights_that_can_be_trained_through(network):
    layers = layers_of(network, ["0"])
    with torch.inference_mode():
        layers(torch.rand(1, 3, 8, 8, device="meta"))
    assert not any(p.is_inference() for p in layers.parameters())


def test_a_deviation_without_a_mean_is_refused(network):
    with pytest.raises(UsageError, match="does nothing without a mean"):
        layers_of(network, ["0"], deviation=(0.5, 0.5, 0.5))


class Watched(nn.Module):
    """The identity, which looks about while a pass is under way."""

    look: Callable[[], None]

    def forward(self, x: Tensor) -> Tensor:
        Watched.look()
        return x


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_pass_in_another_precision_leaves_the_weights_to_other_threads(network, dtype):
    """Exchanged in place they would be there for a pass of another thread, and two of these could leave them there."""
    layers = layers_of(nn.Sequential(*network[:1], Watched(), *network[1:]), ["0", "4"])
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = [p.clone() for p in layers.parameters()]
    Watched.look = lambda: None
    expected, seen = layers(x), []

    def look():
        Watched.look = lambda: None
        seen.append([p.dtype for p in layers.parameters()])
        with ThreadPoolExecutor(1) as another:
            seen.append(another.submit(layers, x).result())

    Watched.look = look
    maps = layers(x.to(dtype))
    assert seen[0] == [torch.float32] * 4 and maps[1].dtype == dtype
    for a, b in zip(expected, seen[1], strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(before, layers.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64])
def test_images_of_whole_numbers_are_refused(network, dtype):
    """Weights follow the images' precision: cast to whole numbers they would be zeros, and a deviation of 0.2 too."""
    x = torch.full((1, 3, 8, 8), 200).to(dtype)
    for layers in (layers_of(network, ["0"]), layers_of(network, ["0"], mean=IMAGENET_MEAN)):
        with pytest.raises(UsageError, match=rf"floating-point images in \[0, 1\], got {dtype}.*/ 255"):
            layers(x)


def test_of_a_compiled_network_the_layers_are_taken_that_it_was_made_of(network):
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(network, backend="eager")
    for found, expected in zip(
        layers_of(compiled, ["1", "4"])(x), layers_of(network, ["1", "4"])(x), strict=True
    ):
        assert torch.equal(found, expected)
