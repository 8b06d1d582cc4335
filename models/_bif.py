"""Discrete Bayesian networks as files in the Bayesian interchange format (BIF).

    network NAME { }
    variable A { type discrete [ 2 ] { yes, no }; }
    probability ( A | B, C ) { (yes, no) 0.2, 0.8; ... default 0.5, 0.5; }      a row for each states of the parents
    probability ( A | B, C ) { table 0.2, 0.3, ...; }                           or all at once: A slowest, C fastest

Source: F. Cozman, The interchange format for Bayesian networks, version 0.15 (1998).
"""

import gzip
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError

__all__ = ["Block", "read_bif", "write_bif"]

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"[^"\n]*"|[{}()\[\],;|]|[^\s{}()\[\],;|"]+', re.DOTALL)
PLAIN = re.compile(r"[^\s{}()\[\],;|\"/]+(?:/[^\s{}()\[\],;|\"/*]+)*")  # words that need no quotes
MARKS = frozenset("{}()[],;|")
DIGITS = 17  # of a double: what is written is read back to the bit


class Block(NamedTuple):
    """One variable: its states, its parents, and table (*states of the parents, states), as the file has it."""

    states: tuple[str, ...]
    parents: tuple[str, ...]
    table: np.ndarray


class Token(NamedTuple):
    text: str
    line: int


def read_bif(path: str | Path) -> dict[str, Block]:
    """Variable -> what the file says of it, in the file's order; .gz is unpacked. Raises DataError by file and line."""
    path = Path(path)
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a BIF file: {error}") from error
    return _Parser(path, text).network()


def write_bif(path: str | Path, blocks: Mapping[str, Block]) -> Path:
    """The inverse of `read_bif`: numbers with all their digits. Raises DataError for a name that the format cannot hold."""
    path = Path(path)
    lines = ["network unknown {", "}"]
    for name, block in blocks.items():
        states = ", ".join(map(_word, block.states))
        lines += [f"variable {_word(name)} {{", f"  type discrete [ {len(block.states)} ] {{ {states} }};", "}"]
    for name, block in blocks.items():
        parents = ", ".join(map(_word, block.parents))
        lines.append(f"probability ( {_word(name)}{' | ' + parents if parents else ''} ) {{")
        for at in np.ndindex(*block.table.shape[:-1]):
            which = ", ".join(_word(blocks[p].states[i]) for p, i in zip(block.parents, at, strict=True))
            row = ", ".join(f"{p:.{DIGITS}g}" for p in block.table[at])
            lines.append(f"  {f'({which})' if at else 'table'} {row};")
        lines.append("}")
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def _word(name: str) -> str:
    if PLAIN.fullmatch(name):
        return name
    if '"' in name or "\n" in name:
        raise DataError(f"the name {name!r} cannot stand in a BIF file: it holds a quote or a line break")
    return f'"{name}"'


