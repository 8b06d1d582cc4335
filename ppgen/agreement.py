"""A recording that disagrees with eager Pyro is never used: the program run as it is, and the comparison.

factors, density and gradient at dispersed points, none of them the recorded one
two eager runs under different seeds: random numbers outside of sample sites
where discrete sites are enumerated: factors read at random assignments, never constant within a plate. This finds what
agrees under enumeration and is wrong all the same, a site that mixes an enumerated one across its plate
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .errors import EliminationError, ProgramError, RecordingError
from .handler import Evaluation
from .joint import Joint, plates_of
from .program import Program
from .sources import FromPosition, FromValues

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["agree", "difference", "read_eagerly", "seeded"]


def read_eagerly(program: Program, position: Tensor, joint: Joint | None = None, **settings: Any) -> tuple[Tensor, Evaluation]:
    """Log density of a flat position () by running the program itself, and the run."""
    run = program.run(FromPosition, position=position, layout=program.sites, enumerate_dim=-1 - program.nesting, **settings)
    if list(run.sites) != list(program.sites):
        raise RecordingError(f"other sites than in the first run: {sorted(set(run.sites) ^ set(program.sites))}")
    if joint is None:
        joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
    log_probs = {n: s.log_prob for n, s in run.sites.items()}
    scales = {n: torch.as_tensor(s.scale, dtype=torch.as_tensor(s.log_prob).dtype, device=position.device) for n, s in run.sites.items()}
    total = joint(log_probs, scales)
    for s in run.sites.values():
        if s.log_jacobian is not None:
            total = total + s.log_jacobian
    return total, run


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of torch, numpy and random at a seed; they come back as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002  what programs may use
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def difference(a: Tensor, b: Tensor) -> float:
    """Largest |a - b| / (1 + |b|); equal infinities and shared nan count as equal."""
    if a.shape != b.shape:
        try:
            a, b = torch.broadcast_tensors(a, b)
        except RuntimeError:
            return float("inf")
    if not b.numel():
        return 0.0
    a, b = a.detach().double(), b.detach().double()
    same = (a == b) | (a.isnan() & b.isnan())
    gap = torch.where(same, torch.zeros_like(a), (a - b).abs() / (1 + b.abs()))
    return float(gap.nan_to_num(float("inf")).max())


def agree(
    recording: "Recording",
    factors: Callable[..., Mapping[str, Tensor]],
    positions: Tensor,
    value: Tensor,
    gradient: Tensor,
    held: Tensor | None = None,
) -> None:
    """Raise unless a recording agrees with eager Pyro at every one of dispersed points.

    factors     position (dim,) -> site -> its factor, read from the recording
    positions   (points, dim); value (points,) and gradient (points, dim) as the compiled density gives them
    held        (points, elements) whole numbers of held sites, where there are any: `factors` is given those of the point too
    """
    p = recording.program
    tolerance = 1e-9 if recording.dtype == positions.dtype == torch.float64 else 1e-4
    generator = torch.Generator().manual_seed(2)
    seen = False
    for i, point in enumerate(positions):
        at = point.to(recording.dtype)
        given = () if held is None else (held[i],)
        settings = {"held": recording.holding.inside(held[i])} if held is not None else {}
        try:
            with seeded(100 + i):
                total, run, slope = _read(p, at, settings)
        except torch.linalg.LinAlgError as error:  # a factorisation that does not exist here is nan in a graph
            if value[i].isfinite():
                raise RecordingError(f"the recorded density is finite where the program fails: {error}") from error
            continue
        if not seen:
            seen = True
            with seeded(200):
                again, *_ = _read(p, at, settings)
            if difference(again, total) > tolerance:
                raise ProgramError(
                    f"the density of program {p.name!r} differs from run to run: it uses random numbers outside its sample sites, or "
                    "changes something that it reads"
                )
        recorded = factors(point, *given)
        _agree_in_factors(recorded, run, tolerance)
        gap = difference(value[i], total)
        if gap > tolerance:
            raise RecordingError(f"the recorded density disagrees with the program by {gap:.2g} (relative)")
        if at.numel() and torch.isfinite(total):
            _agree_in_gradient(recording, at, gradient[i], slope, 100 + i, settings)
        if held is not None and len(recording.holding.sites) == len(p.discrete):
            _agree_as_written(recording, run, held[i], tolerance)
        if recording.support:
            _agree_at_assignment(recording, recorded, run, tolerance, generator, *given)


def _agree_in_factors(recorded: Mapping[str, Tensor], run: Evaluation, tolerance: float) -> None:
    for n, s in run.sites.items():
        gap = difference(recorded[n], torch.as_tensor(s.log_prob).detach())
        if gap > tolerance:
            raise RecordingError(
                f"the recorded factor of site {n!r} disagrees with the program by {gap:.2g} (relative) at another point: it holds a "
                "value that should vary"
            )


def _read(program: Program, at: Tensor, settings: Mapping[str, Any]) -> tuple[Tensor, Evaluation, Tensor | None]:
    """Log density () by the program itself, the run, and the gradient (dim,): None where autograd refuses, for an `out=` or a write
    to what the backward pass needs, which a graph does not mind."""
    leaf = at.clone().requires_grad_()
    try:
        total, run = read_eagerly(program, leaf, grad=True, **settings)
        (slope,) = torch.autograd.grad(total, leaf, allow_unused=True) if total.requires_grad else (None,)
    except torch.linalg.LinAlgError:
        raise
    except RuntimeError:
        return *read_eagerly(program, at, **settings), None
    return total.detach(), run, torch.zeros_like(at) if slope is None else slope


def _agree_in_gradient(
    recording: "Recording", at: Tensor, gradient: Tensor, slope: Tensor | None, seed: int, settings: Mapping[str, Any]
) -> None:
    """The gradient against autograd through the program itself, or, where there is none, against differences of its values."""
    double = recording.dtype == gradient.dtype == torch.float64
    tolerance = 1e-6 if double else 1e-3
    if slope is None:
        with seeded(seed):
            slope, gradient = _by_differences(recording.program, at, gradient, 1e-5 if double else 1e-2, settings)
        tolerance = 1e-5 if double else 0.05
    if not torch.isfinite(slope).all():
        return
    gap = float((gradient - slope).abs().max() / (1 + slope.abs().max()))
    if not gap <= tolerance:
        raise RecordingError(f"the recorded gradient disagrees with the program by {gap:.2g} (relative)")


def _by_differences(program: Program, at: Tensor, gradient: Tensor, step: float, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Derivatives along three random directions: of the program's values, and as a gradient gives them."""
    directions = torch.randn(3, len(at), dtype=at.dtype).to(at)
    ends = [[read_eagerly(program, at + sign * step * d, **settings)[0] for sign in (1, -1)] for d in directions]
    return torch.stack([(up - down) / (2 * step) for up, down in ends]), directions @ gradient.to(at)


