"""How good are the images, every 50 steps of a loop written with Accelerate?

    pip install "assay[images]" accelerate
    python examples/accelerate_loop.py
    accelerate launch --num_processes 2 examples/accelerate_loop.py --features pixels:8

Every process calls the comparison: each makes its share of the images, and all get the same result.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator

from small_generator import SmallGenerator, comparison, loss_of, options, real_images


def main() -> None:
    args = options("Compare a model with real images in a training loop of one's own.")
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    comparing = comparison(args)
    loader = torch.utils.data.DataLoader(real_images(200), batch_size=20, shuffle=True)
    model = SmallGenerator()
    model, optimizer, loader = accelerator.prepare(model, torch.optim.Adam(model.parameters(), 2e-3), loader)
    step = 0
    while step < args.steps:
        for batch in loader:
            optimizer.zero_grad()
            accelerator.backward(loss_of(model, batch))
            optimizer.step()
            step += 1
            if step % args.every == 0:
                found = comparing(model)  # by every process, never by the first alone
                accelerator.print(f"step {step}: fd {found['model', 'fd']}")
            if step == args.steps:
                break
    accelerator.end_training()


if __name__ == "__main__":
    main()