class _Parser:
    def __init__(self, path: Path, text: str):
        self.path, self.tokens = path, _tokens(text)
        self.states: dict[str, tuple[str, ...]] = {}
        self.tables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        self.now = next(self.tokens)

    def network(self) -> dict[str, Block]:
        blocks = {"network": self._header, "variable": self._variable, "probability": self._probability}
        if not self.now.text:
            raise self._error("the file is empty")
        while self.now.text:
            kind = self._next()
            if kind.text not in blocks:
                raise self._error(f"expected network, variable or probability, and {kind.text!r} came", kind.line)
            blocks[kind.text]()
        if missing := [n for n in self.states if n not in self.tables]:
            raise self._error(f"variable {missing[0]!r} has no probability block; the file may be cut off")
        if not self.states:
            raise self._error("the file has no variable")
        return {n: Block(states, *self.tables[n]) for n, states in self.states.items()}

    # Blocks

    def _header(self) -> None:
        while self.now.text not in ("{", ""):
            self._next()
        self._expect("{")
        while self.now.text != "}":
            self._property()
        self._expect("}")

    def _property(self) -> None:
        """`property ...;` says nothing about the law."""
        self._expect("property")
        while self._next().text != ";":
            pass

    def _variable(self) -> None:
        line, name = self.now.line, self._name()
        if name in self.states:
            raise self._error(f"variable {name!r} is declared twice", line)
        self._expect("{")
        while self.now.text != "}":
            if self.now.text == "property":
                self._property()
            else:
                self._type(name)
        if name not in self.states:
            raise self._error(f"variable {name!r} has no type")
        self._expect("}")

    def _type(self, name: str) -> None:
        line = self.now.line
        self._expect("type")
        self._expect("discrete")
        self._expect("[")
        size = self._number()
        self._expect("]")
        self._expect("{")
        states = self._list(self._name, "}")
        self._expect(";")
        if len(states) != size:
            raise self._error(f"variable {name!r} is said to have {size:g} states and has {len(states)}: {', '.join(states)}", line)
        if twice := next((s for s in states if states.count(s) > 1), None):
            raise self._error(f"variable {name!r} has the state {twice!r} twice", line)
        self.states[name] = tuple(states)

    def _probability(self) -> None:
        line = self.now.line
        self._expect("(")
        name = self._known()
        parents: list[str] = []
        if self.now.text == "|":
            self._next()
            parents = self._list(self._known, ")")
        else:
            self._expect(")")
        if name in self.tables:
            raise self._error(f"variable {name!r} has a second probability block", line)
        if twice := next((p for p in [*parents, name] if [*parents, name].count(p) > 1), None):
            raise self._error(f"the probability of {name!r} names {twice!r} twice", line)
        table = np.full([len(self.states[n]) for n in (*parents, name)], math.nan)
        self._expect("{")
        while self.now.text != "}":
            self._entry(name, parents, table)
        self._expect("}")
        if (lacks := np.isnan(table).any(-1)).any():
            raise self._error(f"variable {name!r} has no probabilities given {self._given(parents, np.argwhere(lacks)[0])}", line)
        self.tables[name] = tuple(parents), table

    def _entry(self, name: str, parents: Sequence[str], table: np.ndarray) -> None:
        line = self.now.line
        if self.now.text == "property":
            self._property()
        elif self.now.text == "table":
            self._next()
            values = self._numbers(name, table.size, line)
            table[...] = np.moveaxis(values.reshape(table.shape[-1:] + table.shape[:-1]), 0, -1)
        elif self.now.text == "default":
            self._next()
            row = self._numbers(name, table.shape[-1], line)
            table[...] = np.where(np.isnan(table), row, table)
        else:
            self._expect("(")
            at = self._list(self._name, ")")
            if len(at) != len(parents):
                raise self._error(f"{name!r} has {len(parents)} parents and the row names {len(at)} states", line)
            index = tuple(self._state(p, s, line) for p, s in zip(parents, at, strict=True))
            table[index] = self._numbers(name, table.shape[-1], line)

    def _state(self, variable: str, state: str, line: int) -> int:
        if state not in self.states[variable]:
            raise self._error(f"{variable!r} has no state {state!r}; it has {', '.join(self.states[variable])}", line)
        return self.states[variable].index(state)

    def _given(self, parents: Sequence[str], at: Sequence[int]) -> str:
        return ", ".join(f"{p} = {self.states[p][i]}" for p, i in zip(parents, at, strict=True)) or "nothing"

    # Tokens

    def _next(self) -> Token:
        token = self.now
        if not token.text:
            raise self._error("the file ends in the middle of a block")
        self.now = next(self.tokens)
        return token

    def _expect(self, text: str) -> None:
        token = self._next()
        if token.text != text:
            raise self._error(f"expected {text!r}, and {token.text!r} came", token.line)

    def _name(self) -> str:
        token = self._next()
        if token.text in MARKS:
            raise self._error(f"expected a name, and {token.text!r} came", token.line)
        return token.text.strip('"')

    def _known(self) -> str:
        line, name = self.now.line, self._name()
        if name not in self.states:
            raise self._error(f"there is no variable {name!r}; every variable is declared before its probabilities", line)
        return name

    def _number(self) -> float:
        token = self._next()
        try:
            return float(token.text)
        except ValueError:
            raise self._error(f"expected a number, and {token.text!r} came", token.line) from None

    def _numbers(self, name: str, count: int, line: int) -> np.ndarray:
        """Up to the semicolon; some files leave the commas out."""
        values = [self._number()]
        while self.now.text != ";":
            if self.now.text == ",":
                self._next()
            values.append(self._number())
        self._next()
        if len(values) != count:
            raise self._error(f"{name!r} needs {count} probabilities here, and {len(values)} came", line)
        return np.array(values)

    def _list(self, item: Callable[[], str], end: str) -> list[str]:
        """Items with commas between them, up to and with the end."""
        found = [item()]
        while self.now.text != end:
            self._expect(",")
            found.append(item())
        self._next()
        return found

    def _error(self, what: str, line: int | None = None) -> DataError:
        return DataError(f"{self.path}, line {self.now.line if line is None else line}: {what}")


def _tokens(text: str) -> Iterator[Token]:
    """Words and marks with their lines; one without text at the end, over and over."""
    line, at = 1, 0
    for match in TOKEN.finditer(text):
        line += text.count("\n", at, match.start())
        at = match.start()
        if not match[0].startswith(("//", "/*")):
            yield Token(match[0], line)
    line += text.rstrip().count("\n", at)
    while True:
        yield Token("", line)
