"""A whole training step of methods for series beside that of the authors' public code, in turns in one process.

    git clone https://github.com/emadeldeen24/TS-TCC && git clone https://github.com/yuezhihan/ts2vec
    uv run --with einops python benchmarks/against_authors.py ts_tcc TS-TCC --batch 128
    uv run python benchmarks/against_authors.py ts2vec ts2vec --batch 16

Both sides have the authors' own network with the same number of weights, the same windows of a phone's movements, the
same batch, one thread and Adam. A step is everything from the stored windows to the changed weights. TS-TCC's authors
draw their views once before training, which is not counted; ours are drawn at each step.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.data.prepare import Prepared, prepare
from unlabeled.encoders import Encoder
from unlabeled.methods import Method
from unlabeled.methods.ts2vec import TS2Vec
from unlabeled.methods.ts_tcc import TSTCC
from unlabeled.modalities.series import Series
from unlabeled.settings import Training
from unlabeled.training import optim
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, Step, train

HERE = Path(__file__).resolve().parent
Turn = Callable[[int], None]


class Theirs(Encoder):
    """The authors' network as one of our encoders; the feature is the mean of its places."""

    def __init__(self, net: nn.Module, places: Callable[[nn.Module, Tensor], Tensor], channels: int, size: int) -> None:
        super().__init__()
        self.net, self.places, self.channels, self.size, self.any_size = net, places, channels, size, True
        self.eval()
        self.dim = self.token_dim = self.tokens(torch.ones(1, channels, size)).shape[2]
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x).mean(1)

    def tokens(self, x: Tensor) -> Tensor:
        return self.places(self.net, x)


def ours(method: Method, prepared: Prepared, looks: Series, batch: int) -> Turn:
    """Steps of our loop."""
    training = Training(batch_size=batch, threads=1, device="cpu", precision="fp32", optimizer="adam", lr=3e-4)
    optimizer = optim.build(optim.groups(method, 3e-4), training, 3e-4)
    items, device = Items(prepared.store, prepared.learning), open_device(training)
    steps: Iterator[Step] = train(
        method, optimizer, items, looks, steps=100_000, training=training, device=device, seed=0
    )

    def turn(count: int) -> None:
        for _ in range(count):
            float(next(steps).loss)

    return turn


def ts_tcc(prepared: Prepared, looks: Series, batch: int) -> tuple[Turn, Turn, list[int]]:
    """TS-TCC: their model, contrast, loader and training pass."""
    from config_files.HAR_Configs import Config
    from dataloader.dataloader import Load_Dataset
    from models.model import base_Model
    from models.TC import TC
    from trainer.trainer import model_train

    config = Config()
    config.input_channels, config.batch_size = looks.channels, batch
    config.augmentation.max_seg = 2  # one: their cutting in pieces fails with numpy 2, and it is not timed

    def places(net: Any, x: Tensor) -> Tensor:
        out: Tensor = net.conv_block3(net.conv_block2(net.conv_block1(x)))
        return out.transpose(1, 2)

    def network() -> nn.Module:
        net: nn.Module = base_Model(config)
        del net.logits  # not trained without labels
        return net

    method = TSTCC(
        Theirs(network(), places, looks.channels, looks.size), ahead=config.TC.timesteps / config.features_len
    )
    model, contrast = base_Model(config), TC(config, "cpu")
    adam = [torch.optim.Adam(m.parameters(), lr=3e-4, betas=(0.9, 0.99), weight_decay=3e-4) for m in (model, contrast)]
    x = looks.plain(prepared.store.batch(prepared.learning[: 20 * batch]))
    data = Load_Dataset({"samples": x, "labels": torch.zeros(len(x))}, config, "self_supervised")

    def turn(count: int) -> None:
        some = torch.utils.data.Subset(data, np.random.default_rng(0).permutation(len(data))[: count * batch].tolist())
        loader = torch.utils.data.DataLoader(some, batch_size=batch, shuffle=True, drop_last=True)
        model_train(model, contrast, *adam, nn.CrossEntropyLoss(), loader, config, "cpu", "self_supervised")

    theirs = sum(p.numel() for m in (model, contrast) for p in m.parameters()) - sum(
        p.numel() for p in model.logits.parameters()
    )
    return ours(method, prepared, looks, batch), turn, [sum(p.numel() for p in method.parameters()), theirs]


def ts2vec(prepared: Prepared, looks: Series, batch: int) -> tuple[Turn, Turn, list[int]]:
    """TS2Vec: their model and its `fit`."""
    from models.encoder import TSEncoder
    from ts2vec import TS2Vec as TheirTS2Vec

    def places(net: nn.Module, x: Tensor) -> Tensor:
        out: Tensor = net(x.transpose(1, 2).clone(), "all_true")  # the method hides steps itself
        return out

    method = TS2Vec(Theirs(TSEncoder(looks.channels, 320), places, looks.channels, looks.size), width=320)
    model = TheirTS2Vec(looks.channels, output_dims=320, device="cpu", batch_size=batch)
    x = looks.plain(prepared.store.batch(prepared.learning[: 20 * batch])).transpose(1, 2).numpy()

    def turn(count: int) -> None:
        model.fit(x, n_iters=model.n_iters + count)

    sizes = [sum(p.numel() for p in m.parameters()) for m in (method, model._net)]
    return ours(method, prepared, looks, batch), turn, sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["ts_tcc", "ts2vec"])
    parser.add_argument("clone", type=Path, help="folder of the authors' code")
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "har_smartphone")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(args.clone.resolve()))
    prepared = prepare(args.data)
    looks = Series(size=prepared.size, channels=prepared.prep.channels, mean=prepared.mean, std=prepared.std)
    torch.manual_seed(0)
    mine, theirs, sizes = {"ts_tcc": ts_tcc, "ts2vec": ts2vec}[args.method](prepared, looks, args.batch)
    taken = SimpleNamespace(mine=[], theirs=[])
    for number in range(args.rounds + 1):  # the first warms up
        for side, turn in (("theirs", theirs), ("mine", mine)):
            began = time.process_time()
            turn(args.steps)
            if number:
                getattr(taken, side).append((time.process_time() - began) / args.steps)
    ratios = [t / m for t, m in zip(taken.theirs, taken.mine, strict=True)]
    print("| method | batch | weights, theirs / ours | CPU s a step, theirs | ours | times faster |")
    print("|---|---|---|---|---|---|")
    seconds = f"{statistics.median(taken.theirs):.3f} | {statistics.median(taken.mine):.3f}"
    span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"| {args.method} | {args.batch} | {sizes[1]:,} / {sizes[0]:,} | {seconds} | {span} |")


if __name__ == "__main__":
    main()
