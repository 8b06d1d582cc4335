"""Networks that find data in noise: called with rows (N, *shape) and the level of noise of each, (N,), log of signal to noise; and,
where they were made with a context, contexts (N, C). They give rows (N, *shape)."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._networks import joined, mlp

__all__ = ["DenseDenoiser", "LevelFeatures", "UNet", "denoiser_for"]

FREQUENCIES = 0.03, 0.5  # radians per nat: from one wave over all levels to a few; faster ones fit each level by itself, which is noise
FEATURES = 32
WAVES = tuple(0.7 * 2**i for i in range(5))  # radians per sd: edges of a density that dense layers alone learn slowly


class LevelFeatures(nn.Module):
    """Sines and cosines of a level of noise at frequencies evenly apart in their logs: (N,) -> (N, features)."""

    frequencies: Tensor

    def __init__(self, features: int = FEATURES):
        super().__init__()
        low, high = map(math.log, FREQUENCIES)
        self.register_buffer("frequencies", torch.linspace(low, high, features // 2).exp(), persistent=False)

    def forward(self, log_snr: Tensor) -> Tensor:
        turned = log_snr[:, None] * self.frequencies
        return torch.cat([turned.sin(), turned.cos()], -1)


class DenseDenoiser(nn.Module):
    """Dense layers on a datum of any shape, its numbers' sines and cosines at five frequencies, its level and its context side by side.

    Source: Tancik et al., Fourier features let networks learn high frequency functions in low dimensional domains, NeurIPS 2020.
    """

    waves: Tensor

    def __init__(self, shape: Sequence[int], context: int = 0, hidden: Sequence[int] = (128, 128, 128)):
        super().__init__()
        self.level = LevelFeatures()
        self.register_buffer("waves", torch.tensor(WAVES), persistent=False)
        size = torch.Size(shape).numel()
        self.body = mlp(size * (1 + 2 * len(WAVES)) + FEATURES + context, size, hidden)

    def forward(self, x: Tensor, log_snr: Tensor, context: Tensor | None = None) -> Tensor:
        flat = x.flatten(1)
        turned = (flat[:, :, None] * self.waves).flatten(1)
        rows = torch.cat([flat, turned.sin(), turned.cos(), self.level(log_snr)], -1)
        out: Tensor = self.body(joined(rows, context))
        return out.reshape(x.shape)


class UNet(nn.Module):
    """Images (channels, H, W) of any size: residual blocks at each of some resolutions, down and up again, attention at the coarsest.

    channels   at each resolution, a multiple of 8; each halves height and width of the one before

    Sources: Ronneberger et al., MICCAI 2015; Ho, Jain & Abbeel, NeurIPS 2020.
    """

    def __init__(self, image: Sequence[int], context: int = 0, channels: Sequence[int] = (32, 64)):
        super().__init__()
        self.level, told = LevelFeatures(), 4 * channels[0]
        self.told = nn.Sequential(nn.Linear(FEATURES + context, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.first = nn.Conv2d(image[0], channels[0], 3, padding=1)
        steps = list(pairwise(channels))
        self.down = nn.ModuleList([Residual(a, a, told) for a, _ in steps])
        self.halve = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps])
        coarsest = channels[-1]
        self.middle = nn.ModuleList([Residual(coarsest, coarsest, told), Residual(coarsest, coarsest, told)])
        self.attention = Attention(coarsest)
        self.up = nn.ModuleList([Residual(a + b, a, told) for a, b in reversed(steps)])
        self.last = nn.Sequential(_norm(channels[0]), nn.SiLU(), nn.Conv2d(channels[0], image[0], 3, padding=1))

    def forward(self, x: Tensor, log_snr: Tensor, context: Tensor | None = None) -> Tensor:
        told = self.told(joined(self.level(log_snr), context))
        h, skips = self.first(x), []
        for block, halve in zip(self.down, self.halve, strict=True):
            h = block(h, told)
            skips.append(h)
            h = halve(h)
        h = self.middle[1](self.attention(self.middle[0](h, told)), told)
        for block in self.up:
            skip = skips.pop()
            h = functional.interpolate(h, size=skip.shape[-2:], mode="nearest")
            h = block(torch.cat([h, skip], 1), told)
        out: Tensor = self.last(h)
        return out


class Residual(nn.Module):
    """Two convolutions beside an identity, the second told the level."""

    def __init__(self, inputs: int, outputs: int, told: int):
        super().__init__()
        self.first = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.shift = nn.Linear(told, outputs)
        self.second = nn.Sequential(_norm(outputs), nn.SiLU(), nn.Conv2d(outputs, outputs, 3, padding=1))
        self.beside = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        out: Tensor = self.beside(x) + self.second(self.first(x) + self.shift(told)[:, :, None, None])
        return out


class Attention(nn.Module):
    """Each place looks at all others, with one head."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.out = _norm(channels), nn.Conv2d(channels, channels, 1)
        self.asked = nn.Conv2d(channels, 3 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.asked(self.norm(x)).flatten(2).chunk(3, 1)  # (N, channels, places)
        weights = (query.mT @ key / math.sqrt(query.shape[1])).softmax(-1)
        out: Tensor = x + self.out((value @ weights.mT).reshape(x.shape))
        return out


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(math.gcd(8, channels), channels)


def denoiser_for(shape: Sequence[int], context: int = 0, hidden: Sequence[int] | None = None) -> nn.Module:
    """A U-Net for images (channels, H, W), dense layers otherwise, or where `hidden` says their widths."""
    if len(shape) == 3 and hidden is None:
        return UNet(shape, context)
    return DenseDenoiser(shape, context, (128, 128, 128) if hidden is None else hidden)
