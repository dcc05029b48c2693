"""Group the items by their features, then learn to tell the groups apart, in turns (Caron et al. 2018,
arXiv:1807.05520).

k-means runs on whitened unit features before each pass, as in the paper; scikit-learn's gives an emptied cluster the
item that fits worst. The classifier then starts at the clusters' own directions: one that starts at random, as in the
paper, needs more steps than a pass over a small data set has.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.blocks.prototypes import Prototypes, usual_count
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Facts, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.entropy import in_use
from unlabeled.objectives.gather import agree
from unlabeled.settings import within

WHITENED = 64  # principal directions that are kept


class DeepCluster(Method):
    """Cluster all items before each pass and learn to predict each one's cluster (Caron et al. 2018, arXiv:1807.05520).

    Args:
        encoder: gives features (B, D).
        clusters: how many, 2 or more; 0 follows the number of items.
        temperature: of the softmax over clusters, above 0.

    Raises:
        UserError: when a setting is out of its range.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio", "text")
    family: ClassVar[str] = "clustering"
    wants: ClassVar[str] = "some thousand items or fewer, or patience for the clustering"
    when: ClassVar[str] = "when the data fall into kinds and the groups themselves are of interest"
    cost: ClassVar[float] = 0.8

    def __init__(self, encoder: Encoder, *, clusters: int = 0, temperature: float = 0.1) -> None:
        super().__init__()
        within("deepcluster", {"clusters": clusters or 2}, 2)
        within("deepcluster", {"temperature": temperature}, 0, above=True)
        self.encoder, self.clusters, self.temperature = encoder, clusters, temperature
        self.head = Prototypes(encoder.dim, clusters or usual_count(0))
        self.cluster: Tensor
        self.register_buffer("cluster", torch.zeros(1, dtype=torch.int64))

    def fit_to(self, facts: Facts) -> None:
        """One cluster number an item, and as many clusters as suit so many."""
        count = min(self.clusters or usual_count(facts.items), max(1, facts.items))
        self.head = Prototypes(self.encoder.dim, count)
        self.cluster = torch.zeros(max(1, facts.items), dtype=torch.int64)

    def before_epoch(self, embed: Callable[[], Tensor]) -> None:
        """Cluster the features of all items and let the classifier start at the clusters' directions."""
        from sklearn.cluster import KMeans
        from sklearn.decomposition import PCA

        features = functional.normalize(embed().float(), dim=1)
        kept = min(WHITENED, len(features), features.shape[1] // 2)  # the weaker half would be whitened noise
        white = features.numpy()
        if kept > 1:
            white = PCA(kept, whiten=True, random_state=0).fit_transform(white)
        white = functional.normalize(torch.from_numpy(white), dim=1).numpy()
        chance = int(torch.randint(2**31 - 1, ()))
        count = min(len(self.head.weight), len(white))
        found = torch.from_numpy(KMeans(count, n_init=1, max_iter=50, random_state=chance).fit_predict(white)).long()
        self.cluster[: len(found)] = found.to(self.cluster.device)
        centres = torch.zeros(len(self.head.weight), features.shape[1]).index_add(0, found, features - features.mean(0))
        with torch.no_grad():
            self.head.weight[:count] = functional.normalize(centres[:count], dim=1).to(self.head.weight)
            for told in (self.cluster, self.head.weight):  # each process's batch norms, so its features, are its own
                agree(told)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """A strong view (B, C, H, W) of each item, and its cluster (B,)."""
        return modality.augment(batch.x), self.cluster[batch.index]

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of the items' clusters, all clusters counting alike, a scalar."""
        x, target = views
        sizes = torch.bincount(self.cluster, minlength=len(self.head.weight)).clamp(min=1)
        return functional.cross_entropy(self.head(self.encoder(x)) / self.temperature, target, 1 / sizes.float())

    def watch(self, views: Any) -> tuple[dict[str, float], str]:
        """How many clusters are in use, weighing each by its size."""
        used, count = in_use(torch.bincount(self.cluster)), len(self.head.weight)
        ill = "" if used > 0.2 * count else f"{used:.0f} of {count} clusters hold most items; take fewer clusters"
        return {"clusters in use": used}, ill
