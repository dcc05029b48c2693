"""The order of names: planted groups are found and their length told, shuffled files are left alone."""

import numpy as np
import pytest

from unlabeled.data import order


def planted(items: int, group: int, seed: int, strength: float = 1.0) -> tuple[list[str], np.ndarray]:
    """Synthetic files: every `group` neighbours share a vector, `strength` times as large as their own."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(items // group + 1, 16))[np.arange(items) // group]
    return [f"scans/{i}.png" for i in range(items)], strength * shared + random.normal(size=(items, 16))


@pytest.mark.parametrize("seed", range(5))
def test_groups_that_lie_in_the_order_are_found_and_shuffled_ones_are_not(seed: int) -> None:
    names, x = planted(240, 8, seed)
    found = order.look(names, lambda rows: x[rows])
    assert found.carries and found.alike < 0.3 and 3 <= found.reach <= 12
    shuffled = np.random.default_rng(seed).permutation(240)
    chance = order.look([names[i] for i in shuffled], lambda rows: x[rows])
    assert not chance.carries or chance.alike == pytest.approx(found.alike), "the table's own order does not matter"
    mixed = x[shuffled]
    alone = order.look(names, lambda rows: mixed[rows])
    assert not alone.carries and abs(alone.alike - 0.5) < 5 * alone.error


def test_a_likeness_that_is_sure_but_small_is_left_alone() -> None:
    parts = [planted(240, 8, seed, 0.2) for seed in range(8)]
    names = [f"{number}/{name}" for number, (own, _) in enumerate(parts) for name in own]
    x = np.concatenate([vectors for _, vectors in parts])
    found = order.look(names, lambda rows: x[rows])
    assert order.ALIKE < found.alike < 0.5 - 2 * found.error and not found.carries


def test_the_rank_is_that_of_a_slow_count() -> None:
    names, x = planted(60, 4, 1)
    found = order.look(names, lambda rows: x[rows])
    z = (x - x.mean(0)) / x.std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    ranks = []
    for i in range(59):
        others = [z[i] @ z[j] for j in range(60) if j not in (i, i + 1)]
        ranks.append(np.mean([other > z[i] @ z[i + 1] for other in others]))
    assert found.alike == pytest.approx(np.mean(ranks), abs=1e-9)


def test_numbers_are_read_as_people_read_them_and_folders_are_apart() -> None:
    names = ["b/10.png", "b/9.png", "a/x2y1.png", "a/x2y0.png", "a/x1y7.png"]
    assert [run.tolist() for run in order.runs(names)] == [[1, 0], [4, 3, 2]]


def test_small_raised_digits_are_letters() -> None:
    assert [run.tolist() for run in order.runs(["1²2.png", "1²10.png", "1①1.png"])] == [[0, 1, 2]]


def test_blocks_are_neighbours_and_never_leave_their_folder() -> None:
    names = [f"{folder}/{i}.png" for folder in "ab" for i in range(100)]
    found = order.blocks(names, 10)
    assert len(np.unique(found)) == 20 and (np.bincount(found) == 10).all()
    assert (np.diff(found) >= 0).all() and set(found[:100]).isdisjoint(found[100:])
    assert len(np.unique(order.blocks(names, 90))) == 2 * order.PARTS


def test_few_files_tell_nothing() -> None:
    names, x = planted(30, 8, 0)
    assert not order.look(names, lambda rows: x[rows]).carries
