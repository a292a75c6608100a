"""How good are the images, every 50 steps of a training with Hugging Face's Trainer?

pip install "assay[images,transformers]" accelerate
python examples/trainer_callback.py
python examples/trainer_callback.py --steps 20 --every 10 --images 100 --features pixels:8
"""

from __future__ import annotations

import tempfile

import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments

from assay.adapters.hugging_face import add_comparison
from small_generator import SmallGenerator, comparison, loss_of, options, real_images


class Learner(SmallGenerator):
    """The trainer calls the model with a batch's columns and takes the loss from what comes back."""

    def forward(self, noise: Tensor | None = None, image: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        if image is not None:
            return {"loss": loss_of(self, image)}
        return super().forward(noise)


def main() -> None:
    args = options("Compare a model with real images while Hugging Face's Trainer trains it.")
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=args.steps,
            per_device_train_batch_size=20,
            learning_rate=2e-3,
            use_cpu=True,
            remove_unused_columns=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=Learner(), args=arguments, train_dataset=[{"image": image} for image in real_images(200)]
        )
        add_comparison(trainer, comparison(args), every=args.every)
        trainer.train()
    for entry in trainer.state.log_history:
        if "assay/fd" in entry:
            low, high = entry["assay/fd_low"], entry["assay/fd_high"]
            print(f"step {entry['step']}: fd {entry['assay/fd']:.4g} [{low:.4g}, {high:.4g}]")


if __name__ == "__main__":
    main()
