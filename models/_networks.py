"""Networks that deep families take where none is given: dense layers for vectors, convolutions for images.

Each is called with rows (N, *inputs) and, where it was made with a context, contexts (N, C), and gives rows (N, *outputs). They have
no random layer and no buffer, so that what they give is a smooth function of what they are given.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..errors import ProgramError

__all__ = ["Dense", "FromImage", "ToImage", "decoder_for", "encoder_for", "mlp"]

Activation = Callable[[], nn.Module]


def mlp(inputs: int, outputs: int, hidden: Sequence[int] = (256, 256), activation: Activation = nn.SiLU) -> nn.Sequential:
    """(..., inputs) -> (..., outputs). Without hidden layers one affine map."""
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


class Dense(nn.Module):
    """Dense layers on rows of any shape: (N, *inputs), (N, C) -> (N, *outputs). Without hidden layers an affine map of both."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        context: int = 0,
        hidden: Sequence[int] = (256, 256),
        activation: Activation = nn.SiLU,
    ):
        super().__init__()
        self.outputs, self.context = torch.Size(outputs), context
        self.body = mlp(torch.Size(inputs).numel() + context, self.outputs.numel(), hidden, activation)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(joined(x.flatten(1), context))
        return out.reshape(len(x), *self.outputs)


class FromImage(nn.Module):
    """Convolutions, each of which halves height and width, and dense layers: (N, channels, H, W), (N, C) -> (N, outputs)."""

    def __init__(
        self,
        image: Sequence[int],
        outputs: int,
        context: int = 0,
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (32, 64),
        activation: Activation = nn.SiLU,
    ):
        super().__init__()
        first, *_ = _image(image)
        self.convolutions = nn.Sequential()
        for before, after in pairwise([first, *channels]):
            self.convolutions += nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), activation())
        self.body = mlp(channels[-1] * _halved(image, len(channels)).numel() + context, outputs, hidden, activation)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.body(joined(self.convolutions(x).flatten(1), context))
        return out


class ToImage(nn.Module):
    """Dense layers and transposed convolutions, each of which doubles height and width: (N, inputs), (N, C) -> (N, channels, H, W)."""

    def __init__(
        self,
        inputs: int,
        image: Sequence[int],
        context: int = 0,
        hidden: Sequence[int] = (128,),
        channels: Sequence[int] = (64, 32),
        activation: Activation = nn.SiLU,
    ):
        super().__init__()
        last, self.height, self.width = _image(image)
        self.small = torch.Size((channels[0], *_halved(image, len(channels))))
        self.body = nn.Sequential(mlp(inputs + context, self.small.numel(), hidden, activation), activation())
        self.convolutions = nn.Sequential()
        for before, after in pairwise([*channels, last]):
            self.convolutions += nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), activation())
        del self.convolutions[-1]  # what comes out is any number

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        small = self.body(joined(x, context)).reshape(len(x), *self.small)
        return self.convolutions(small)[..., : self.height, : self.width]


def encoder_for(shape: Sequence[int], outputs: int, context: int = 0, hidden: Sequence[int] | None = None) -> nn.Module:
    """Of data (N, *shape): convolutions for images (channels, H, W), dense layers otherwise, or where `hidden` says their widths."""
    if len(shape) == 3 and hidden is None:
        return FromImage(shape, outputs, context)
    return Dense(shape, (outputs,), context, (256, 256) if hidden is None else hidden)


def decoder_for(inputs: int, shape: Sequence[int], context: int = 0, hidden: Sequence[int] | None = None) -> nn.Module:
    """The other way about."""
    if len(shape) == 3 and hidden is None:
        return ToImage(inputs, shape, context)
    return Dense((inputs,), shape, context, (256, 256) if hidden is None else hidden)


def joined(x: Tensor, context: Tensor | None) -> Tensor:
    """Rows (N, D) with the features of their contexts (N, C)."""
    return x if context is None else torch.cat([x, context.to(x.dtype)], -1)


def _image(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ProgramError(f"an image has the shape (channels, height, width), got {tuple(shape)}")
    channels, height, width = shape
    return channels, height, width


def _halved(image: Sequence[int], times: int) -> torch.Size:
    """Height and width after so many strides of 2."""
    return torch.Size([-(-side // 2**times) for side in image[1:]])
