"""What every test starts from: one thread, fixed seeds, empty Pyro parameter store, float32 by default."""

import random
import signal
from collections.abc import Iterator

import numpy as np
import pyro
import pytest
import torch

torch.set_num_threads(1)  # tests run side by side; more threads only fight for the cores


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test gives the same numbers alone, in any order and on any worker, and leaves nothing behind."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born deaf to Ctrl-C
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 -- the global state is what user code might draw from
    torch.manual_seed(0)
    pyro.clear_param_store()
    before = torch.get_default_dtype()
    yield
    assert torch.get_default_dtype() == before, "the test changed torch's default dtype and did not put it back"
