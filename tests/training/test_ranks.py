"""Two processes that train together: what must be the same in both, and batches that they can share."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from unlabeled import UserError, catalog
from unlabeled.encoders import _build
from unlabeled.methods import Facts
from unlabeled.modalities.image import Image
from unlabeled.settings import Training
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items, train

ITEMS, SIDE = 48, 16


class Pictures:
    """Random pictures; what the loop asks of a store."""

    def batch(self, rows: np.ndarray) -> Tensor:
        random = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (ITEMS, 1, SIDE, SIDE), generator=random, dtype=torch.uint8)
        return x[torch.from_numpy(np.asarray(rows))]


def trained(
    name: str, rank: int, world: int, batch: int, steps: int, encoder: str = "cnn(width=4, stages=2)"
) -> tuple[Any, list[tuple[int, float]]]:
    """The method, and of each step the items that one process among `world` saw and the passes over the data."""
    torch.manual_seed(0)
    method = catalog.load("methods", name)(_build.build(_build.spec(encoder), 1, SIDE))
    method.fit_to(Facts(ITEMS, steps, 1, SIDE))
    training = Training(batch_size=batch)
    optimizer = optim.build(optim.groups(method, 1e-4), training, 1e-3)
    device = Device(torch.device("cpu"), torch.float32, 1, rank, world)
    items = Items(Pictures(), np.arange(ITEMS))  # type: ignore[arg-type]
    looks = Image(size=SIDE)
    made = train(method, optimizer, items, looks, steps=steps, training=training, device=device, seed=0)
    return method, [(len(step.views[0]), step.epoch) for step in made]  # type: ignore[index]


def _process(rank: int, folder: Path, name: str, batch: int, steps: int, *encoder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    method, seen = trained(name, rank, 2, batch, steps, *encoder)
    np.savez(folder / f"{rank}.npz", seen=np.array(seen), **{k: v.numpy() for k, v in method.state_dict().items()})
    distributed.destroy_process_group()


def both(folder: Path, name: str, batch: int, steps: int, *encoder: str) -> list[Any]:
    """What two processes have come to."""
    given = (folder, name, batch, steps, *encoder)
    multiprocessing.spawn(_process, given, nprocs=2)  # type: ignore[no-untyped-call]
    return [np.load(folder / f"{rank}.npz") for rank in range(2)]


def test_all_processes_learn_the_clusters_of_the_first(tmp_path: Path) -> None:
    """Their batch norms differ, and so do the features that each would find clusters in; three passes."""
    one, two = both(tmp_path, "deepcluster", 16, 7)
    assert np.ptp(one["cluster"]) > 0
    np.testing.assert_array_equal(one["cluster"], two["cluster"])
    np.testing.assert_allclose(one["head.weight"], two["head.weight"], atol=1e-6)


def test_a_batch_that_cannot_be_shared_evenly_is_made_a_little_smaller(tmp_path: Path) -> None:
    """13 items for two processes are 12: six each, four steps a pass over 48 items."""
    one, two = both(tmp_path, "simclr", 13, 2)
    assert one["seen"].tolist() == two["seen"].tolist() == [[6, 0.25], [6, 0.5]]
    weights = [k for k in one.files if k.endswith("weight")]
    assert weights and all(np.allclose(one[k], two[k]) for k in weights)


def test_fewer_items_than_processes_are_refused() -> None:
    with pytest.raises(UserError, match="1 item a step cannot be shared by 2"):
        trained("simclr", 0, 2, 1, 1)


def test_layers_that_a_method_does_without_hold_no_process_up(tmp_path: Path) -> None:
    """Places come from before this network's last layer, which features alone pass: its weights stay as they were."""
    encoder = "mobilenetv3_small_050"
    one, two = both(tmp_path, "inpainting", 8, 2, encoder)
    before, _ = trained("inpainting", 0, 1, 8, 0, encoder)
    name = "encoder.net.conv_head.bias"
    assert np.array_equal(one[name], before.state_dict()[name].numpy())
    learnt = "encoder.net.conv_stem.weight"
    assert np.array_equal(one[learnt], two[learnt]) and not np.array_equal(one[learnt], before.state_dict()[learnt])
