"""One contender of `against_lightly.py`: builds itself, then trains one pass over the folder at each line it reads."""

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

BATCH, WORKERS, LR = 64, 8, 0.06  # the workers and the learning rate are those of lightly's example
WIDTH, DEPTH, HEADS, DECODER, PREDICTOR = 512, 6, 8, 256, 192


@dataclass
class Ready:
    """What a contender can do: train a number of steps (0: one pass), and give features with labels of a split."""

    train: Callable[[int], int]
    features: Callable[[str], tuple[np.ndarray, np.ndarray]]
    decode: float = 0.0


def _loop(
    loader: Iterable[Any], optimizer: torch.optim.Optimizer, loss_of: Callable[[list[Tensor]], Tensor], bf16: bool
) -> Callable[[int], int]:
    """The loop of lightly's examples: one pass, or so many steps of it."""

    def train(most: int) -> int:
        seen = 0
        for batch in loader:
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                loss = loss_of(batch[0])
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            seen += 1
            if seen == most:
                break
        return seen

    return train


def lightly_simclr(size: int, folder: Path, bf16: bool) -> Ready:
    """lightly's examples/pytorch/simclr.py with our folder, size and batch."""
    import torchvision
    from lightly.data import LightlyDataset
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead
    from lightly.transforms.simclr_transform import SimCLRTransform

    class SimCLR(nn.Module):
        def __init__(self, backbone: nn.Module) -> None:
            super().__init__()
            self.backbone = backbone
            self.projection_head = SimCLRProjectionHead(512, 512, 128)

        def forward(self, x: Tensor) -> Tensor:
            x = self.backbone(x).flatten(start_dim=1)
            z: Tensor = self.projection_head(x)
            return z

    resnet = torchvision.models.resnet18()
    model = SimCLR(nn.Sequential(*list(resnet.children())[:-1]))
    dataset = LightlyDataset(str(folder / "train"), transform=SimCLRTransform(input_size=size))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    criterion = NTXentLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)

    train = _loop(loader, optimizer, lambda views: criterion(model(views[0]), model(views[1])), bf16)
    return Ready(train, lambda split: _seen(model, lambda x: model.backbone(x).flatten(1), folder / split, size))


def lightly_joint(method: str, size: int, folder: Path, bf16: bool) -> Ready:
    """Another joint-embedding method from lightly's parts, in the loop of its examples."""
    import _lightly_joint
    from lightly.data import LightlyDataset

    net, transform, loss_of = _lightly_joint.build(method, size)
    dataset = LightlyDataset(str(folder / "train"), transform=transform)
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    optimizer = _lightly_joint.optimizer(method, net)

    train = _loop(loader, optimizer, loss_of, bf16)
    return Ready(train, lambda split: _seen(net, lambda x: net.backbone(x).flatten(1), folder / split, size))


def lightly_mae(size: int, folder: Path, bf16: bool) -> Ready:
    """lightly's examples/pytorch/mae.py with our folder, size, batch, and the same width and depth as ours."""
    from lightly.data import LightlyDataset
    from lightly.models import utils
    from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
    from lightly.transforms.mae_transform import MAETransform
    from timm.models.vision_transformer import VisionTransformer

    class MAE(nn.Module):
        def __init__(self, vit: VisionTransformer) -> None:
            super().__init__()
            self.mask_ratio = 0.75
            self.patch_size = vit.patch_embed.patch_size[0]
            self.backbone = MaskedVisionTransformerTIMM(vit=vit)
            self.sequence_length = self.backbone.sequence_length
            self.decoder = MAEDecoderTIMM(
                num_patches=vit.patch_embed.num_patches,
                patch_size=self.patch_size,
                embed_dim=vit.embed_dim,
                decoder_embed_dim=DECODER,
                decoder_depth=2,
                decoder_num_heads=HEADS,
            )

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            shape = (len(images), self.sequence_length)
            keep, hidden = utils.random_token_mask(size=shape, mask_ratio=self.mask_ratio, device=images.device)
            embedded = self.decoder.embed(self.backbone.encode(images=images, idx_keep=keep))
            masked = utils.repeat_token(self.decoder.mask_token, shape)
            masked = utils.set_at_index(masked, keep, embedded.type_as(masked))
            predictions = self.decoder.predict(utils.get_at_index(self.decoder.decode(masked), hidden))
            patches = utils.patchify(images, self.patch_size)
            return predictions, utils.get_at_index(patches, hidden - 1)  # without the class token

    vit = VisionTransformer(size, size // _grid(size), embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, num_classes=0)
    model = MAE(vit)
    dataset = LightlyDataset(str(folder / "train"), transform=MAETransform(input_size=size))
    loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS)
    criterion = nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-4)

    train = _loop(loader, optimizer, lambda views: criterion(*model(views[0])), bf16)
    return Ready(
        train, lambda split: _seen(model, lambda x: model.backbone.encode(x)[:, 1:].mean(1), folder / split, size)
    )


