"""A guide beside a model: what makes the pair of them, of their recorded graphs or of the programs themselves."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .bounds import OnFactors, OnPosition, OnSites, Pair, Unread
from .errors import GuideError, RecordingError
from .factors import EagerModel, Model, RecordedModel
from .guides import BoundProgram, Companion, FlatGuide, GuideProgram, RecordedGuide
from .handler import Evaluation
from .keys import Key
from .mode import Start
from .program import ARGUMENTS, FromUniform, Program
from .recording import Recording
from .sites import Site
from .targets import LogDensity
from .training import Training, in_training

__all__ = ["Pairing", "subsampled"]

Maker = Callable[[bool], Pair]  # True: of the recorded graphs


class Pairing:
    """Of a density's program and a guide.

    guide     a FlatGuide, or a program over the model's sites; None is the family's own. With a density that is Unread, it is the
              family's own bound
    importance  samples are wanted, with weights; datum: the plate of which every index then has weights of its own, if there is one
    start     where a FlatGuide begins and its units; None finds them
    training  how modules run while they learn; None where nothing does. buffers: of the guide, where it has learned them
    streamed  data that change from step to step

    Raises GuideError.
    """

    start: Start | None = None
    datum: str | None = None

    def __init__(
        self,
        density: LogDensity | Unread,
        guide: FlatGuide | Callable[..., object] | None,
        *,
        importance: bool,
        by_values: bool,
        key: Key,
        start: Start | None,
        training: Training | None,
        buffers: Mapping[str, Tensor],
        streamed: frozenset[str],
    ):
        self.density, self.program, self.training, self.streamed = density, density.program, training, streamed
        self.pair: Maker
        if isinstance(density, Unread):
            self.pair = self._on_factors(key)
        elif isinstance(guide, FlatGuide):
            self.pair = self._on_position(density, guide, importance, start, key)
        else:
            self.pair = self._on_sites(density, guide, importance, by_values, key, buffers)

    def _on_factors(self, key: Key) -> Maker:
        GuideProgram(self.program, None, key.seed)  # a pair that does not fit is refused now, not after learning
        bound = BoundProgram(self.program, self.training)
        return lambda recorded: OnFactors(bound, self._graph(bound) if recorded else None)

    def _on_position(self, density: LogDensity, guide: FlatGuide, importance: bool, start: Start | None, key: Key) -> Maker:
        _refuse_a_point(importance and guide.point)
        self.start = placed = start or self._start(density, guide, key)
        return lambda recorded: OnPosition(guide, self._model(density, recorded), placed)

    def _on_sites(
        self,
        density: LogDensity,
        guide: Callable[..., object] | None,
        importance: bool,
        by_values: bool,
        key: Key,
        buffers: Mapping[str, Tensor],
    ) -> Maker:
        own = GuideProgram(self.program, guide, key.seed, self.training)
        _refuse_a_point(importance and own.point)
        self.datum = datum = self._local_to(own) if importance else None
        own.program.set_buffers({n.removeprefix(own.prefix): b for n, b in buffers.items() if n.startswith(own.prefix)})

        def pair(recorded: bool) -> Pair:
            graph = self._graph(own) if recorded else None
            model = self._model(density, recorded, own.discrete if graph is None else graph.discrete)
            return OnSites(own, graph, model, datum, by_values)

        return pair

    def _local_to(self, guide: GuideProgram) -> str | None:
        """The data plate, where all that model and guide hold is in it."""
        if guide.discrete:
            raise GuideError(
                "importance samples have no weights where the guide gives probabilities to discrete sites; leave them out of it"
            )
        plate = self.program.data_plate
        sites = [s for s in self.program.sites.values() if s.kind != "deterministic"]
        dims = [s.dims for s in sites] + [guide.dims[n] for n in guide.sites]
        return plate if not self.program.discrete and all(plate in d for d in dims) else None

    def _model(self, density: LogDensity, recorded: bool, discrete: Mapping[str, Site] | None = None) -> Model:
        """The model as it learns."""
        trained = self.program if self.training is None else in_training(self.program, _at_random, self.training)
        if not recorded:
            return EagerModel(density, discrete, trained)
        if density.recording is None:
            raise RecordingError(density.lowering.reason)
        recording = density.recording if trained is self.program else Recording(trained)
        self._require_inputs(recording.constant)
        return RecordedModel(recording, density.dtype, discrete)

    def _graph(self, companion: Companion) -> RecordedGuide:
        graph = RecordedGuide(companion, self.density.dtype)
        self._require_inputs(graph.constant)
        return graph

    def _require_inputs(self, constant: frozenset[str]) -> None:
        if constant & self.streamed:
            raise RecordingError("numbers of the batch steer the program, which cannot be recorded while they change from step to step")

    def _start(self, density: LogDensity, guide: FlatGuide, key: Key) -> Start:
        """Where a flat guide begins. Its position holds every continuous site, so none may come and go with the rows."""
        shown = subsampled(self.program)
        if local := [s.name for s in self.program.latent if s.continuous and shown & set(s.plates)]:
            raise GuideError(
                f"{', '.join(map(repr, local))} belongs to the rows of a minibatch, other ones at every step; give a guide program that "
                "finds it from the row's data, or take all rows"
            )
        return Start(*[t.to(density.dtype) for t in guide.start(self.program, key)])


def subsampled(program: Program) -> set[str]:
    """Plates of which one run sees some rows."""
    shown = {q.name for q in program.plates.values() if q.subsample_size < q.size}
    gathered = program.data_plate if ARGUMENTS in program.rows else None
    return shown if gathered is None else shown | {gathered}


def _refuse_a_point(is_one: bool) -> None:
    if is_one:
        raise GuideError('a point estimate (Delta) has no importance weights; take objective="elbo"')


def _at_random(program: Program) -> Evaluation:
    return program.run(FromUniform, generator=torch.Generator().manual_seed(0))
