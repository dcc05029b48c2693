"""Changes of style that leave every edge where it is: what a camera or a lamp does to the same thing.

Each item draws one value in -1 to 1 for each kind; 0 changes nothing. In this order, on x in 0 to 1:

| name | what happens | at -1, at 1 |
|---|---|---|
| gamma | x ** (1.4 ** -v) | darker, brighter midtones |
| contrast | mean + (x - mean) * 1.2 ** v | 0.83, 1.2 |
| warmth, tint (three channels) | red * k, blue / k; green / k: k = 1.15 ** v | blue, red; green, magenta |
| gain | x * 1.25 ** v | 0.8, 1.25 |
| offset | x + 0.05 * v | -0.05, 0.05 |
| slope_x, slope_y | x * (1 + 0.2 * v * place), place -1 to 1 across, down | light from left or top, right or bottom |
"""

import torch
from torch import Tensor


def names(channels: int) -> tuple[str, ...]:
    """The kinds, in the order of the columns.

    >>> names(1)
    ('gamma', 'contrast', 'gain', 'offset', 'slope_x', 'slope_y')
    """
    colour = ("warmth", "tint") if channels == 3 else ()
    return ("gamma", "contrast", *colour, "gain", "offset", "slope_x", "slope_y")


def restyle(x: Tensor, values: Tensor) -> Tensor:
    """Apply values (B, S), columns as `names` lists them, to pictures x (B, C, H, W) in 0 to 1; clipped to 0 to 1."""
    v = {name: values[:, i, None, None, None] for i, name in enumerate(names(x.shape[1]))}
    x = x ** (1.4 ** -v["gamma"])
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * 1.2 ** v["contrast"]
    if "warmth" in v:
        warm, tint = 1.15 ** v["warmth"], 1.15 ** v["tint"]
        x = x * torch.cat((warm, 1 / tint, 1 / warm), 1)
    x = x * 1.25 ** v["gain"] + 0.05 * v["offset"]
    across = _places(x.shape[3], x.device)
    down = _places(x.shape[2], x.device)[:, None]
    x = x * (1 + 0.2 * v["slope_x"] * across) * (1 + 0.2 * v["slope_y"] * down)
    return x.clamp(0, 1)


def _places(n: int, device: torch.device) -> Tensor:
    """Centres of n pixels, -1 to 1."""
    return (torch.arange(n, device=device) * 2 + 1) / n - 1
