"""What every way of adapting to other domains answers: fine-tuning, with a term that makes domains look alike.

The contract is that of `protocols.finetune.Finetune`, with two additions: items whose class number is -1 have no label
(the target domain), and `items.domains` may say which domain each item is from. Without it the labelled items are one
domain and the others another. Without unlabelled items the labelled domains are made alike among themselves. Nothing
is chosen on the target: learning rates are tried on an inner split of the labelled items.
"""

import numpy as np

from unlabeled.errors import UserError
from unlabeled.protocols.finetune import Finetune, part
from unlabeled.training.loop import Items


class Adaptation(Finetune):
    """Base of all ways to adapt; a subclass gives the term."""

    domains: int

    def labelled(self, items: Items, y: np.ndarray) -> tuple[Items, np.ndarray]:
        """The items with a class number, and these; those of -1 are kept beside them as items of the target.

        Raises:
            UserError: when all items are of one domain.
        """
        known = y >= 0
        domains = np.where(known, 0, 1) if items.domains is None else items.domains
        names, codes = np.unique(domains, return_inverse=True)
        if len(names) < 2:
            raise UserError(
                "all items to adapt between are of one domain", "give items of a target domain, or of several domains"
            )
        self.domains = len(names)
        whole = Items(items.store, items.rows, codes.astype(np.int64), items.groups)
        self.further = part(whole, ~known) if not known.all() else None
        return part(whole, known), y[known]
