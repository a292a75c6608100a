"""Grad-CAM: the closed form behind a linear head, batches as their images, and a network left as it was."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from assay.attribution import grad_cam, guided_grad_cam, points_at
from assay.errors import UsageError

HEAD = "conv"


class Small(nn.Module):
    """Convolution, norm, ReLU in place, global average pool, linear head."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(6, classes)

    def maps(self, x):
        return self.act(self.norm(self.conv(x)))

    def forward(self, x):
        return self.fc(self.maps(x).mean((2, 3)))


@pytest.fixture
def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small().double().eval()


@pytest.fixture
def images(generator):
    return torch.rand(4, 3, 10, 14, dtype=torch.float64, generator=generator)


def test_behind_a_pool_and_a_linear_head_it_is_the_class_activation_map(small, images):
    classes = torch.tensor([0, 3, 3, 1])
    found = grad_cam(small, images, "act", classes, relu=False, upsample=False)
    with torch.no_grad():
        maps = small.maps(images)
        expected = torch.einsum("bc,bchw->bhw", small.fc.weight[classes], maps) / maps[0, 0].numel()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert found.shape == (4, 5, 7) and (found < 0).any()
    clipped = grad_cam(small, images, "act", classes, upsample=False)
    torch.testing.assert_close(clipped, expected.clamp_min(0))


def test_before_a_norm_and_a_relu_it_is_the_direct_computation(small, images):
    """In front of an activation that works in place: the map is of what the layer gave."""
    with torch.enable_grad():
        maps = small.conv(images).detach().requires_grad_()
        scores = small.fc(torch.relu(small.norm(maps)).mean((2, 3)))
        (slope,) = torch.autograd.grad(scores.max(1).values.sum(), maps)
    expected = (slope.mean((2, 3), keepdim=True) * maps.detach()).sum(1)
    for layer in (small.conv, "conv"):
        torch.testing.assert_close(grad_cam(small, images, layer, relu=False, upsample=False), expected)
    after_norm = grad_cam(small, images, "norm", relu=False, upsample=False)
    with torch.no_grad():
        normed = small.norm(small.conv(images))
    weights = (
        slope / (small.norm.weight / (small.norm.running_var + small.norm.eps).sqrt())[:, None, None]
    ).mean((2, 3), keepdim=True)
    torch.testing.assert_close(after_norm, (weights * normed).sum(1).detach())  # not the map after the ReLU


@pytest.mark.parametrize("target", [None, 2, torch.tensor([0, 4, 1, 2]), lambda out: out[:, 1] - out[:, 0]])
def test_a_batch_equals_its_images_one_by_one(small, images, target):
    together = grad_cam(small, images, "act", target)
    assert together.shape == (4, 10, 14)
    for i in range(4):
        own = target[i : i + 1] if isinstance(target, torch.Tensor) else target
        torch.testing.assert_close(together[i], grad_cam(small, images[i : i + 1], "act", own)[0])


def test_forms_of_the_target_agree(small, images):
    top = small(images).argmax(1)
    by_default = grad_cam(small, images, "act", relu=False)
    torch.testing.assert_close(by_default, grad_cam(small, images, "act", top, relu=False))
    torch.testing.assert_close(
        by_default, grad_cam(small, images, "act", lambda out: out.max(1).values, relu=False)
    )
    torch.testing.assert_close(
        grad_cam(small, images, "act", lambda out: -3 * out[:, 2], relu=False),
        -3 * grad_cam(small, images, "act", 2, relu=False),
    )


def test_normalised_to_the_largest_and_zero_stays_zero(small, images):
    plain = grad_cam(small, images, "act", relu=False)
    scaled = grad_cam(small, images, "act", relu=False, normalise=True)
    torch.testing.assert_close(scaled, plain / plain.abs().amax((1, 2), keepdim=True))
    zero = grad_cam(small, images, "act", lambda out: 0 * out[:, 0], normalise=True)
    assert bool((zero == 0).all())


def state(model):
    return {
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
        "training": [m.training for m in model.modules()],
        "flags": [p.requires_grad for p in model.parameters()],
        "grads": [p.grad is None or p.grad.clone() for p in model.parameters()],
        "values": [v.clone() for v in model.state_dict().values()],
    }  # fmt: skip


def same(a, b):
    for key in ("hooks", "training", "flags"):
        assert a[key] == b[key]
    for key in ("grads", "values"):
        for one, other in zip(a[key], b[key], strict=True):
            assert one is other or torch.equal(one, other)


def test_the_model_is_left_as_it_was_also_where_it_fails(small, images):
    small.fc.weight.requires_grad_(False)
    small.conv.weight.grad = torch.ones_like(small.conv.weight)
    before = state(small)
    grad_cam(small, images, "act")
    guided_grad_cam(small, images, "act")
    same(before, state(small))
    for wrong in (lambda out: out, lambda out: 1 / 0, lambda out: out[:, 9]):
        with pytest.raises((UsageError, ZeroDivisionError, IndexError)):
            grad_cam(small, images, "act", wrong)
    with pytest.raises(RuntimeError):
        grad_cam(small, images[:, :2], "act")  # the forward pass itself fails
    same(before, state(small))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off_and_all_is_frozen(small, images, mode):
    expected = grad_cam(small, images, "act")
    small.requires_grad_(False)
    with mode():
        torch.testing.assert_close(grad_cam(small, images + 0, "act"), expected)
        assert not torch.is_grad_enabled()