def lightly_ijepa(size: int, folder: Path, bf16: bool) -> Ready:
    """I-JEPA from lightly's modules, masks and transform, with the paper's blocks and the width and depth of ours."""
    import copy

    from lightly.data import LightlyDataset
    from lightly.data.ijepa_collate import IJEPAMaskCollator
    from lightly.models import utils
    from lightly.models.modules import MaskedVisionTransformerTIMM
    from lightly.models.modules.ijepa_timm import IJEPAPredictorTIMM
    from lightly.transforms.ijepa_transform import IJEPATransform
    from timm.models.vision_transformer import VisionTransformer

    grid = _grid(size)
    kind: dict[str, Any] = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "num_classes": 0}
    vit = VisionTransformer(size, size // grid, class_token=False, global_pool="avg", **kind)
    encoder = MaskedVisionTransformerTIMM(vit=vit)
    target = copy.deepcopy(encoder).requires_grad_(False)
    predictor = IJEPAPredictorTIMM(
        num_patches=grid**2, depth=2, mlp_dim=WIDTH, predictor_embed_dim=PREDICTOR, num_heads=6
    )
    model = nn.ModuleDict({"encoder": encoder, "predictor": predictor})
    masks = IJEPAMaskCollator(
        input_size=size, patch_size=size // grid, enc_mask_scale=(0.85, 1.0), pred_mask_scale=(0.15, 0.2),
        aspect_ratio=(0.75, 1.5), nenc=1, npred=4,
    )  # fmt: skip
    dataset = LightlyDataset(str(folder / "train"), transform=IJEPATransform(input_size=size))
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=WORKERS, collate_fn=masks
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-4)

    def train(most: int) -> int:
        seen = 0
        for (images, _, _), seen_places, hidden in loader:
            with torch.no_grad():
                slow = nn.functional.layer_norm(target.encode(images), (WIDTH,))
                slow = utils.repeat_interleave_batch(utils.apply_masks(slow, hidden), len(images), repeat=1)
            context = encoder.encode(images, idx_keep=seen_places[0])
            loss = nn.functional.smooth_l1_loss(predictor(context, seen_places, hidden), slow)
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            utils.update_momentum(encoder, target, m=0.996)
            seen += 1
            if seen == most:
                break
        return seen

    if bf16:
        raise SystemExit("lightly's I-JEPA is compared as it comes")
    return Ready(train, lambda split: _seen(encoder, lambda x: encoder.encode(x).mean(1), folder / split, size))


def unlabeled(method: str, size: int, folder: Path, threads: int) -> Ready:
    """Our loop as the command line runs it, with lightly's strength of views, temperature and optimizer."""
    from unlabeled.data.prepare import prepare
    from unlabeled.settings import Augmentation, Training
    from unlabeled.study.plan import compose, method_and_encoder
    from unlabeled.training.devices import open_device
    from unlabeled.training.loop import Items, embed
    from unlabeled.training.loop import train as steps_of

    began = time.perf_counter()
    prepared = prepare(folder, size=size)
    decode = time.perf_counter() - began
    contrast = method not in ("mae", "ijepa")
    known = {
        "simclr": "simclr(temperature=0.5)",
        "mae": f"mae(normalise=False, decoder_width={DECODER}, decoder_depth=2)",
        "ijepa": f"ijepa(blocks=4, area=0.2, predictor_width={PREDICTOR}, predictor_depth=2, predictor_heads=6)",
    }
    words = known.get(method, method)
    patch = size // _grid(size)
    encoder = "resnet18" if contrast else f"vit(patch_size={patch}, width={WIDTH}, depth={DEPTH}, heads={HEADS})"
    training = Training(
        batch_size=BATCH, lr=LR if contrast else 1.5e-4, warmup=0.0, schedule="constant", threads=threads
    )
    views = Augmentation(crop=0.08 if contrast else 0.2, jitter=0.8, blur=0.5)
    spec, net = method_and_encoder(words, encoder)
    recipe = compose(prepared, spec, net, views, training, 1_000_000, 0)
    device = open_device(training)
    model = device.place(recipe.build())
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = (
        torch.optim.Adam(trained, lr=1e-3, fused=True)
        if method in ("swav", "dino")
        else torch.optim.SGD(trained, lr=LR, fused=True)
        if contrast
        else torch.optim.AdamW(trained, lr=1.5e-4, fused=True)
    )
    items, looks = Items(prepared.store, prepared.learning), recipe.looks()
    endless = steps_of(model, optimizer, items, looks, steps=recipe.steps, training=training, device=device, seed=0)

    def train(most: int) -> int:
        count = most or len(items) // BATCH
        for _ in range(count):
            next(endless)
        return count

    def features(split: str) -> tuple[np.ndarray, np.ndarray]:
        rows = prepared.table.rows(split)
        x = embed(model.encoder, looks, prepared.store, rows, device).numpy()
        return x, np.asarray(prepared.table.items["label"].astype(str))[rows]

    return Ready(train, features, decode)


