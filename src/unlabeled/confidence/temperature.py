"""One number that the logits are divided by makes a classifier's confidence honest (Guo et al. 2017, arXiv:1706.04599).

It never changes which class is most probable. What differs from the paper: the number is bounded, since on items that
are all classified rightly the best fit would be a temperature of 0.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from unlabeled.errors import UserError

COLDEST, HOTTEST = 0.1, 20.0


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least log-loss on held-out items.

    Args:
        logits: (N, C) class scores before the softmax.
        labels: (N,) class numbers 0..C-1.

    Returns:
        A number from 0.1 to 20; above 1 the classifier was too sure of itself.

    Raises:
        UserError: when there is no item, or shapes do not fit.

    >>> logits = np.array([[4.0, 0], [4.0, 0], [4.0, 0], [4.0, 0]])  # 98 % sure, right in 3 of 4
    >>> round(temperature(logits, np.array([0, 0, 0, 1])), 2)
    3.64
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or len(z) != len(y) or not len(y):
        raise UserError(f"logits of shape {z.shape} came with {len(y)} labels", "give (items, classes), one label each")

    def loss(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t), axis=1)[np.arange(len(y)), y].mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
