"""Copies of statements with other names, and numbers in the place of loop variables."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from .ir import Body, For, Index, Let, Load, Program, Scalar, Statement, Store, Update, Variable, walk
from .writer import Names

__all__ = ["copied", "fresh", "size", "substituted", "with_body"]


def with_body(program: Program, body: Body) -> Program:
    return replace(program, body=body)


def size(body: Iterable[Statement]) -> int:
    """How many statements there are, those inside loops included."""
    return sum(1 for _ in walk(body))


def fresh(program: Program) -> Names:
    """Names that the program does not have."""
    numbers = (int(digits) for name in _given(program.body) if (digits := name[len(_stem(name)) :]))
    return Names(max(numbers, default=-1) + 1)


def _given(body: Iterable[Statement]) -> Iterable[str]:
    for s in walk(body):
        match s:
            case Load(name) | Let(name) | Variable(name) | For(name):
                yield name


def _stem(name: str) -> str:
    return name.rstrip("0123456789")


def copied(body: Body, names: Names, changes: Mapping[str, Scalar], places: Mapping[str, Index] = {}) -> Body:
    """The body with new names for all locals that it gives; changes and places: what stands for locals from outside."""
    return substituted(body, {**{name: names(_stem(name)) for name in _given(body)}, **changes}, places)


def substituted(body: Iterable[Statement], changes: Mapping[str, Scalar], places: Mapping[str, Index] = {}) -> Body:
    """The body with other names, or numbers, in the place of some; places: what stands for variables in places and bounds."""
    s = _Substitution(changes, places)
    return [s.statement(x) for x in body]


class _Substitution(NamedTuple):
    changes: Mapping[str, Scalar]
    places: Mapping[str, Index]

    def statement(self, s: Statement) -> Statement:
        match s:
            case Load(name, buffer, index):
                return Load(self.name(name), buffer, self.moved(index))
            case Let(name, kind, operation, arguments):
                return Let(self.name(name), kind, operation, tuple(map(self.scalar, arguments)))
            case Store(buffer, index, value, how):
                return Store(buffer, self.moved(index), self.scalar(value), how)
            case Variable(name, kind, value):
                return Variable(self.name(name), kind, self.scalar(value))
            case Update(name, value, how):
                return Update(self.name(name), self.scalar(value), how)
            case For(variable, start, stop, inside, reverse):
                return For(self.name(variable), self.moved(start), self.moved(stop), [self.statement(t) for t in inside], reverse)

    def name(self, name: str) -> str:
        return str(self.changes.get(name, name))

    def scalar(self, x: Scalar) -> Scalar:
        return self.changes.get(x, x) if isinstance(x, str) else x

    def moved(self, index: Index) -> Index:
        if not index.terms:
            return index
        offset, terms = index.offset, []
        for variable, stride in index.terms:
            if variable in self.places:
                base, more = self.places[variable]
                offset += stride * base
                terms += [(v, stride * s) for v, s in more]
                continue
            match self.scalar(variable):
                case str(name):
                    terms.append((name, stride))
                case number:
                    offset += stride * int(number)
        return Index(offset, tuple(terms))
