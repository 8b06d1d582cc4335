"""Draws of continuous coordinates from their laws, compiled: see _laws.py. Two gradients tell the laws, a third one sees whether they hold
where the draw is.
"""

import math

from ..native.calling import doubles, integers
from ._laws import EXP, IDENTITY, LOGIT
from ._trajectory import FORCE, MOMENTUM, POSITION, SCRATCH, chance, part, row
from ._trajectory import GRADIENT as SLOPE_THERE

__all__ = ["compare", "draw_directly", "probe"]

BOOST, RADIUS, ANGLE, KEEP = range(12, 16)  # streams of the key
FAR_OUT, CLOSE = 12.0, 1e-6  # logits at which slopes are not compared; how close they must be, relative to their two terms
TRIES = 64  # of which one in thirty is refused, of Marsaglia & Tsang's


@part
def probe(job, sweep, side):  # type: ignore[no-untyped-def]
    """To one side of the centre."""
    centre, position = doubles(sweep.centre), row(job, POSITION)
    for i in range(job.dim):
        position[i] = centre[i] + side


@part
def draw_directly(job, sweep):  # type: ignore[no-untyped-def]
    """From slopes p - q v to both sides of the centre, which say what p and q are; they are kept, to be compared with the slope there."""
    link, shift, centre = integers(sweep.link), doubles(sweep.shift), doubles(sweep.centre)
    low, high, position = row(job, SCRATCH), row(job, SLOPE_THERE), row(job, POSITION)
    constant, factor = row(job, MOMENTUM), row(job, FORCE)
    for i in range(job.dim):
        left, right = linked(link[i], centre[i] - 1.0 - shift[i]), linked(link[i], centre[i] + 1.0 - shift[i])
        q = (low[i] - high[i]) / (right - left)
        p = low[i] + q * left
        constant[i], factor[i] = p, q
        if link[i] == LOGIT:
            position[i] = shift[i] + log_gamma(job, p, 2 * i) - log_gamma(job, q - p, 2 * i + 1)
        elif link[i] == EXP:
            position[i] = shift[i] + log_gamma(job, p, 2 * i) - math.log(q)
        else:
            position[i] = p / q + normal(job, 2 * i * TRIES) / math.sqrt(q)


@part
def compare(job, sweep):  # type: ignore[no-untyped-def]
    """The slope at the new position with that of the laws. Far out a logit's value is clamped, and slopes with it."""
    link, shift, position, slope = integers(sweep.link), doubles(sweep.shift), row(job, POSITION), row(job, SLOPE_THERE)
    constant, factor = row(job, MOMENTUM), row(job, FORCE)
    for i in range(job.dim):
        if link[i] != LOGIT or math.fabs(position[i] - shift[i]) < FAR_OUT:
            away = factor[i] * linked(link[i], position[i] - shift[i])
            if not math.fabs(slope[i] - constant[i] + away) <= CLOSE * (math.fabs(constant[i]) + math.fabs(away)):
                sweep.apart += 1
                break


@part
def linked(link, u):  # type: ignore[no-untyped-def]
    if link == IDENTITY:
        return u
    return math.exp(u) if link == EXP else 1.0 / (1.0 + math.exp(-u))


@part
def normal(job, number):  # type: ignore[no-untyped-def]
    """By Box & Muller."""
    radius = math.sqrt(-2.0 * math.log(1.0 - chance(job, job.first, RADIUS, number)))
    return radius * math.cos(2.0 * math.pi * chance(job, job.first, ANGLE, number))


@part
def log_gamma(job, shape, number):  # type: ignore[no-untyped-def]
    """The logarithm of a Gamma(shape, 1) number: nan for a shape that is not positive. Source: Marsaglia & Tsang, ACM Transactions on
    Mathematical Software 26(3), 2000; of shapes below 1 that of a shape larger by 1, times a uniform number to the 1 / shape."""
    if not shape > 0.0:
        return math.nan
    boost = 0.0
    if shape < 1.0:
        boost = math.log(1.0 - chance(job, job.first, BOOST, number)) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    v = 1.0
    for attempt in range(TRIES):
        x = normal(job, number * TRIES + attempt)
        v = (1.0 + x / math.sqrt(9.0 * d)) ** 3
        if v > 0.0 and math.log(1.0 - chance(job, job.first, KEEP, number * TRIES + attempt)) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
            break
    return math.log(d * v) + boost