def _grid(size: int) -> int:
    return 8 if size <= 64 else size // 16


@torch.no_grad()
def _seen(
    model: nn.Module, embed: Callable[[Tensor], Tensor], folder: Path, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features of whole pictures, resized and normalised as lightly's training views are."""
    from lightly.transforms.utils import IMAGENET_NORMALIZE
    from torchvision import datasets, transforms

    plain = [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(**IMAGENET_NORMALIZE)]
    data = datasets.ImageFolder(str(folder), transforms.Compose(plain))
    model.eval()
    parts = [(embed(x), y) for x, y in torch.utils.data.DataLoader(data, batch_size=BATCH)]
    model.train()
    x, y = (torch.cat(column).float().numpy() for column in zip(*parts, strict=True))
    return x, y.astype(int)


def accuracy(ready: Ready) -> float:
    """Share of held-out pictures that the 20 nearest training pictures name rightly."""
    from unlabeled.protocols.knn import Knn

    x, y = ready.features("train")
    at, truth = ready.features("test")
    names = np.unique(y)
    return float((names[Knn(k=20).fit(x, y).predict(at).argmax(1)] == truth).mean())


def cpu_seconds() -> float:
    """CPU time of this process and of the loader workers that have ended."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


class Tree:
    """Watches the memory of this process and of all it started, in MB: what several share counts once.

    Pages of files (torch itself) are counted as this process holds them, for other contenders hold the same ones.
    """

    def __init__(self) -> None:
        self.most, self._over = 0.0, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def end(self) -> float:
        self._over.set()
        self._watch.join()
        return self.most

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.5):
            own = sum(_kilobytes(p.pid, "smaps_rollup", "Pss_Anon", "Pss_Shmem") for p in (me, *me.children(True)))
            self.most = max(self.most, (own + _kilobytes(me.pid, "status", "RssFile")) / 1024)


def _kilobytes(process: int, table: str, *names: str) -> int:
    """Sum of lines of a table in /proc; 0 when the process has just ended."""
    try:
        lines = Path(f"/proc/{process}/{table}").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.partition(":")[0] in names)


def lines() -> Iterator[str]:
    """What the parent asks for, until it closes the pipe."""
    for line in sys.stdin:
        yield line.strip()


def main() -> None:
    kind, method, size, folder, threads = (
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        Path(sys.argv[4]),
        int(sys.argv[5]),
    )
    torch.manual_seed(0)
    if threads:
        torch.set_num_threads(threads)
    if kind == "unlabeled":
        ready = unlabeled(method, size, folder, threads)
    else:
        forms: dict[str, Callable[[int, Path, bool], Ready]]
        forms = {"simclr": lightly_simclr, "mae": lightly_mae, "ijepa": lightly_ijepa}
        form = forms.get(method, partial(lightly_joint, method))
        ready = form(size, folder, kind.endswith("bf16"))
    answer: dict[str, float] = {"decode": ready.decode, "threads": torch.get_num_threads()}
    total = 0
    print(json.dumps(answer), flush=True)
    for word in lines():
        began, work = time.perf_counter(), cpu_seconds()
        if word == "end":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = {"peak_mb": peak, "knn": accuracy(ready), "steps": total}
        elif word == "watch":  # a pass of its own, for watching costs time
            tree = Tree()
            total += ready.train(0)
            answer = {"tree_mb": tree.end()}
        else:
            steps = ready.train(2 if word == "warm" else 0)
            total += steps
            spent = {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - work}
            answer = {**spent, "items": steps * BATCH}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
