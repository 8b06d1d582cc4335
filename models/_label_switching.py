"""Components, or states, whose names mean nothing: put in an order."""

from collections.abc import Mapping

from torch import Tensor

__all__ = ["order_of", "ordered", "renamed"]


def order_of(values: Tensor, event_dim: int, lead: int) -> Tensor:
    """The components in the order of the first number of a parameter (*lead, K, *event): (*lead, K)."""
    return (values.flatten(lead + 1)[..., 0] if event_dim else values).argsort(-1)


def ordered(draws: Mapping[str, Tensor], events: Mapping[str, int], order: Tensor) -> dict[str, Tensor]:
    """The sites (*lead, K, *event) that `events` names with their event dimensions, in that order."""
    lead = order.dim() - 1
    return {n: draws[n].take_along_dim(order[(..., *[None] * events[n])], lead) for n in events}


def renamed(labels: Tensor, order: Tensor) -> Tensor:
    """Labels (*lead, *shape), each by its place in the order."""
    places = order.argsort(-1)
    flat = labels.flatten(order.dim() - 1)
    return places.take_along_dim(flat.long(), -1).reshape(labels.shape).to(labels)
