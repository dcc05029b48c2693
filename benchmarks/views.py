"""CPU time of one strong view of a batch: `unlabeled` against kornia and torchvision, same family, threads, run.

    python benchmarks/views.py                    # 64 and 224 px, grey and colour, batch 64, one thread
    python benchmarks/views.py --sizes 64 --channels 1 --repeats 30 --aliasing

The family is SimCLR's: random resized crop, mirror image, brightness, contrast and (in colour) saturation, hue and loss
of colour, a blur for every second item, normalisation. Raw pictures are uint8 and twice as wide as the view (256 for
224). Kornia draws for each item. Torchvision draws once for a whole batch, so it is called item by item. The figure is
the least CPU time over the repeats, since other work on the machine only adds.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabeled.modalities.image import Image
from unlabeled.views import draw, geometry

View = Callable[[Tensor], Tensor]


def kornia(size: int, channels: int) -> View:
    """Kornia's augmentations in a row, on the batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import kornia.augmentation as K

    hue = 0.1 if channels == 3 else 0.0
    taps, widest = 2 * max(1, round(3 * size / 112)) + 1, size / 112
    steps = [
        K.RandomResizedCrop((size, size), scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3)),
        K.RandomHorizontalFlip(),
        K.ColorJiggle(0.4, 0.4, 0.4, hue, p=0.8) if channels == 3 else K.RandomBrightness((0.6, 1.4), p=0.8),
        K.RandomGrayscale(p=0.2) if channels == 3 else K.RandomContrast((0.6, 1.4), p=0.8),
        K.RandomGaussianBlur((taps, taps), (0.05 * widest, widest), p=0.5),
        K.Normalize(0.5, 0.25),
    ]
    pipe = nn.Sequential(*steps)
    return lambda raw: pipe(raw.float() / 255)


def torchvision(size: int, channels: int) -> View:
    """Torchvision's transforms, item by item, on uint8 as its documentation recommends."""
    from torchvision.transforms import v2

    taps, widest = 2 * max(1, round(3 * size / 112)) + 1, size / 112
    colour = [v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), v2.RandomGrayscale(0.2)]
    steps = [
        v2.RandomResizedCrop(size, scale=(0.2, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        *(colour if channels == 3 else [v2.RandomApply([v2.ColorJitter(0.4, 0.4)], p=0.8)]),
        v2.RandomApply([v2.GaussianBlur(taps, (0.05 * widest, widest))], p=0.5),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * channels, [0.25] * channels),
    ]
    pipe = v2.Compose(steps)
    return lambda raw: torch.stack([pipe(item) for item in raw])


def ours(size: int, channels: int) -> View:
    """One strong view."""
    return Image(size=size, channels=channels).augment


def aliasing(size: int, batch: int) -> None:
    """How far a crop is from Pillow's antialiased resize, in levels of 256, for fine random stripes and noise."""
    raw = torch.randint(0, 256, (batch, 1, 2 * size, 2 * size), dtype=torch.uint8)
    u = draw.uniforms(draw.generator(0), batch, 4)
    boxes, upright = geometry.crops(u, 2 * size, 0.2, 4 / 3), torch.zeros(batch, 2, dtype=torch.bool)
    truth = torch.cat(
        [
            F.interpolate(raw[i : i + 1, :, t:b, s:r].float(), size, mode="area")
            for i, (s, t, r, b) in enumerate(boxes.tolist())
        ]
    )
    step = boxes.float() / size - 1
    grid = F.affine_grid(
        torch.stack(
            [
                torch.tensor([[(r - s) / 2, 0, (r + s) / 2], [0, (b - t) / 2, (b + t) / 2]])
                for s, t, r, b in step.tolist()
            ]
        ),
        [batch, 1, size, size],
        align_corners=False,
    )
    own = geometry.resample(raw, boxes, upright, size).float()
    plain = F.grid_sample(raw.float(), grid, padding_mode="border", align_corners=False)
    print(f"\nNoise at twice the size, {size} px: standard deviation of the crops, in levels of 256")
    print(f"antialiased {own.std():.1f} · area average {truth.std():.1f} · plain bilinear {plain.std():.1f}")


def main() -> None:
    """Read the flags, time, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--aliasing", action="store_true", help="also print what antialiasing changes")
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    print(f"CPU milliseconds of one view of {flags.batch} items, {flags.threads} thread(s); x: times ours\n")
    print("| view | unlabeled | kornia | x | torchvision, item by item | x |")
    print("|---|---|---|---|---|---|")
    for size in flags.sizes:
        for channels in flags.channels:
            side = 2 * size if size < 128 else 256
            raw = torch.randint(0, 256, (flags.batch, channels, side, side), dtype=torch.uint8)
            makers = (ours, kornia, torchvision)
            views = [make(size, channels) for make in makers]
            best = [float("inf")] * len(views)
            for repeat in range(flags.repeats + 2):
                for i, view in enumerate(views):
                    start = time.process_time()
                    view(raw)
                    spent = time.process_time() - start
                    if repeat >= 2:  # the first two warm up
                        best[i] = min(best[i], spent)
            own, *others = (1000 * b for b in best)
            cells = " | ".join(f"{o:.1f} | {o / own:.1f}" for o in others)
            print(f"| {channels} x {side} to {size} px | {own:.1f} | {cells} |", flush=True)
    if flags.aliasing:
        aliasing(64, flags.batch)


if __name__ == "__main__":
    main()
