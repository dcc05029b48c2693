"""One number that the logits are divided by makes a classifier's confidence honest (Guo et al. 2017, arXiv:1706.04599).

It never changes which class is most probable. What differs from the paper: where few items are all classified rightly
the best fit would be a temperature of 0 and a confidence of 100 %, which so few cannot vouch for. Half an item more
counts as one that is wrong, in favour of the second most probable class, as such halves do where a share is estimated
(Krichevsky & Trofimov 1981); among hundreds of items it is not felt. The number is bounded, too.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from unlabeled.errors import UserError

COLDEST, HOTTEST = 0.1, 20.0
DOUBT = 0.5  # items that count as wrong beside those that were seen


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least log-loss on held-out items, and on half a one more that is wrong.

    Args:
        logits: (N, C) class scores before the softmax.
        labels: (N,) class numbers 0..C-1.

    Returns:
        A number from 0.1 to 20; above 1 the classifier was too sure of itself.

    Raises:
        UserError: when there is no item, or shapes do not fit.

    >>> logits = np.array([[4.0, 0], [4.0, 0], [4.0, 0], [4.0, 0]])  # 98 % sure, right in 3 of 4
    >>> round(temperature(logits, np.array([0, 0, 0, 1])), 2)
    5.77
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or len(z) != len(y) or not len(y):
        raise UserError(f"logits of shape {z.shape} came with {len(y)} labels", "give (items, classes), one label each")

    second = np.argsort(z, axis=1)[:, -min(2, z.shape[1])]
    items = np.arange(len(y))

    def loss(log_t: float) -> float:
        told = log_softmax(z / np.exp(log_t), axis=1)
        return float(-(told[items, y].sum() + DOUBT * told[items, second].mean()) / (len(y) + DOUBT))

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))
