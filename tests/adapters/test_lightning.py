"""The Lightning callback compares on time, logs through the trainer, and leaves the training bit for bit as it was."""

from __future__ import annotations

import copy
import importlib.util
import warnings

import pytest
import torch

from assay.adapters.during_training import ModelComparison
from assay.adapters.lightning import comparison_callback
from assay.errors import DataError, UsageError

# looked for first: what an import warns of is not what is tested here
if importlib.util.find_spec("lightning") is None:
    pytest.skip("needs lightning", allow_module_level=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning.pytorch as pl

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.filterwarnings("error:no comparison"),
]


class Module(pl.LightningModule):
    """Trained towards one image from noise, in an order and with a dropout that draw random numbers."""

    def __init__(self, generator: torch.nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def training_step(self, batch, index):
        loss = ((self.generator(torch.randn(len(batch), 4)) - batch) ** 2).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


class Kept(pl.loggers.logger.DummyLogger):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int, dict]] = []

    def log_metrics(self, metrics, step=None):
        self.said.append((step, dict(metrics)))


@pytest.fixture
def parts(generator_and_sample, real_images):
    generator, sample = generator_and_sample
    images = real_images[:24, :1].float() / 127.5 - 1
    loader = torch.utils.data.DataLoader(images, batch_size=4, shuffle=True)
    comparing = ModelComparison(
        lambda module, k: sample(module.generator, k), real_images,
        n=20, value_range=(-1, 1), features="pixels:4", measures=["fd", "kd"], workers=1,
    )  # fmt: skip
    return Module(generator), loader, comparing


def fit(module, loader, callbacks, logger=False, steps=9, **how):
    torch.manual_seed(5)
    trainer = pl.Trainer(
        max_steps=steps, accelerator="cpu", logger=logger, callbacks=callbacks, enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=how.pop("enable_checkpointing", False), **how,
    )  # fmt: skip
    trainer.fit(module, loader)
    return trainer


def test_it_compares_every_k_steps_and_logs_each_time(parts):
    module, loader, comparing = parts
    logger, looked = Kept(), []
    callback = comparison_callback(comparing, every=4, look=lambda found, step: looked.append((step, found)))
    trainer = fit(module, loader, [callback], logger, log_every_n_steps=50)
    said = [(step, values) for step, values in logger.said if "assay/fd" in values]
    assert [step for step, _ in said] == [4, 8] == [step for step, _ in looked]
    for (_, values), (_, found) in zip(said, looked, strict=True):
        estimate = found["model", "fd"]
        assert values["assay/fd"] == estimate.corrected
        assert (values["assay/fd_low"], values["assay/fd_high"]) == (estimate.low, estimate.high)
    assert float(trainer.callback_metrics["assay/fd"]) == pytest.approx(said[-1][1]["assay/fd"], rel=1e-6)


def test_training_is_the_same_with_and_without(parts):
    module, loader, comparing = parts
    plain, before = copy.deepcopy(module), copy.deepcopy(module)
    fit(plain, loader, [])
    fit(module, loader, [comparison_callback(comparing, every=2)])
    pairs = zip(plain.state_dict().values(), module.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(before.generator.first.weight, module.generator.first.weight)


def test_a_checkpoint_can_be_kept_by_the_measure(parts, tmp_path):
    module, loader, comparing = parts
    keep = pl.callbacks.ModelCheckpoint(tmp_path, monitor="assay/fd", every_n_train_steps=3, save_top_k=1)
    fit(module, loader, [comparison_callback(comparing, every=3), keep], enable_checkpointing=True)
    assert keep.best_model_score is not None
    assert len(list(tmp_path.glob("*.ckpt"))) == 1


def test_several_optimisers_count_each_of_their_steps(parts):
    _, loader, comparing = parts

    class Two(Module):
        automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), 0.1), torch.optim.SGD(self.parameters(), 0.1)]

        def training_step(self, batch, index):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(super().training_step(batch, index))
                optimizer.step()

    looked = []
    callback = comparison_callback(comparing, every=5, look=lambda found, step: looked.append(step))
    fit(Two(parts[0].generator), loader, [callback], steps=12)
    assert looked == [6, 10]  # the first even steps at or after 5 and 10


def test_what_is_wrong_with_the_real_set_is_said_at_the_start(parts):
    module, loader, _ = parts
    comparing = ModelComparison(lambda m, k: None, "nowhere/", n=3, features="pixels:4")
    with pytest.raises(DataError, match="nowhere"):
        fit(module, loader, [comparison_callback(comparing, every=10**9)])
    with pytest.raises(UsageError, match="every"):
        comparison_callback(comparing, every=0)
