"""The same steps of learning by diffusers' scheduler and a loop of PyTorch, in an environment of its own.

    python -m peers.denoising OUT.json BATCH STEPS TURNS

The network is the one of ppgen's Diffusion for two numbers, layer for layer.
"""

import json
import math
import sys
import time
from itertools import pairwise

import torch
from torch import Tensor, nn

ROWS, RATE = 4000, 3e-3


def moons() -> Tensor:
    """Two half circles, standardised: (ROWS, 2)."""
    draw = torch.Generator().manual_seed(0)
    which = torch.randint(2, (ROWS,), generator=draw)
    angle = math.pi * torch.rand(ROWS, generator=draw)
    x = torch.where(which == 0, angle.cos(), 1 - angle.cos())
    y = torch.where(which == 0, angle.sin(), 0.5 - angle.sin())
    both = torch.stack([x, y], -1) + 0.1 * torch.randn(ROWS, 2, generator=draw)
    return (both - both.mean(0)) / both.std(0, correction=0)


class Network(nn.Module):
    """Sines and cosines of the data and of the level, and three layers of 128."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = torch.linspace(math.log(0.03), math.log(0.5), 16).exp()
        self.waves = 0.7 * 2.0 ** torch.arange(5)
        widths = (2 + 20 + 32, 128, 128, 128)
        layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.SiLU())]
        self.body = nn.Sequential(*layers, nn.Linear(128, 2))

    def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
        level, turned = log_snr[:, None] * self.frequencies, (x[:, :, None] * self.waves).flatten(1)
        out: Tensor = self.body(torch.cat([x, turned.sin(), turned.cos(), level.sin(), level.cos()], -1))
        return out


def main() -> None:
    from diffusers import DDPMScheduler

    out, batch, steps, turns = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x, network = moons(), Network()
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    kept = scheduler.alphas_cumprod
    log_snr = (kept / (1 - kept)).log()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    found = []
    for _ in range(turns):
        begin, losses = time.perf_counter(), []
        for _ in range(steps):
            rows = x[torch.randint(ROWS, (batch,))]
            noise, t = torch.randn_like(rows), torch.randint(1000, (batch,))
            output = network(scheduler.add_noise(rows, noise, t), log_snr[t])
            loss = nn.functional.mse_loss(output, noise)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        found.append({"seconds": time.perf_counter() - begin, "loss": float(torch.stack(losses[-200:]).mean())})
    with open(out, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(found, file)


if __name__ == "__main__":
    main()
