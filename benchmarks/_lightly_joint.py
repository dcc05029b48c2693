"""Joint-embedding methods put together from lightly's modules, losses and transforms, with the sizes of its examples.

SwAV and DINO get their two large views only, as ours do.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor, nn


class Net(nn.Module):
    """Backbone and head, and slow copies of both."""

    def __init__(self, make: Callable[[], nn.Module], predictor: nn.Module | None = None) -> None:
        super().__init__()
        resnet = torchvision.models.resnet18()
        self.backbone = nn.Sequential(*list(resnet.children())[:-1])
        self.head, self.predictor = make(), predictor
        self.slow = nn.ModuleList([copy.deepcopy(self.backbone), make()]).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.backbone(x).flatten(1))
        return out

    def teach(self, x: Tensor) -> Tensor:
        out: Tensor = self.slow[1](self.slow[0](x).flatten(1)).detach()
        return out

    def follow(self) -> None:
        from lightly.models.utils import update_momentum

        update_momentum(self.backbone, self.slow[0], m=0.996)
        update_momentum(self.head, self.slow[1], m=0.996)


def build(method: str, size: int) -> tuple[Net, Any, Callable[[list[Tensor]], Tensor]]:
    """The net, the transform that makes the views, and the loss of a list of views."""
    from lightly import loss as losses
    from lightly import transforms
    from lightly.models.modules import heads

    if method == "moco":
        net = Net(lambda: heads.MoCoProjectionHead(512, 512, 128))
        criterion = losses.NTXentLoss(memory_bank_size=(4096, 128))

        def moco(views: list[Tensor]) -> Tensor:
            net.follow()
            query = net(views[0])
            out: Tensor = criterion(query, net.teach(views[1]))
            return out

        return net, transforms.MoCoV2Transform(input_size=size), moco
    if method in ("byol", "simsiam"):
        cosine = losses.NegativeCosineSimilarity()
        if method == "byol":
            predictor = heads.BYOLPredictionHead(256, 1024, 256)
            net = Net(lambda: heads.BYOLProjectionHead(512, 1024, 256), predictor)
            one, two = transforms.BYOLView1Transform, transforms.BYOLView2Transform
            how: Any = transforms.BYOLTransform(one(input_size=size), two(input_size=size))
        else:
            predictor = heads.SimSiamPredictionHead(512, 128, 512)
            net = Net(lambda: heads.SimSiamProjectionHead(512, 512, 512), predictor)
            how = transforms.SimSiamTransform(input_size=size)

        def predict(views: list[Tensor]) -> Tensor:
            if method == "byol":
                net.follow()
                targets = [net.teach(v) for v in views]
                said = [predictor(net(v)) for v in views]
            else:
                targets = [net(v) for v in views]
                said = [predictor(z) for z in targets]
            out: Tensor = 0.5 * (cosine(said[0], targets[1].detach()) + cosine(said[1], targets[0].detach()))
            return out

        return net, how, predict
    if method == "vicreg":
        net = Net(lambda: heads.VICRegProjectionHead(512, 1024, 1024, num_layers=3))
        vicreg = losses.VICRegLoss()
        return net, transforms.VICRegTransform(input_size=size), lambda views: vicreg(net(views[0]), net(views[1]))
    if method == "swav":
        prototypes = heads.SwaVPrototypes(128, n_prototypes=60)
        net = Net(lambda: heads.SwaVProjectionHead(512, 512, 128), prototypes)
        swav = losses.SwaVLoss()

        def swapped(views: list[Tensor]) -> Tensor:
            prototypes.normalize()
            scores = [prototypes(nn.functional.normalize(net(v), dim=1)) for v in views]
            out: Tensor = swav(scores, [])
            return out

        crops: dict[str, Any] = {  # of one size; lightly's hints know two sizes alone, its code any number
            "crop_sizes": (size,), "crop_counts": (2,), "crop_min_scales": (0.14,), "crop_max_scales": (1,),
        }  # fmt: skip
        how = transforms.SwaVTransform(**crops)
        return net, how, swapped
    net = Net(lambda: heads.DINOProjectionHead(512, 512, 128, 1024, freeze_last_layer=-1))
    dino = losses.DINOLoss(output_dim=1024)

    def distil(views: list[Tensor]) -> Tensor:
        net.follow()
        out: Tensor = dino([net.teach(v) for v in views], [net(v) for v in views], epoch=0)
        return out

    return net, transforms.DINOTransform(global_crop_size=size, n_local_views=0), distil


def optimizer(method: str, net: nn.Module) -> torch.optim.Optimizer:
    """As lightly's examples have it."""
    trained = [p for p in net.parameters() if p.requires_grad]
    if method in ("swav", "dino"):
        return torch.optim.Adam(trained, lr=1e-3)
    return torch.optim.SGD(trained, lr=0.06)
