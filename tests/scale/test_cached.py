"""The gradient over chunks is the gradient of the whole batch, whatever the chunks, the loss and the network."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import assay
from assay.scale.cached.backward import CachedObjective, cached_backward


def network(*layers: nn.Module, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 8), *layers, nn.Tanh(), nn.Linear(8, 4)).double()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def info_nce(a: Tensor, b: Tensor) -> Tensor:
    similar = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.1
    return F.cross_entropy(similar, torch.arange(len(a)))


def spread(z: Tensor) -> Tensor:
    """Every row with every other."""
    return (z @ z.T).logsumexp(1).mean() - z.pow(3).mean()


REFERENCE = draw(40, 4, seed=9)
LOSSES = {
    "plain function": spread,
    "kernel distance": assay.kernel_distance.objective(reference=REFERENCE),
    "Frechet distance": assay.frechet_distance.objective(reference=REFERENCE),
    "views of one output": lambda z: info_nce(z[:, :2], z[:, 2:]),
}


def taken(*models: nn.Module) -> list[Tensor | None]:
    """The gradients, and none are left."""
    found = [None if p.grad is None else p.grad.clone() for m in models for p in m.parameters()]
    for model in models:
        model.zero_grad()
    return found


def same(got: list[Tensor | None], wanted: list[Tensor | None], tolerance: float = 1e-12) -> None:
    assert len(got) == len(wanted) > 0
    for a, b in zip(got, wanted, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("chunk", [1, 5, 12, 23])
def test_gradient_is_that_of_the_whole_batch(loss, chunk):
    model, x = network(), draw(23, 5)
    wanted = loss(model(x))
    wanted.backward()
    slopes = taken(model)
    value = cached_backward(model, x, loss, chunk)
    assert not value.requires_grad
    torch.testing.assert_close(value, wanted.detach(), rtol=1e-12, atol=1e-12)
    same(taken(model), slopes)


@settings(max_examples=40)
@given(rows=st.integers(2, 12), chunk=st.integers(1, 12), seed=st.integers(0, 99), dropout=st.booleans())
def test_chunks_draw_the_same_random_numbers_twice(rows, chunk, seed, dropout):
    chunk = min(rows, chunk)
    model, x = network(nn.Dropout(0.4 if dropout else 0.0)), draw(rows, 5, seed=seed)
    torch.manual_seed(seed)
    wanted = spread(torch.cat([model(part) for part in x.split(chunk)]))
    after = torch.get_rng_state()
    wanted.backward()
    slopes = taken(model)
    torch.manual_seed(seed)
    value = cached_backward(model, x, spread, chunk)
    assert torch.equal(torch.get_rng_state(), after)
    assert float(value) == pytest.approx(float(wanted.detach()), rel=1e-12)
    same(taken(model), slopes)


def test_a_loss_that_draws_leaves_the_random_state_of_the_plain_step():
    model, x = network(nn.Dropout(0.3)), draw(6, 5)

    def noisy(z: Tensor) -> Tensor:
        return spread(z + 0.1 * torch.randn_like(z))

    torch.manual_seed(4)
    wanted = noisy(torch.cat([model(part) for part in x.split(4)]))
    wanted.backward()
    slopes, after = taken(model), torch.get_rng_state()
    torch.manual_seed(4)
    cached_backward(model, x, noisy, 4)
    same(taken(model), slopes)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("kind", [list, dict, nn.ModuleList, nn.ModuleDict])
def test_two_towers(kind):
    a, b, x, y = network(), network(seed=1), draw(11, 5), draw(11, 5, seed=1)
    wanted = info_nce(a(x), b(y))
    wanted.backward()
    slopes = taken(a, b)
    named = kind in (dict, nn.ModuleDict)
    towers = kind({"a": a, "b": b}) if named else kind([a, b])
    value = cached_backward(towers, {"b": y, "a": x} if named else (x, y), info_nce, 4)
    assert float(value) == pytest.approx(float(wanted.detach()), rel=1e-12)
    same(taken(a, b), slopes)


def test_a_shared_encoder_is_counted_once_and_views_may_differ_in_rows():
    model, x, y = network(), draw(7, 5), draw(14, 5, seed=1)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return F.cross_entropy(a @ b.T, torch.arange(7))

    for stopped in (False, True):  # as in methods whose second view is a target
        one = lambda a, b, stopped=stopped: loss(a, b.detach() if stopped else b)
        one(model(x), model(y)).backward()
        slopes = taken(model)
        cached_backward([model, model], [x, y], one, 3)
        same(taken(model), slopes)


def test_towers_that_share_a_part():
    part = nn.Linear(8, 3).double()
    a, b = nn.Sequential(network(nn.Identity()), nn.Linear(4, 8).double(), part), nn.Sequential(part)
    x, y = draw(9, 5), draw(9, 8, seed=1)
    info_nce(a(x), b(y)).backward()
    slopes = taken(a)
    cached_backward([a, b], [x, y], info_nce, 4)
    same(taken(a), slopes)


Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Text:
    ids: Tensor
    mask: Tensor
    lengths: str = "kept"


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(7, 5), nn.Linear(5, 4)
        self.seen: list[object] = []

    def forward(self, batch):
        text, scale = batch["text"], batch["scale"]
        self.seen.append((type(text), text.lengths, scale))
        mean = (self.table(text.ids) * text.mask[..., None]).sum(1)
        z = self.head(mean * scale + batch["more"][0])
        return {"pair": Pair(z, z.sin()), "codes": text.ids[:, 0], "none": None, "name": "x"}


def test_nested_inputs_and_outputs():
    torch.manual_seed(0)
    model = Nested().double()
    ids = torch.randint(0, 7, (9, 3), generator=torch.Generator().manual_seed(0))
    batch = {"text": Text(ids, draw(9, 3)), "scale": 2.0, "more": [draw(9, 5, seed=2)]}

    def loss(out):
        assert isinstance(out["pair"], Pair) and out["none"] is None and out["name"] == "x"
        assert torch.equal(out["codes"], ids[:, 0])
        return info_nce(*out["pair"])

    loss(model(batch)).backward()
    slopes = taken(model)
    cached_backward(model, batch, loss, 4)
    same(taken(model), slopes)
    assert set(model.seen) == {(Text, "kept", 2.0)}


def test_heads_without_gradient_and_the_loss_that_uses_one_of_two():
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = network(), network(seed=1)

        def forward(self, x):
            return self.a(x), self.b(x), self.a(x).detach()

    model, x = Heads(), draw(9, 5)
    for loss in (lambda z: spread(z[0]), lambda z: info_nce(z[0], z[2]), lambda z: info_nce(z[0], z[1])):
        loss(model(x)).backward()
        slopes = taken(model)
        cached_backward(model, x, loss, 4)
        same(taken(model), slopes)


def test_inputs_that_ask_for_a_gradient_get_it():
    model, base, y = network(), draw(9, 5).requires_grad_(), draw(9, 5, seed=1).requires_grad_()
    found = []
    for run in (
        lambda x: info_nce(model(x), model(y)).backward(),
        lambda x: cached_backward([model, model], [x, y], info_nce, 4),
    ):
        run(base * 2)  # no leaf: what made the input gets its gradient, too
        found.append([base.grad, y.grad, *taken(model)])
        base.grad = y.grad = None
    wanted, got = found
    same(got, wanted)
    for p in model.parameters():
        p.requires_grad_(False)
    cached_backward([model, model], [base * 2, y], info_nce, 4)
    same([base.grad, y.grad], wanted[:2])


def test_frozen_parameters_and_frozen_encoders_stay_without_gradient():
    a, b, x, y = network(), network(seed=1), draw(9, 5), draw(9, 5, seed=1)
    a[0].weight.requires_grad_(False)
    b.requires_grad_(False)
    info_nce(a(x), b(y)).backward()
    slopes = taken(a, b)
    calls = []
    b.register_forward_hook(lambda *_: calls.append(1))
    cached_backward([a, b], [x, y], info_nce, 4)
    same(taken(a, b), slopes)
    assert len(calls) == 3  # a frozen tower is not computed twice


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.critic = nn.Linear(4, 4).double()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        value = info_nce(self.critic(z) * self.log_scale.exp(), z + self.log_scale)
        return value if labels is None else value + z[labels == 1].pow(2).mean()


def test_the_losses_own_parameters_get_their_gradient_once():
    torch.manual_seed(0)
    model, loss, x = network(), Temperature(), draw(9, 5)
    loss(model(x)).backward()
    slopes = taken(model, loss)
    cached_backward(model, x, loss, 2)
    same(taken(model, loss), slopes)
    model.requires_grad_(False)
    cached_backward(model, x, loss, 2)
    same(taken(loss), slopes[-3:])


def test_accumulation_adds():
    model, x, y = network(), draw(9, 5), draw(8, 5, seed=1)
    (spread(model(x)) + spread(model(y))).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 4)
    cached_backward(model, y, spread, 3)
    same(taken(model), slopes)


def test_a_gradient_scaler_scales():
    model, x = network(), draw(9, 5)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    spread(model(x)).backward()
    slopes = taken(model)
    value = cached_backward(model, x, spread, 4, scaler=scaler)
    assert float(value) == pytest.approx(float(spread(model(x)).detach()), rel=1e-12)
    same(taken(model), [None if g is None else 64 * g for g in slopes])


@pytest.mark.parametrize("where", ["both", "forward"])
def test_autocast_is_in_force_in_both_passes(where):
    model, x = network(nn.Dropout(0.2)).float(), draw(9, 5).float()
    kinds = []
    model[-1].register_forward_hook(lambda m, args, out: kinds.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        loss = spread(torch.cat([model(part) for part in x.split(4)]).float())
    loss.backward()
    slopes = taken(model)
    assert all(g is not None for g in slopes)
    kinds.clear()
    objective = CachedObjective(lambda z: spread(z.float()), 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.manual_seed(0)
        value = objective(model, x)
        if where == "both":
            value.backward()
    if where == "forward":
        value.backward()
    assert kinds == [torch.bfloat16] * 6
    torch.testing.assert_close(value.detach(), loss.detach())
    same(taken(model), slopes, 2e-2)


def test_checkpointed_layers_inside_the_encoder():
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(nn.Dropout(0.3))

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False)

    model, x = Checkpointed(), draw(9, 5)
    torch.manual_seed(0)
    spread(torch.cat([model.body(part) for part in x.split(4)])).backward()
    slopes = taken(model)
    torch.manual_seed(0)
    cached_backward(model, x, spread, 4)
    same(taken(model), slopes)


@pytest.mark.parametrize("gradient_to", ["loss", "backward"])
def test_an_objective_in_a_training_loop(gradient_to):
    """Scaled, accumulated, with labels, by the caller's own backward; the optimiser's steps are the plain ones."""
    runs = []
    for cached in (False, True):
        torch.manual_seed(0)
        model, loss, x = network(), Temperature(), draw(12, 5)
        labels = torch.arange(12) % 2
        objective = CachedObjective(loss, 5)
        optimizer = torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=0.1)
        for step in range(3):
            for half in (x[:6] + step, x[6:]):
                target = labels[: len(half)]
                value = objective(model, half, target) if cached else loss(model(half), target)
                if gradient_to == "loss":
                    (value / 2).backward()
                else:
                    value.backward(torch.tensor(0.5, dtype=torch.float64))
            optimizer.step()
            optimizer.zero_grad()
        runs.append([p.detach().clone() for p in (*model.parameters(), *loss.parameters())])
    same(runs[1], runs[0])


def test_an_objective_is_a_module_that_holds_the_loss_alone():
    objective = CachedObjective(Temperature(), 4)
    assert set(objective.state_dict()) == {f"loss.{name}" for name in Temperature().state_dict()}
    assert "chunk_size=4" in repr(objective)
    calls, model = [], network()
    model.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        value = objective(model, draw(8, 5))
    assert len(calls) == 2 and not value.requires_grad


def test_autograd_grad_and_hooks_see_the_whole_gradient_once():
    model, x = network(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    parameters = list(model.parameters())
    same(list(torch.autograd.grad(CachedObjective(spread, 4)(model, x), parameters)), slopes)
    parameters[0].register_hook(lambda g: g.clamp(-0.1, 0.1) / 2)
    updated: list[Tensor] = []
    parameters[1].register_post_accumulate_grad_hook(updated.append)
    for _ in range(2):
        cached_backward(model, x, spread, 4)
        first, *others = taken(model)
        same([first], [slopes[0].clamp(-0.1, 0.1) / 2])
        same(others, slopes[1:])
    assert len(updated) == 2


def test_parameters_whose_gradient_is_one_tensor_are_summed_apart():
    class Biases(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5))

        def forward(self, x):
            return x + (self.a + self.b)

    model, x = Biases().double(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 2)
    same(taken(model), slopes)


def test_memory_does_not_grow_with_the_number_of_chunks():
    """What is held for the backward pass at any moment belongs to one chunk."""
    held, most = [0], [0]

    def pack(t: Tensor) -> Tensor:
        held[0] += t.numel()
        most[0] = max(most[0], held[0])
        return t

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(nn.Linear(8, 8), nn.Tanh())

        def forward(self, x):
            held[0] = 0
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                return self.body(x)

    peaks = []
    for rows in (8, 64):
        most[0] = 0
        cached_backward(Watched(), draw(rows, 5), spread, 8)
        peaks.append(most[0])
    assert peaks[0] == peaks[1] > 0


class Bad(nn.Module):
    """A network whose output is `made(features, rows seen before)`."""

    def __init__(self, made) -> None:
        super().__init__()
        self.body, self.made, self.count = network(), made, 0

    def forward(self, x):
        self.count += len(x)
        return self.made(self.body(x), self.count - len(x))


X = draw(9, 5)
STRANGE = torch.zeros(4, dtype=torch.float64, requires_grad=True)
NORM = nn.BatchNorm1d


def bn(**options) -> nn.Module:
    return network(nn.Sequential(nn.BatchNorm1d(8, **options), nn.BatchNorm1d(8)))


@pytest.mark.parametrize(
    "encoder, inputs, loss, chunk, match",
    [
        (network(), X, spread, 0, r"chunk_size: .*at least 1, got 0"),
        (network(), X, spread, -2, r"chunk_size: .*got -2"),
        (network(), X, spread, 2.0, r"chunk_size: .*got 2.0"),
        (network(), X, spread, True, r"chunk_size: .*got True"),
        (network(), X, spread, 10, r"chunk_size: 10 is above the batch of 9"),
        (network(), X[:0], spread, 1, r"inputs: has no rows: shape \(0, 5\)"),
        (network(), "text", spread, 1, r"inputs: expected a tensor, .*got str"),
        (network(), {"a": X, "b": [X[:8]]}, spread, 1, r"inputs\['b'\]\[0\]: has 8 rows and inputs\['a'\] has 9"),
        (network(), {"a": X, "t": X[0, 0]}, spread, 1, r"inputs\['t'\]: is a tensor without axes"),
        ([network()], X, spread, 1, r"inputs: expected a list of 1, .*got Tensor"),
        ([network()], [X, X], spread, 1, r"inputs: expected a list of 1, .*got 2 of them"),
        ({"a": network()}, {"b": X}, spread, 1, r"keys \['a'\], got keys \['b'\]"),
        ([network(), network()], [X, X[:0]], spread, 1, r"inputs\[1\]: has no rows"),
        ([], [], spread, 1, r"encoder: there is none"),
        (lambda x: x, X, spread, 1, r"encoder: expected a torch.nn.Module, got function"),
        ([network(), torch.sin], [X, X], spread, 1, r"encoder\[1\]: expected a torch.nn.Module"),
        (network(), X, "spread", 1, r"loss: expected a function"),
        (network(), X, lambda z: z.mean(0), 1, r"loss: expected a scalar from it, got shape \(4,\)"),
        (network(), X, lambda z: float(z.detach().mean()), 1, r"loss: expected a scalar tensor from it, got float"),
        (network(), X, lambda z: spread(z.detach()), 4, r"loss: no gradient reaches the features"),
        (network(), X, lambda z: STRANGE.sum() + spread(z.detach()), 4, r"loss: no gradient reaches"),
        (bn(), X, spread, 4, r"encoder.1.0 \(and 1 more\): BatchNorm1d in training mode .*\.eval\(\).*GroupNorm"),
        ({"im": bn()}, {"im": X}, spread, 4, r"encoder\['im'\].1.0"),
        (bn(track_running_stats=False).eval(), X, spread, 4, r"BatchNorm1d without running statistics"),
        (nn.InstanceNorm1d(5, track_running_stats=True), X, spread, 4, r"InstanceNorm1d in training mode averages"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4).double()), X, spread, 4, r"changed its buffer '.*_u'"),
        (Bad(lambda z, n: z[:, : 4 - (n > 0)]), X, spread, 4, r"encoder: its output changes between chunks: \(n, 4\)"),
        (Bad(lambda z, n: {"a": z} if n else {"a": z, "b": z}), X, lambda z: spread(z["a"]), 4, r"changes between"),
        (Bad(lambda z, n: z.float() if n else z), X, spread, 4, r"changes between chunks: .*float64.*float32"),
        (Bad(lambda z, n: z[:2]), X, spread, 4, r"encoder: its output has shape \(2, 4\) for a chunk of 4"),
        (Bad(lambda z, n: (z, z.mean())), X, spread, 4, r"its output\[1\] has shape \(\) .*one value a sample"),
        (Bad(lambda z, n: None), X, spread, 4, r"encoder: returned no tensor but NoneType"),
        (Bad(lambda z, n: z.detach()), X, spread, 4, r"encoder: its output carries no gradient"),
        (Bad(lambda z, n: z + STRANGE), X, spread, 4, r"encoder: uses a tensor of shape \(4,\) .*nn.Parameter"),
        (network().requires_grad_(False), X, spread, 4, r"nothing to train"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(encoder, inputs, loss, chunk, match):
    STRANGE.grad = None
    with pytest.raises(assay.UsageError, match=match):
        cached_backward(encoder, inputs, loss, chunk)
    assert STRANGE.grad is None


def test_gradients_switched_off():
    with torch.no_grad(), pytest.raises(assay.UsageError, match="no_grad"):
        cached_backward(network(), X, spread, 4)
    with torch.inference_mode(), pytest.raises(assay.UsageError, match="inference_mode"):
        cached_backward(network(), X, spread, 4)


def test_what_changes_between_loss_and_backward_is_refused():
    model, x = network(), X.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    for change, match in (
        (lambda: x.add_(1), "inputs: was written to"),
        (optimizer.step, "before optimizer.step"),
    ):
        value = CachedObjective(spread, 4)(model, x)
        model[0].weight.grad = torch.ones_like(model[0].weight)
        change()
        with pytest.raises(assay.UsageError, match=match):
            value.backward()


def test_frozen_statistics_are_fine():
    model, x = bn(), draw(9, 5)
    model(x)
    for layer in model.modules():
        if isinstance(layer, NORM):
            layer.eval()
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(model, x, spread, 4)
    same(taken(model), slopes)


def test_a_compiled_encoder():
    model, x = network(), draw(9, 5)
    spread(model(x)).backward()
    slopes = taken(model)
    cached_backward(torch.compile(model, backend="aot_eager"), x, spread, 4)
    same(taken(model), slopes)


def test_a_second_derivative_is_refused_behind_a_loss_that_is_a_plain_sum() -> None:
    """Such a loss's slopes have no graph of their own, and the penalty would add nothing without a word."""
    encoder = network()
    value = CachedObjective(lambda z: z.sum(), chunk_size=4)(encoder, draw(10, 5))
    gradients = torch.autograd.grad(value, list(encoder.parameters()), create_graph=True)
    penalty = torch.stack([g.square().sum() for g in gradients]).sum()
    with pytest.raises(assay.UsageError, match="no second derivative"):
        (penalty + encoder[0].weight.square().sum()).backward()
