"""Copies of statements with other names, and numbers in the place of loop variables."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

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


def copied(body: Body, names: Names, changes: Mapping[str, Scalar]) -> Body:
    """The body with new names for all locals that it gives; changes: what stands for locals from outside."""
    return substituted(body, {**{name: names(_stem(name)) for name in _given(body)}, **changes})


def substituted(body: Iterable[Statement], changes: Mapping[str, Scalar]) -> Body:
    """The body with other names, or numbers, in the place of some."""

    def one(name: str) -> str:
        return str(changes.get(name, name))

    def scalar(x: Scalar) -> Scalar:
        return changes.get(x, x) if isinstance(x, str) else x

    def statement(s: Statement) -> Statement:
        match s:
            case Load(name, buffer, index):
                return Load(one(name), buffer, _placed(index, changes))
            case Let(name, kind, operation, arguments):
                return Let(one(name), kind, operation, tuple(map(scalar, arguments)))
            case Store(buffer, index, value, how):
                return Store(buffer, _placed(index, changes), scalar(value), how)
            case Variable(name, kind, value):
                return Variable(one(name), kind, scalar(value))
            case Update(name, value, how):
                return Update(one(name), scalar(value), how)
            case For(variable, start, stop, inside, reverse):
                return For(one(variable), _placed(start, changes), _placed(stop, changes), [statement(t) for t in inside], reverse)

    return [statement(s) for s in body]


def _placed(index: Index, changes: Mapping[str, Scalar]) -> Index:
    offset, terms = index.offset, []
    for variable, stride in index.terms:
        match changes.get(variable, variable):
            case str(name):
                terms.append((name, stride))
            case number:
                offset += stride * int(number)
    return Index(offset, tuple(terms))
