"""Orders of elimination: of trees and grids, where the best is known, and of networks of the literature."""

import itertools
import time

import pytest

from ppgen.elimination import Elimination, Factor
from ppgen.ordering import cheapest_order

NONE: frozenset[str] = frozenset()
# Parents of each variable of the ALARM monitoring network; Beinlich et al., Proc. 2nd European Conf. on AI in Medicine, 1989
ALARM = """HYPOVOLEMIA LVFAILURE ERRLOWOUTPUT ERRCAUTER INSUFFANESTH ANAPHYLAXIS KINKEDTUBE FIO2 PULMEMBOLUS INTUBATION DISCONNECT MINVOLSET
HISTORY:LVFAILURE LVEDVOLUME:HYPOVOLEMIA,LVFAILURE CVP:LVEDVOLUME PCWP:LVEDVOLUME STROKEVOLUME:HYPOVOLEMIA,LVFAILURE TPR:ANAPHYLAXIS
VENTMACH:MINVOLSET VENTTUBE:DISCONNECT,VENTMACH VENTLUNG:INTUBATION,KINKEDTUBE,VENTTUBE VENTALV:INTUBATION,VENTLUNG ARTCO2:VENTALV
EXPCO2:ARTCO2,VENTLUNG PVSAT:FIO2,VENTALV PAP:PULMEMBOLUS SHUNT:INTUBATION,PULMEMBOLUS SAO2:PVSAT,SHUNT MINVOL:INTUBATION,VENTLUNG
PRESS:INTUBATION,KINKEDTUBE,VENTTUBE CATECHOL:ARTCO2,INSUFFANESTH,SAO2,TPR HR:CATECHOL CO:HR,STROKEVOLUME BP:CO,TPR
HRBP:ERRLOWOUTPUT,HR HREKG:ERRCAUTER,HR HRSAT:ERRCAUTER,HR"""
THREE = "CVP PCWP LVEDVOLUME STROKEVOLUME TPR PAP HR CO BP HRBP HREKG HRSAT INTUBATION"
FOUR = "EXPCO2 MINVOL PRESS VENTALV VENTLUNG VENTMACH VENTTUBE"
STATES = {**dict.fromkeys(THREE.split(), 3), **dict.fromkeys(FOUR.split(), 4), "ARTCO2": 3, "PVSAT": 3, "SAO2": 3, "MINVOLSET": 3}


def largest(factors: list[tuple[str, ...]], sizes: dict[str, int]) -> int:
    plan = Elimination([Factor(f, NONE) for f in factors], dict.fromkeys(sizes, NONE), sizes)
    return plan.largest


def test_trees_need_no_more_than_their_factors() -> None:
    names = [f"t{i:03d}" for i in range(200)]
    edges = [(names[(i - 1) // 3], names[i]) for i in range(1, 200)]
    assert largest(edges, {n: 2 + i % 5 for i, n in enumerate(names)}) <= 6 * 6


def test_rings_need_one_site_more() -> None:
    names = [f"r{i:02d}" for i in range(30)]
    assert largest([*itertools.pairwise(names), (names[-1], names[0])], dict.fromkeys(names, 4)) == 4**3


@pytest.mark.parametrize("width", [3, 5, 7])
def test_grids_need_their_width(width: int) -> None:
    """The treewidth of a square grid is its side; one more site meets in a product."""
    at = {(i, j): f"g{i}{j}" for i in range(width) for j in range(width)}
    edges = [(at[p], at[q]) for p in at for q in ((p[0] + 1, p[1]), (p[0], p[1] + 1)) if q in at]
    assert 2 ** (width + 1) <= largest(edges, dict.fromkeys(at.values(), 2)) <= 2 ** (width + 2)


def test_many_states_are_summed_out_late() -> None:
    """The hub has 100 states: summed out first it would join all of its neighbours."""
    edges = [("hub", f"n{i}") for i in range(8)]
    assert largest(edges, {"hub": 100, **{f"n{i}": 3 for i in range(8)}}) == 300


def test_alarm() -> None:
    """Largest clique 108 states; 144 by the triangulation of a well-known library (pyAgrum 3.3.1)."""
    factors = []
    for word in ALARM.split():
        name, _, parents = word.partition(":")
        factors.append((*(p for p in parents.split(",") if p), name))
    sizes = {f[-1]: STATES.get(f[-1], 2) for f in factors}
    assert len(sizes) == 37
    assert largest(factors, sizes) <= 144


def test_dimensions_that_stay_count() -> None:
    """Of two ends, that which carries a plate of 1000 is summed out where the plate is anyway."""
    tables = [("a", "plate"), ("a", "b"), ("b", "c"), ("c",)]
    order = cheapest_order(tables, {"a", "b", "c"}, {"a": 2, "b": 2, "c": 2, "plate": 1000})
    assert order[0] == "c"


def test_orders_are_found_again() -> None:
    """Whatever the order of names in sets, for a thousand sites."""
    names = [f"s{i}" for i in range(1000)]
    tables = [tuple({names[i], names[max(0, i - 1)], names[max(0, i - 7)], names[i // 7]}) for i in range(1000)][:600]
    tables += [tuple({names[i], names[i - 1], names[i - 3]}) for i in range(600, 1000)]
    sizes = {n: 2 + i % 3 for i, n in enumerate(names)}
    begin = time.perf_counter()
    order = cheapest_order(tables, set(names), sizes)
    assert time.perf_counter() - begin < 10  # some networks of the literature have as many variables
    assert order == cheapest_order(tables[::-1], names[::-1], sizes)
    assert sorted(order) == sorted(names)
