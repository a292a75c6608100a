"""In Hugging Face's Trainer and in an Accelerate loop: on time, logged, and the training bit for bit as it was."""

from __future__ import annotations

import copy
import gc
import importlib.util
import warnings
import weakref

import pytest
import torch
from torch import nn

from assay.adapters.during_training import ModelComparison
from assay.adapters.hugging_face import add_comparison
from assay.errors import UsageError

needs_trainer = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("transformers", "accelerate")),
    reason="needs transformers and accelerate",
)
needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="needs accelerate"
)
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.filterwarnings("error:no comparison")]


class Learner(nn.Module):
    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image):
        made = self.generator(torch.randn(len(image), 4))
        return {"loss": ((made - image) ** 2).mean(), "made": made}


@pytest.fixture
def parts(generator_and_sample, real_images):
    generator, sample = generator_and_sample
    images = [{"image": image} for image in real_images[:24, :1].float() / 127.5 - 1]
    comparing = ModelComparison(
        lambda model, k: sample(model.generator, k), real_images,
        n=20, value_range=(-1, 1), features="pixels:4", measures=["fd", "kd"], workers=1,
    )  # fmt: skip
    return Learner(generator), images, comparing


def trainer_of(model, images, folder, steps=9):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=4, use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, learning_rate=0.01, seed=5,
        remove_unused_columns=False,
    )  # fmt: skip
    return Trainer(model=model, args=arguments, train_dataset=images)


@needs_trainer
def test_it_compares_every_k_steps_and_logs_through_the_trainer(parts, tmp_path):
    model, images, comparing = parts
    with pytest.raises(UsageError, match="every"):
        add_comparison(trainer_of(model, images, tmp_path), comparing, every=0)
    trainer, looked = trainer_of(model, images, tmp_path), []
    add_comparison(trainer, comparing, every=4, look=lambda found, step: looked.append((step, found)))
    trainer.train()
    said = [entry for entry in trainer.state.log_history if "assay/fd" in entry]
    assert [entry["step"] for entry in said] == [4, 8] == [step for step, _ in looked]
    for entry, (_, found) in zip(said, looked, strict=True):
        assert entry["assay/kd"] == found["model", "kd"].corrected
        assert entry["assay/kd_high"] == found["model", "kd"].high


@needs_trainer
def test_training_is_the_same_with_and_without(parts, tmp_path):
    model, images, comparing = parts
    plain, before = copy.deepcopy(model), copy.deepcopy(model)
    trainer_of(plain, images, tmp_path).train()
    trainer = trainer_of(model, images, tmp_path)
    add_comparison(trainer, comparing, every=2)
    trainer.train()
    pairs = list(zip(plain.state_dict().values(), model.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(model.generator.first.weight, before.generator.first.weight)


@needs_trainer
def test_the_callback_keeps_no_trainer_alive(parts, tmp_path):
    model, images, comparing = parts
    trainer = trainer_of(model, images, tmp_path, steps=2)
    callback = add_comparison(trainer, comparing, every=1)
    trainer.train()
    gone = weakref.ref(trainer)
    del trainer
    gc.collect()
    assert gone() is None and callback is not None


@needs_accelerate
def test_in_an_accelerate_loop_the_model_may_stay_wrapped(parts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from accelerate import Accelerator

    model, _images, comparing = parts
    accelerator = Accelerator(cpu=True)
    wrapped = accelerator.prepare(model)
    model.train()
    found = comparing(wrapped)
    assert found["model", "fd"] == comparing(accelerator.unwrap_model(wrapped))["model", "fd"]
    assert model.training
