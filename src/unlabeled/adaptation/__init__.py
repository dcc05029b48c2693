"""What every way of adapting to other domains answers: fine-tuning, with a term that makes domains look alike.

The contract is that of `protocols.finetune.Finetune`, with two additions: items whose class number is -1 have no label
(the target domain), and `items.domains` may say which domain each item is from. Without it the labelled items are one
domain and the others another. Without unlabelled items the labelled domains are made alike among themselves. Nothing
is chosen on the target: learning rates are tried on an inner split of the labelled items.
"""

from collections.abc import Callable

import numpy as np

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.protocols.finetune import Classifier, Finetune, part
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items


class Adaptation(Finetune):
    """Base of all ways to adapt; a subclass gives the term."""

    domains: int

    def fit(
        self,
        encoder: Encoder,
        items: Items,
        y: np.ndarray,
        modality: Modality,
        device: Device,
        *,
        seed: int = 0,
        fresh: bool = False,
        each: Callable[[int], None] | None = None,
    ) -> Classifier:
        """Learn from labelled items and adapt to those without a label; the given encoder is copied, never changed.

        Args:
            encoder: start of the training.
            items: labelled items, and items of the target domain, N of them together.
            y: (N,) class numbers from 0; -1 for items of the target domain, whose labels nobody sees.
            modality: gives the views.
            device: from `open_device`.
            seed: of head, order and views.
            fresh: the encoder's weights are random.
            each: called with 1 after each step.

        Raises:
            UserError: when all items are of one domain.
        """
        labelled = y >= 0
        known = np.where(labelled, 0, 1) if items.domains is None else items.domains
        names, codes = np.unique(known, return_inverse=True)
        if len(names) < 2:
            raise UserError(
                "all items to adapt between are of one domain", "give items of a target domain, or of several domains"
            )
        self.domains = len(names)
        whole = Items(items.store, items.rows, codes.astype(np.int64))
        self.further = part(whole, ~labelled) if not labelled.all() else None
        mine = part(whole, labelled)
        return super().fit(encoder, mine, y[labelled], modality, device, seed=seed, fresh=fresh, each=each)
