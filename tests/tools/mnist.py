"""The 10,000 images of the MNIST test file, where a folder of more reference files has them: PPGEN_REFERENCE/data/mnist."""

import gzip
import os
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["FILE", "binary_images"]

FILE = Path(os.environ.get("PPGEN_REFERENCE", "none")) / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"


def binary_images() -> tuple[Tensor, Tensor, Tensor]:
    """8,000 to learn from, 1,000 to choose by and 1,000 to test, (N, 784) each, in the file's order: 1 where a pixel is above 127."""
    with gzip.open(FILE) as file:
        raw = bytearray(file.read()[16:])
    x = (torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, 784) >= 128).float()
    return x[:8000], x[8000:9000], x[9000:]
