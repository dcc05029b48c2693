"""Structural causal models: acyclicity, reach and distance against slow independent ways."""

import itertools

import numpy as np
import pytest
import torch

from unlabeled.errors import UserError
from unlabeled.objectives import scm


def has_cycle(graph: np.ndarray) -> bool:
    """By walking: a node is on a cycle when it comes back to itself within as many steps as there are nodes."""
    reach = np.eye(len(graph), dtype=bool)
    for _ in range(len(graph)):
        reach = (reach @ graph.astype(int)) > 0
        if np.diag(reach).any():
            return True
    return False


def test_acyclicity_is_zero_exactly_for_graphs_without_cycles() -> None:
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    for edges in itertools.product((0, 1), repeat=len(pairs)):
        graph = np.zeros((3, 3))
        for (i, j), on in zip(pairs, edges, strict=True):
            graph[i, j] = on
        value = scm.acyclicity(torch.tensor(0.7 * graph, dtype=torch.float32)).item()
        assert (value > 1e-3) == has_cycle(graph), graph


def test_acyclicity_pulls_the_weaker_edge_of_a_loop_down() -> None:
    a = torch.tensor([[0.0, 1.0], [0.4, 0.0]], requires_grad=True)
    for _ in range(300):
        (gradient,) = torch.autograd.grad(scm.acyclicity(a), a)
        a = (a - 0.05 * gradient).detach().requires_grad_(True)
    assert a[1, 0] < 0.1 < a[0, 1]


def test_reach_adds_up_every_path() -> None:
    random, kinds, factors = np.random.default_rng(0), 2, 5
    a = np.zeros((kinds + factors, factors))
    a[:kinds] = random.random((kinds, factors))
    a[kinds:] = np.triu(random.random((factors, factors)), 1)
    found = scm.reach(torch.tensor(a), kinds).numpy()
    slow = np.zeros((kinds, factors))
    for start in range(kinds):
        for length in range(1, factors + 1):
            for path in itertools.permutations(range(factors), length):
                strength = a[start, path[0]]
                for i, j in itertools.pairwise(path):
                    strength *= a[kinds + i, j]
                slow[start, path[-1]] += strength
    assert np.allclose(found, slow)


@pytest.mark.parametrize("seed", range(5))
def test_only_edges_that_close_a_cycle_with_stronger_ones_are_left_out(seed: int) -> None:
    random, kinds, factors = np.random.default_rng(seed), 2, 6
    a = random.random((kinds + factors, factors)) * (random.random((kinds + factors, factors)) < 0.4)
    found = scm.without_cycles(torch.tensor(a), kinds, 0.2).numpy()
    kept = np.zeros((factors, factors))
    for i, j in sorted(np.ndindex(factors, factors), key=lambda place: -a[kinds + place[0], place[1]]):
        strength = a[kinds + i, j]
        kept[i, j] = strength
        if strength > 0.2 and has_cycle(kept > 0.2):
            kept[i, j] = 0
    assert np.array_equal(found[kinds:], kept) and not has_cycle(kept > 0.2)
    assert has_cycle(a[kinds:] > 0.2) and np.array_equal(found[:kinds], a[:kinds])


@pytest.mark.parametrize(("found", "distance"), [("ab", 0), ("ba", 1), ("", 1), ("ab bc", 1), ("bc", 2), ("ba bc", 2)])
def test_hamming_by_hand(found: str, distance: int) -> None:
    def graph(words: str) -> np.ndarray:
        out = np.zeros((3, 3))
        for word in words.split():
            out["abc".index(word[0]), "abc".index(word[1])] = 1
        return out

    assert scm.hamming(graph(found), graph("ab")) == distance
    above = np.vstack([[1, 0, 0], graph("ab")])  # a root above the factors
    assert scm.hamming(np.vstack([[0, 0, 1], graph(found)]), above) == distance + 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="square"):
        scm.acyclicity(torch.zeros(2, 3))
    with pytest.raises(UserError, match="one shape"):
        scm.hamming(np.zeros((2, 2)), np.zeros((3, 3)))
