"""Multiply float32 matrices on the CPU by the library that is fastest at it.

PyTorch hands float32 products to MKL, which takes the slow road on CPUs that are not Intel's: 85 GFLOP/s a core on a
Zen 5, where oneDNN, which comes with PyTorch as well, makes 180.
"""

import torch
from torch import Tensor

_HERE = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if _HERE else None


def product(x: Tensor, y: Tensor, bias: Tensor | None = None) -> Tensor:
    """Products (N, M) of the rows of x (N, K) with the rows of y (M, K), plus bias (M,); without gradient.

    >>> product(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    if _ONEDNN is not None and x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.enabled:
        # rows that do not lie side by side send oneDNN to its reference code, a hundred times slower
        out: Tensor = _ONEDNN(x.contiguous(), y.contiguous(), bias, "none", [], "")
        return out
    return torch.nn.functional.linear(x, y, bias)