def test_under_autocast_it_is_close_and_float32(images):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Small().eval()
    exact = grad_cam(model, images.float(), "act", 1, relu=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = grad_cam(model, images.float(), "act", 1, relu=False)
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() <= 0.03 * exact.abs().max()


def test_tokens_through_to_map(images):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 2, stride=2)
            self.mix = nn.Linear(8, 8)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            tokens = self.mix(self.embed(x).flatten(2).mT)
            return self.head(tokens.mean(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tokens().double().eval()
    with pytest.raises(UsageError, match=r"gives \(4, 35, 8\), expected \(B, C, h, w\)"):
        grad_cam(model, images, "mix")
    found = grad_cam(model, images, "mix", 0, to_map=lambda t: t.mT.reshape(len(t), -1, 5, 7), upsample=False)
    assert found.shape == (4, 5, 7) and found.abs().max() > 0


def test_a_bright_patch_is_pointed_at_and_a_random_network_points_elsewhere():
    """A detector of red: the map finds the patch; with its weights drawn anew it does not."""
    model = Small(1).eval()
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.weight[0, 0] = 1 / 9
        model.fc.weight.zero_()
        model.fc.weight[0, 0] = 1.0
    g = torch.Generator().manual_seed(1)
    images = 0.3 * torch.rand(40, 3, 16, 16, generator=g)
    region = torch.zeros(40, 16, 16, dtype=torch.bool)
    for i in range(40):
        top, left = torch.randint(0, 11, (2,), generator=g).tolist()
        images[i, 0, top : top + 5, left : left + 5] = 1.0
        images[i, 1, 15 - top - 4 : 16 - top, 15 - left - 4 : 16 - left] = 1.0
        region[i, top : top + 5, left : left + 5] = True
    assert points_at(grad_cam(model, images, "act", 0, upsample=False), region).float().mean() == 1
    with torch.no_grad():
        model.conv.weight.copy_(model.conv.weight[:, [1, 0, 2]])
    assert points_at(grad_cam(model, images, "act", 0, upsample=False), region).float().mean() < 0.5


def test_guided_gradients_pass_back_what_is_positive_only(images):
    """One ReLU between two linear steps, by hand."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return self.b(torch.relu(self.a(x))).mean((2, 3))

    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = Two().double().eval()
    found = guided_grad_cam(model, images, "a", 1)
    with torch.no_grad():
        back = (model.b.weight[1, :, 0, 0] / 140)[None, :, None, None]
        passed = back.clamp_min(0) * (model.a(images) > 0)
        pixels = torch.einsum("bchw,cd->bdhw", passed, model.a.weight[:, :, 0, 0])
    torch.testing.assert_close(found, grad_cam(model, images, "a", 1)[:, None] * pixels)
    assert found.abs().max() > 0


@pytest.mark.parametrize(
    "target,words",
    [
        (5, "target: the classes are 0 to 4, got 5"),
        (torch.tensor([0, 1]), r"expected a class or \(4,\) integers"),
        (torch.tensor([0.0, 1, 1, 1]), r"expected a class or \(4,\) integers, got torch.float32"),
        (True, "expected None, a class"),
        (lambda out: out, r"the function gives \(4, 5\), expected one number an image, \(4,\)"),
    ],
)
def test_wrong_targets_are_one_sentence(small, images, target, words):
    with pytest.raises(UsageError, match=words):
        grad_cam(small, images, "act", target)


def test_wrong_layers_and_modes_are_one_sentence(small, images):
    with pytest.raises(UsageError, match="the model has no part 'actt'"):
        grad_cam(small, images, "actt")
    with pytest.raises(UsageError, match="got ReLU that is not in it"):
        grad_cam(small, images, nn.ReLU())
    with pytest.raises(UsageError, match=r"layer: gives \(4, 5\), expected \(B, C, h, w\)"):
        grad_cam(small, images, "fc")
    small.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(UsageError, match="its forward pass does not run"):
        grad_cam(small, images, "unused")
    with pytest.raises(UsageError, match="the score does not depend on the layer"):
        grad_cam(small, images, "act", lambda out: out.detach()[:, 0])
    small.train()
    with pytest.raises(UsageError, match="norm is a batch norm in training"):
        grad_cam(small, images, "act")


def test_it_equals_an_independent_implementation(small, images):
    captum = pytest.importorskip("captum.attr", exc_type=ImportError)
    classes = torch.tensor([0, 3, 3, 1])
    peer = captum.LayerGradCam(small, small.norm)
    expected = peer.attribute(images.clone(), target=classes, relu_attributions=True)[:, 0]
    torch.testing.assert_close(
        grad_cam(small, images, "norm", classes, upsample=False), expected.detach(), rtol=1e-6, atol=1e-9
    )
    assert "captum" in sys.modules


def test_a_norm_without_running_statistics_mixes_a_batch_also_in_eval(images):
    model = (
        nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4, track_running_stats=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        .double()
        .eval()
    )
    with pytest.raises(UsageError, match="1 is a batch norm without running statistics"):
        grad_cam(model, images, "0", 0)
    assert len(grad_cam(model, images[:1], "0", 0)) == 1
