"""How good are the images, every 50 steps of a training with Lightning?

pip install "assay[images,lightning]"
python examples/lightning_callback.py
python examples/lightning_callback.py --steps 20 --every 10 --images 100 --features pixels:8
"""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import Tensor

from assay.adapters.lightning import comparison_callback
from assay.comparison import Comparison
from small_generator import SmallGenerator, comparison, loss_of, options, real_images


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.generator = SmallGenerator()

    def forward(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return loss_of(self, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 2e-3)


def show(found: Comparison, step: int) -> None:
    print(f"step {step}: fd {found['model', 'fd']}")


def main() -> None:
    args = options("Compare a Lightning module with real images while it is trained.")
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(real_images(200), batch_size=20, shuffle=True)
    trainer = pl.Trainer(
        max_steps=args.steps,
        accelerator="cpu",
        callbacks=[comparison_callback(comparison(args), every=args.every, look=show)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    trainer.fit(Module(), loader)
    print(f"last: {float(trainer.callback_metrics['assay/fd']):.4g}")


if __name__ == "__main__":
    main()
