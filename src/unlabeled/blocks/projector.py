"""The small network between features and loss that is thrown away after pretraining."""

from torch import nn

from unlabeled.errors import UserError


def projector(
    dim: int, hidden: int, width: int, *, layers: int = 2, bias: bool = True, norm_last: bool = False
) -> nn.Sequential:
    """A multi-layer perceptron with batch norm, as joint-embedding methods use it.

    Args:
        dim: length of the features.
        hidden: width of the hidden layers; 0 takes `dim`.
        width: length of the projected vectors.
        layers: linear layers, 1 or more.
        bias: whether the last layer has one; before a batch norm it would be dead weight.
        norm_last: batch norm without scale and shift after the last layer too.

    Raises:
        UserError: when a width is below 1, or below 0 for the hidden layers.

    >>> [type(layer).__name__ for layer in projector(8, 16, 4)]
    ['Linear', 'BatchNorm1d', 'ReLU', 'Linear']
    """
    if width < 1 or hidden < 0:
        raise UserError(f"a projector of width {width} and hidden width {hidden} was asked for", "give 1 or more")
    hidden = hidden or dim
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts += [nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)]
        dim = hidden
    parts.append(nn.Linear(dim, width, bias=bias and not norm_last))
    if norm_last:
        parts.append(nn.BatchNorm1d(width, affine=False))
    return nn.Sequential(*parts)
