"""Everything that can be told to a user: one base class, and a class for each thing that somebody can do something about.

A message says which site, which row, what was expected, what came, and what to do. The command line prints it as one line
and exits with code 2.
"""

__all__ = [
    "CheckpointError",
    "CostError",
    "DataError",
    "EliminationError",
    "EngineError",
    "GuideError",
    "NameNotFoundError",
    "PpgenError",
    "PpgenWarning",
    "ProgramError",
    "RecordingError",
    "ScoreError",
    "StartError",
    "SupportError",
    "ZeroProbabilityError",
]


class PpgenError(Exception):
    """Base of every error that ppgen raises on purpose."""


class NameNotFoundError(PpgenError):
    """An engine, a dataset, a family, a site or an option of that name does not exist; the message lists those that do."""


class DataError(PpgenError):
    """Data that cannot be used: NaN, infinite, of a wrong shape or type, or a file that cannot be read."""


class ProgramError(PpgenError):
    """A program that cannot be run or understood: duplicate sites, no sites at all, an argument that does not fit."""


class SupportError(PpgenError):
    """An observed or given value lies outside the support of its site."""


class GuideError(PpgenError):
    """Model and guide disagree: a site in one is not in the other, or has another shape."""


class StartError(PpgenError):
    """No starting point with a finite density was found; the message names the site and the row at fault."""


class RecordingError(PpgenError):
    """A program that cannot be recorded as a graph; the message names the operation and the user's line."""


class LoweringError(PpgenError):
    """A graph that a lowering cannot run; the message names the operation."""


class EliminationError(PpgenError):
    """Discrete sites that cannot be summed out exactly; the message names them and says why."""


class CostError(PpgenError):
    """A computation that would not fit in memory, refused before it starts; the message holds the figure, and so does `needed`
    (bytes) where it was counted."""

    def __init__(self, message: str, needed: int | None = None):
        super().__init__(message)
        self.needed = needed


class EngineError(PpgenError):
    """An engine that does not apply to a program, or settings that contradict each other; the message says why."""


class CheckpointError(PpgenError):
    """A folder that holds another run, is in use by another process, or is damaged."""


class ScoreError(PpgenError):
    """A score that cannot be computed, or two scores of different kinds that were about to be compared."""


class ZeroProbabilityError(PpgenError):
    """Evidence that has probability zero under the program."""


class PpgenWarning(UserWarning):
    """A result that is usable but must be read with care; the message says how."""
