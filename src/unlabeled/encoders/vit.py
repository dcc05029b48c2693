"""A vision transformer by width and depth that can look at the visible patches alone (Dosovitskiy et al. 2020,
arXiv:2010.11929).

Positions are fixed two-dimensional sines and cosines, as in MAE (He et al. 2021, arXiv:2111.06377); there is no
class token, the
feature of a picture is the mean of its patch tokens.
"""

import torch
from torch import Tensor, nn

from unlabeled.encoders import Maskable
from unlabeled.errors import UserError


def sine_positions(grid: int, width: int) -> Tensor:
    """Fixed position codes (1, grid * grid, width): a quarter each of sine and cosine of the row and of the column."""
    steps = torch.arange(grid, dtype=torch.float32)
    frequencies = 1.0 / 10_000 ** (torch.arange(width // 4, dtype=torch.float32) / (width // 4))
    angles = steps[:, None] * frequencies  # (grid, width / 4)
    line = torch.cat([angles.sin(), angles.cos()], 1)  # (grid, width / 2)
    rows = line[:, None].expand(grid, grid, -1)
    columns = line[None].expand(grid, grid, -1)
    return torch.cat([rows, columns], 2).reshape(1, grid * grid, -1)


def initialise(module: nn.Module) -> None:
    """Xavier-uniform linear layers with zero biases, as MAE does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def check_blocks(width: int, depth: int, heads: int, by: int = 4) -> None:
    """Refuse blocks of attention that there are not, or whose width no codes of places have.

    Args:
        width: of the tokens, which `by` and the heads divide.
        depth: number of blocks.
        heads: of each.
        by: 4 for places in a picture, 2 for places in a row.
    """
    if min(width, heads) < 1 or width % heads or width % by:
        raise UserError(f"{heads} heads do not fit a width of {width}", f"take a width that {by} and the heads divide")
    if depth < 0:
        raise UserError(f"a depth of {depth} blocks was given", "give 0 or more")


def attention(width: int, depth: int, heads: int, by: int = 4) -> list[nn.Module]:
    """So many blocks of attention over tokens (B, T, width); arguments as in `check_blocks`, which looks at them."""
    from timm.models.vision_transformer import Block

    check_blocks(width, depth, heads, by)
    return [Block(width, heads, qkv_bias=True) for _ in range(depth)]


class ViT(Maskable):
    """A vision transformer with global average pooling.

    Args:
        channels: channels C of the pictures.
        size: side of the views in pixels.
        patch_size: side of a patch in pixels; 0 takes the eighth part of the size, rounded to what divides it.
        width: length of the token vectors.
        depth: number of blocks, 0 or more.
        heads: attention heads; divides the width.
        drop_path: stochastic depth, 0 to below 1, rising with the depth.

    Raises:
        UserError: when the patches do not fit the size, or no usual ones do, or the heads do not fit the width.

    >>> ViT(1, 64, width=64, depth=2, heads=2)(torch.zeros(2, 1, 64, 64)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        patch_size: int = 0,
        width: int = 512,
        depth: int = 6,
        heads: int = 8,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        patch = patch_size or max((p for p in range(1, size // 8 + 1) if size % p == 0), default=1)
        if patch < 1 or size % patch:
            raise UserError(
                f"patches of {patch} px do not fit views of {size} px", "take a patch_size that divides the size"
            )
        if not patch_size and patch < size // 8 / 2:
            raise UserError(
                f"nothing near an eighth of {size} px divides them into patches", "take a --size that 8 divides"
            )
        check_blocks(width, depth, heads)
        if not 0 <= drop_path < 1:
            raise UserError(f"a drop_path of {drop_path} was given", "give a share from 0 up to, but not, 1")
        self.patch_size, self.grid = patch, size // patch
        self.places, self.patch_values = self.grid**2, patch**2 * channels
        self.dim = self.token_dim = width
        self.project = nn.Conv2d(channels, width, patch, patch)
        self.positions: Tensor
        self.register_buffer("positions", sine_positions(self.grid, width), persistent=False)
        drops = torch.linspace(0, drop_path, depth).tolist()
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True, drop_path=d) for d in drops)
        self.norm = nn.LayerNorm(width)
        initialise(self)
        nn.init.xavier_uniform_(self.project.weight.view(width, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to mean-pooled features (B, D)."""
        return self.tokens(x).mean(1)

    def tokens(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to patch tokens (B, T, D), row by row."""
        return self._blocks(self._embed(x))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, D) and patch tokens (B, T, D)."""
        tokens = self.tokens(x)
        return tokens.mean(1), tokens

    def visible(self, x: Tensor, keep: Tensor) -> Tensor:
        """Tokens (B, V, D) of the patches whose numbers `keep` (B, V) names; the others are never computed."""
        tokens = self._embed(x)
        return self._blocks(tokens.gather(1, keep[..., None].expand(-1, -1, tokens.shape[-1])))

    def codes(self, width: int) -> Tensor:
        """Fixed codes (1, places, width) of row and column."""
        return sine_positions(self.grid, width)

    def _embed(self, x: Tensor) -> Tensor:
        patches: Tensor = self.project(x)
        return patches.flatten(2).transpose(1, 2) + self.positions

    def _blocks(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed
