"""Weigh the features of the last map by how much the score rises with each, and see where they lie.

Selvaraju et al. (2016, arXiv:1610.02391). What differs: any score instead of a class, any encoder with a vector a place
instead of a convolutional one (a transformer's patch tokens are such a map), and the sign is kept: the paper's ReLU is
left to who draws the map. Where the last map has no say because a class
token is read, the last one that has is taken.
"""

from torch import Tensor

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain import Score, _layers, _places


class GradCam:
    """Grad-CAM: the last map's features, weighed by the score's mean gradient in each (Selvaraju et al. 2016).

    One pass forth and back; as coarse as the last map: 4 x 4 places of 128 pixels through a ResNet.

    References:
        arXiv:1610.02391
    """

    def explain(self, score: Score, encoder: Encoder, views: Tensor) -> Tensor:
        """How much each place of views (B, C, ...) speaks for its item's score: (B, ...)."""
        if not views.is_floating_point():
            raise UserError("grad_cam looks at maps of pictures, sounds and series", "take occlusion")
        features, slopes = _layers.activations(_layers.last(encoder, views), score, views)  # (B, T, D)
        weights = slopes.mean(1, keepdim=True)  # (B, 1, D)
        return _places.spread((weights * features).sum(2), tuple(views.shape[2:]))
