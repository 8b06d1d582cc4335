"""Random programs through the translator and the interpreter, against torch."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppgen.lowering import differentiated
from tests.tools.random_programs import DATA, DIM, Instruction, instructions, run
from tests.tools.zoo import Density, Interpreted, difference, points


@settings(max_examples=150, deadline=None)
@given(instructions(), st.integers(0, 9))
def test_a_random_program_gives_what_torch_gives(program: list[Instruction], seed: int) -> None:
    position = next(points(DIM, 1, seed=77))
    graph = differentiated(lambda q, *data: run(program, q, *data), position, DATA, {})
    density = Density(graph, list(DATA.values()), DIM, torch.float64)
    interpreted = density.by(Interpreted(graph, torch.float64))
    for q in points(DIM, 2, seed=seed):
        assert difference(interpreted(q), density.by_torch(q)) < 1e-9
