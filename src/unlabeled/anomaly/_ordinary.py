"""How good items look as they are: a bell curve of their places, and one of whole items; far out is not ordinary.

A network that learnt from drawn faults knows what was drawn. Texture that is another all over a picture is no drawn
fault, and is far from what good pictures show (Mahalanobis distances, as Defard et al. 2020, arXiv:2011.08785, take
them of places).
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.errors import UserError

PARTS = 4  # of a single lot: each is measured by what the others say; and the fewest items that a lot stands with
REGIONS = 3  # along a side, of which a whole item shows its highest and lowest


class Ordinary(nn.Module):
    """Bell curves of good places and good items, and the units of the distances from them.

    Args:
        places: length D of a place's vector.
    """

    def __init__(self, places: int) -> None:
        super().__init__()
        for name, length in (("place", places), ("item", 4 * places)):
            self.register_buffer(f"{name}_mean", torch.zeros(length))
            self.register_buffer(f"{name}_root", torch.zeros(length, length))
            self.register_buffer(f"{name}_unit", torch.tensor([0.0, 1.0]))  # middle and spread of good ones' distances

    def learn(self, places: Sequence[Tensor], items: Sequence[Tensor]) -> Self:
        """Measure good places (N, D) and items (M, 4 D), lot by lot; distances are in units of lots left out.

        One lot, or lots of which one is too small to stand for good items, are parted anew.

        Raises:
            UserError: when there are fewer than four items.
        """
        if sum(map(len, items)) < PARTS:
            raise UserError(f"there are {sum(map(len, items))} good items to learn from", f"give {PARTS} or more")
        for name, lots in (("place", places), ("item", items)):
            every = torch.cat(list(lots)).double()
            whole_lots = len(lots) > 1 and min(map(len, lots)) >= PARTS
            parts = list(lots) if whole_lots else [every[k::PARTS] for k in range(PARTS)]
            found = []
            for k, part in enumerate(parts):
                others = torch.cat([p for n, p in enumerate(parts) if n != k]).double()
                found.append(_far(part.double(), *_curve(others)))
            far = torch.cat(found)
            unit = torch.stack([far.median(), far.std().clamp_min(1e-6)])
            for kind, value in zip(("mean", "root", "unit"), (*_curve(every), unit), strict=True):
                getattr(self, f"{name}_{kind}").copy_(value)
        return self

    def places(self, seen: Tensor) -> Tensor:
        """How far places (B, D, h, w) lie out: (B, h, w), 0 for the middle of good ones, 1 for a spread beyond."""
        flat = seen.permute(0, 2, 3, 1).flatten(0, 2)
        far = _far(flat, self.get_buffer("place_mean"), self.get_buffer("place_root"))
        return self._in_units(far, "place").view(len(seen), *seen.shape[2:])

    def items(self, seen: Tensor) -> Tensor:
        """How far whole items (B, D, h, w) lie out: (B,), in the same units."""
        return self._in_units(_far(whole(seen), self.get_buffer("item_mean"), self.get_buffer("item_root")), "item")

    def _in_units(self, far: Tensor, name: str) -> Tensor:
        unit: Tensor = self.get_buffer(f"{name}_unit")
        return (far - unit[0]) / unit[1]


def whole(seen: Tensor) -> Tensor:
    """What whole items show, (B, 4 D): means and spreads of their places (B, D, h, w), highest and lowest regions.

    >>> whole(torch.zeros(2, 5, 12, 12)).shape
    torch.Size([2, 20])
    """
    regions = functional.adaptive_avg_pool2d(seen, REGIONS)
    return torch.cat([seen.mean((2, 3)), seen.std((2, 3)), regions.amax((2, 3)), regions.amin((2, 3))], 1)


def _curve(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) of vectors (N, D), and the matrix (D, D) that brings them to unit spread in all directions.

    The covariance of the standardised vectors is shrunk towards the identity as far as few of them ask for (Ledoit and
    Wolf 2004, doi:10.1016/S0047-259X(03)00096-4).
    """
    from sklearn.covariance import ledoit_wolf  # seconds to import, and who only judges needs none of it

    mean, spread = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    found, _ = ledoit_wolf(((x - mean) / spread).cpu().numpy(), assume_centered=True)
    among = torch.from_numpy(found).to(x) + 1e-3 * torch.eye(len(found)).to(x)
    root = torch.linalg.inv(torch.linalg.cholesky(among)).T
    return mean, root / spread[:, None]


def _far(x: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Logarithms of squared Mahalanobis distances (N,)."""
    return ((x - mean) @ root).square().sum(1).clamp_min(1e-12).log()