def _agree_as_written(recording: "Recording", run: Evaluation, held: Tensor, tolerance: float) -> None:
    """A held value without dimensions was given some, to the left of all plates. Against a run with every value in its own shape."""
    values = {n: s.value.detach() for n, s in run.sites.items() if s.continuous}
    written = recording.program.run(FromValues, values={**values, **recording.holding.values(held)})
    for n, s in run.sites.items():
        mine, own = (torch.as_tensor(x.log_prob).detach().sum() for x in (s, written.sites[n]))
        if difference(mine, own) > tolerance:
            raise RecordingError(
                f"the factor of site {n!r} is another one where held sites without dimensions have a dimension of their own: does the "
                "program count dimensions from the left?"
            )


def _agree_at_assignment(
    recording: "Recording",
    recorded: Mapping[str, Tensor],
    run: Evaluation,
    tolerance: float,
    generator: torch.Generator,
    held: Tensor | None = None,
) -> None:
    """Factors gathered at a random assignment against an eager run with that assignment.

    This finds what agrees under enumeration and is wrong all the same: a site that mixes an enumerated one across its plate.
    """
    p, joint = recording.program, recording.joint
    values = {n: s.value.detach() for n, s in run.sites.items() if s.continuous}
    values |= {} if held is None else recording.holding.values(held)
    assignment: dict[str, tuple[Tensor, list[str]]] = {}
    for n, support in recording.support.items():
        plates = sorted(joint.inside[n])
        shape = [joint.sizes[x] for x in plates]
        index = torch.randint(len(support), shape, generator=generator)
        if index.numel() > 1 and bool((index == index.reshape(-1)[0]).all()):  # constant within the plate, mixing would pass
            index = (torch.arange(index.numel()) % len(support)).reshape(shape)
        assignment[n] = index[None].to(support.device), plates
        values[n] = _in_place(recording, n, assignment[n])
    assigned = p.run(FromValues, values=values)
    for n, site in assigned.sites.items():
        uses = [d for d in recording.sites[n].dims if d in recording.support]
        for x in uses:
            outside = joint.inside[x] - plates_of(recording.sites[n])
            if outside:
                raise EliminationError(f"site {n!r} mixes the enumerated site {x!r} across its plate {', '.join(sorted(outside))}")
        got = recording.gather(n, recorded[n][None], assignment)[0]
        want = torch.as_tensor(site.log_prob)
        order = [d for d in recording.sites[n].dims if d is not None and d not in joint.with_previous(assignment)]
        plates = order + (sorted(set().union(*[joint.inside[d] for d in uses]) - set(order)) if uses else [])
        gap = _difference_in(got, plates, want, recording, n)
        if gap > tolerance:
            through = sorted(recording.enumerated_above(n))
            why = f"it mixes the enumerated {', '.join(through)} across a plate" if through else "it holds a value that should vary"
            raise EliminationError(f"site {n!r}: its factor at an assignment of the discrete sites is off by {gap:.2g}: {why}")


def _place(recording: "Recording", dim: str) -> int:
    """The dimension, counted from the right, of a plate or of a bare dimension `dim-1:3`."""
    plates = recording.program.plates
    return plates[dim].dim if dim in plates else int(dim.removeprefix("dim").split(":")[0])


def _in_place(recording: "Recording", name: str, assigned: tuple[Tensor, list[str]]) -> Tensor:
    """An assignment in the shape in which the program expects the site's value."""
    index, plates = assigned
    order = sorted(plates, key=lambda x: _place(recording, x))
    flat = index[0].permute([plates.index(x) for x in order])
    return recording.support[name][flat].reshape(recording.program.sites[name].shape)


def _difference_in(got: Tensor, plates: list[str], want: Tensor, recording: "Recording", name: str) -> float:
    """Compare a gathered factor with an eager one, each in its own layout."""
    order = sorted(range(len(plates)), key=lambda i: _place(recording, plates[i]))
    got = got.permute(order)
    if got.numel() == want.numel():
        return difference(got.reshape(want.shape), want)
    return difference(got, want)
