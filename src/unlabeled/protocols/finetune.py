"""Train a head on the frozen encoder first, then the whole net, from a few labelled items.

Head first keeps the encoder from being torn by a random head (LP-FT, Kumar et al. 2022, arXiv:2202.10054); the
encoder then learns at a lower rate than the head. Items are read at the size at which the net has seen them: maps of
another size hold another share of borders, and what batch norms learnt of them no longer fits (Touvron et al. 2019,
arXiv:1906.06423). An encoder that has learnt on small random views knows the plain one too, which shows more: it is
fine-tuned on views as large as that, in as many fewer steps, where these are passes enough. From random weights many
small steps teach more.
From random weights the same protocol is the supervised arm, whose encoder learns at the full rate. Learning rate is
tuned on an inner split of the *labelled* items alone, the same number of trials for every arm; then all labels are
used.
"""

import copy
import hashlib
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.data.splits import inner_folds
from unlabeled.encoders import Encoder, Maskable
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Training, check
from unlabeled.stop import held
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.halfway import Halfway
from unlabeled.training.loop import Items, embed, order

LARGEST = 256  # side of large views, at most: four times the pixels are four times the memory
PASSES = 10  # over the labels, that large views make at least
GRID, FRESH = (0.3, 1.0, 0.1, 3.0, 0.03), (1.0, 0.3, 3.0, 0.1, 10.0)  # rates to try, the likeliest first
SAMPLE = 16  # items by which a fit knows its data again


@dataclass(frozen=True)
class Classifier:
    """An encoder with its head.

    Args:
        encoder: features (B, D).
        head: features to class scores (B, classes), through a batch norm without scale and shift.
        rate: share of the head's learning rate that the encoder learnt at.
        even: whether items are to be read at the size of random views, by `Modality.even`.
    """

    encoder: Encoder
    head: nn.Sequential
    rate: float
    even: bool

    def predict(self, items: Items, modality: Modality, device: Device) -> np.ndarray:
        """Class probabilities (N, classes) float32 of the items, from their plain view."""
        looks = modality.even() if self.even else modality
        features = embed(self.encoder, looks, items.store, items.rows, device)
        with torch.no_grad():
            return np.asarray(self.head(features.to(device.device)).softmax(1).cpu().numpy(), np.float32)


@dataclass(frozen=True)
class Start:
    """What all trainings of a fit begin from and share."""

    encoder: Encoder
    classes: int
    modality: Modality
    device: Device
    seed: int
    fresh: bool
    halfway: Halfway
    growth: float = 1.0


class Term(nn.Module):
    """A further term of the loss, with parameters of its own where it has any; what `Finetune.term` may give."""

    @abstractmethod
    def forward(self, features: Tensor, domains: Tensor, progress: float) -> Tensor:
        """A scalar from features (M, D) and domain numbers (M,) of a step's items, and the share of steps made."""


class Finetune:
    """Fine-tune an encoder on labelled items.

    Args:
        epochs: passes over the labels; 0 takes the steps.
        steps: optimizer steps; 0 takes about 40 passes over the labels, within 200 to 1,000 steps. Large views are seen
            in as many fewer steps or passes as they are larger, which costs the same.
        batch_size: labelled items a step, 1 or more.
        lr: peak learning rate of the head.
        encoder_lr: share of that rate for the encoder, 0 or more; 0 keeps it frozen; below 0 tunes it.
        trials: learning rates, 1 to 5, that are tried on an inner split before the final fit; 1 tries none.
        views: `strong` or `mild` ones to train on: where the encoder has learnt, the plain view has no more than 256 px
            and ten passes over the labels are left, as large as that, else as small as those of a pretraining;
            `small` mild ones as small in any case; `plain` items as they are.
        smoothing: label smoothing, 0 to 1.
        weight_decay: of matrices.
        layer_decay: share of the rate of the part after it that each part of the encoder learns at, above 0, to 1.
        keep: share of its patches that an item shows in a step, above 0, to 1 (PatchDropout, Liu et al. 2022,
            arXiv:2208.07220): the step costs as much less. Encoders that cannot look at some alone see all.
        crop: smallest share of an item that a view shows, above 0, to 1; 0 takes the run's own. Test items are seen
            whole, and things look larger in small crops (Touvron et al. 2019, arXiv:1906.06423).

    Raises:
        UserError: when one of these is outside its range.
    """

    needs: ClassVar[str] = "encoder"

    def __init__(
        self,
        *,
        epochs: float = 0.0,
        steps: int = 0,
        batch_size: int = 64,
        lr: float = 1e-3,
        encoder_lr: float = -1.0,
        trials: int = 3,
        views: Literal["strong", "mild", "small", "plain"] = "mild",
        smoothing: float = 0.1,
        weight_decay: float = 0.05,
        layer_decay: float = 1.0,
        keep: float = 1.0,
        crop: float = 0.0,
    ) -> None:
        for name, share in (("layer_decay", layer_decay), ("keep", keep), ("crop", crop or 1.0)):
            if not 0 < share <= 1:
                raise UserError(f"{name}={share:g} was given", "give a share above 0, up to 1")
        if not 0 < lr < math.inf:
            raise UserError(f"lr is {lr:g}", "give a number above 0")
        self.steps, self.batch_size, self.lr, self.encoder_lr = steps, batch_size, lr, encoder_lr
        self.epochs = epochs
        self.trials, self.views, self.smoothing, self.weight_decay = trials, views, smoothing, weight_decay
        self.layer_decay, self.keep, self.crop = layer_decay, keep, crop
        least = {"epochs": 0, "steps": 0, "batch_size": 1, "weight_decay": 0}
        most: dict[str, tuple[float, float]] = {"smoothing": (0, 1), "trials": (1, len(GRID))}
        check(self, most | {name: (low, math.inf) for name, low in least.items()})
        self.further: Items | None = None

    def term(self, width: int, items: Items) -> Term | None:
        """What is added to the loss of a training on these items with features of this width: here nothing.

        A subclass that gives something sees the features of the labelled items and of `self.further`, as many of them
        a step; both have their domains.
        """
        return None

    def labelled(self, items: Items, y: np.ndarray) -> tuple[Items, np.ndarray]:
        """The items that classes are learnt from, and their class numbers: here all."""
        return items, y

    def looks(self, modality: Modality, labels: int, fresh: bool) -> Modality:
        """How items are looked at by what was learnt from so many, as `fit` says it: as large as it has seen them."""
        if self.views == "plain":
            return modality
        return modality.whole() if self._growth(modality, labels, fresh) > 1 else modality.even()

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
        halfway: Halfway | None = None,
    ) -> Classifier:
        """Learn from labelled items; the given encoder is copied, never changed.

        Args:
            encoder: start of the fine-tuning.
            items: the labelled items, N of them.
            y: (N,) class numbers from 0.
            modality: gives the views.
            device: from `open_device`.
            seed: of head, order and views.
            fresh: the encoder's weights are random: no head-first phase, full learning rate.
            halfway: where the fit is kept while it runs, and who is told of its steps; one that was stopped goes on
                from there to the same result. The caller ends it when the result stands.
        """
        items, y = self.labelled(items, y)
        growth = self._growth(modality, len(y), fresh)
        modality = self.looks(modality.keeping(self.crop) if self.crop else modality, len(y), fresh)
        halfway = halfway or Halfway()
        start = Start(encoder, int(y.max()) + 1, modality, device, seed, fresh, halfway, growth)
        if halfway.path is not None:
            halfway.begin(self._code(start, items, y))
        rates = self._rates(fresh)
        folds = inner_folds(y, items.groups, 4, seed) if len(rates) > 1 else []
        if not folds:
            return self._train(start, items, y, rates[0], 0)
        train, held = folds[0]
        losses = [self._tried(start, items, y, train, held, rate, trial) for trial, rate in enumerate(rates)]
        best = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))  # a training that diverged has no loss
        return self._train(start, items, y, rates[best], len(rates))

    def _tried(
        self,
        start: Start,
        items: Items,
        y: np.ndarray,
        train: np.ndarray,
        held: np.ndarray,
        rate: tuple[float, float],
        trial: int,
    ) -> float:
        """Log-loss on the held items after a training on the others; one that was measured before is not made again."""
        known = start.halfway.loss(trial, self._steps(len(train), start.growth))
        if known is not None:
            return known
        model = self._train(start, part(items, train), y[train], rate, trial)
        probability = model.predict(Items(items.store, items.rows[held]), start.modality, start.device)
        loss = float(-np.log(probability[np.arange(len(held)), y[held]] + 1e-6).mean())
        start.halfway.ended(loss)
        return loss

    def _code(self, start: Start, items: Items, y: np.ndarray) -> str:
        """A short code of all that the result hangs on."""
        own = {k: v for k, v in sorted(vars(self).items()) if isinstance(v, (str, int, float))}
        seen = start.modality
        looks = (seen.size, getattr(seen, "plain_size", 0), seen.crop, seen.augmentation)
        facts = (type(self).__name__, own, looks, start.seed, start.fresh, self._rates(start.fresh))
        code = hashlib.blake2b(repr(facts).encode(), digest_size=8)
        arrays = [items.rows, y] + ([] if items.domains is None else [items.domains])
        arrays += [] if items.groups is None else [items.groups]
        arrays += [] if self.further is None else [self.further.rows]
        arrays.append(items.store.batch(items.rows[:SAMPLE]).numpy())
        arrays += [v.detach().cpu().float().numpy() for v in start.encoder.state_dict().values()]
        for array in arrays:
            code.update(np.ascontiguousarray(array).tobytes())
        return code.hexdigest()

    def length(self, labels: int, modality: Modality, fresh: bool = False) -> int:
        """Steps that a fit with so many labels of a modality makes over all trials."""
        once = self._steps(labels, self._growth(modality, labels, fresh))
        return once * (1 + (len(self._rates(fresh)) if len(self._rates(fresh)) > 1 else 0))

    def _growth(self, modality: Modality, labels: int, fresh: bool) -> float:
        """How many times as large as usual random views those are that are learnt from."""
        growth, side = modality.growth(), getattr(modality, "plain_size", 0)
        if fresh or self.views not in ("strong", "mild") or growth <= 1 or side > LARGEST:
            return 1.0
        seen = self._steps(labels, growth) * min(self.batch_size, labels)
        return growth if seen >= PASSES * labels else 1.0

    def _steps(self, labels: int, growth: float) -> int:
        once = self.steps or float(np.clip(40 * labels / self.batch_size, 200, 1000))
        if self.epochs:
            once = self.epochs * max(1, labels // self.batch_size)
        return max(1, round(once / growth))

    def _rates(self, fresh: bool) -> list[tuple[float, float]]:
        """Pairs of head and encoder learning rates to try, the middle of the grid first."""
        if self.encoder_lr >= 0:
            return [(self.lr * (max(self.encoder_lr, 0.3) if fresh else 1.0), self.lr * self.encoder_lr)]
        grid = FRESH if fresh else GRID
        return [(self.lr * (max(g, 0.3) if fresh else 1.0), self.lr * g) for g in grid[: self.trials]]

    def _train(self, start: Start, items: Items, y: np.ndarray, rate: tuple[float, float], trial: int) -> Classifier:
        modality, device, seed = start.modality, start.device, start.seed
        torch.manual_seed(seed)
        net = copy.deepcopy(start.encoder).to(device.device)
        scores_of = nn.Linear(net.dim, start.classes)
        norm = nn.BatchNorm1d(net.dim, eps=1e-8, affine=False)  # as the encoder moves, features stay of one size
        nn.init.zeros_(scores_of.bias)
        if start.fresh:
            nn.init.trunc_normal_(scores_of.weight, std=0.02)
        else:
            start_from_probe(
                norm, scores_of, embed(net, modality, items.store, items.rows, device), y, seed, items.groups
            )
        head = nn.Sequential(norm, scores_of).to(device.device)
        settings = Training(batch_size=self.batch_size, optimizer="adamw")
        term = self.term(net.dim, items)
        parts = optim.groups(head, self.weight_decay, rate[0])
        parts += optim.by_depth(net, self.weight_decay, rate[1], self.layer_decay)
        if term is not None:
            parts += optim.groups(device.place(term), self.weight_decay, rate[0])
        optimizer = optim.build(parts, settings, 1.0)
        targets = torch.from_numpy(y).to(device.device)
        net.train(rate[1] > 0)  # a frozen encoder's batch norms stay at rest too
        head.train(self.batch_size > 1 and len(items) > 1)  # one item has no spread
        steps = self._steps(len(items), start.growth)
        whole = nn.ModuleList(m for m in (net, head, term) if m is not None)
        made = start.halfway.resume(trial, whole, optimizer, steps)
        with held() as asked:
            for step in range(made, steps):
                torch.manual_seed(int(np.random.SeedSequence([seed, 11, step]).generate_state(1)[0]))
                optim.set_lr(optimizer, optim.factor(step, steps, 0.1, "cosine"))
                mine = order(len(items), self.batch_size, seed, step)
                rows, domains = self._seen(items, mine, seed, step)
                looks = modality.at(seed, step)
                x = self._look(looks, items.store.batch(rows).to(device.device))
                with device.autocast():
                    features = self._features(net, x, looks)
                    scores: Tensor = head(features[: len(mine)])
                loss = nn.functional.cross_entropy(scores.float(), targets[mine], label_smoothing=self.smoothing)
                if term is not None:
                    loss = loss + term(features.float(), domains.to(device.device), step / steps)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                leaves = asked()
                start.halfway.keep(trial, step + 1, whole, optimizer, last=step + 1 == steps, leaves=leaves)
                if leaves:
                    break
        return Classifier(net.eval(), head.eval(), rate[1] / self.lr, self.views != "plain" and start.growth == 1)

    def _seen(self, items: Items, mine: np.ndarray, seed: int, step: int) -> tuple[np.ndarray, Tensor]:
        """Rows of a step's items, the labelled ones first, and their domains (-1 where unknown)."""
        both = [part(items, mine)]
        if self.further is not None:
            both.append(part(self.further, order(len(self.further), len(mine), seed + 1, step)))
        domains = [np.full(len(i), -1) if i.domains is None else i.domains for i in both]
        return np.concatenate([i.rows for i in both]), torch.from_numpy(np.concatenate(domains))

    def _features(self, net: Encoder, x: Tensor, looks: Modality) -> Tensor:
        if self.keep == 1 or not isinstance(net, Maskable):
            features: Tensor = net(x)
            return features
        order = looks.keep(len(x), net.places, 1 - self.keep, x.device)
        return net.glimpse(x, order[:, : max(1, round(self.keep * net.places))])

    def _look(self, modality: Modality, raw: Tensor) -> Tensor:
        if self.views == "plain":
            return modality.plain(raw)
        return modality.augment(raw, "strong" if self.views == "strong" else "mild")


def part(items: Items, which: np.ndarray) -> Items:
    """Some of the items, by their places, with their domains and groups."""
    domains, groups = (None if v is None else v[which] for v in (items.domains, items.groups))
    return Items(items.store, items.rows[which], domains, groups)


def start_from_probe(
    norm: nn.BatchNorm1d,
    head: nn.Linear,
    features: Tensor,
    y: np.ndarray,
    seed: int,
    groups: np.ndarray | None = None,
) -> None:
    """The head-first phase at its exact optimum: the linear probe's own weights on its own standardised features."""
    probe = Linear().fit(features.numpy(), y, groups=groups, seed=seed)
    seen = torch.from_numpy(np.unique(y))
    weight, bias, mean, scale = (
        torch.from_numpy(np.asarray(v, np.float32)) for v in (probe.weights, probe.bias, probe.mean, probe.scale)
    )
    with torch.no_grad():
        norm.running_mean, norm.running_var = mean, scale.square()
        head.bias.fill_(float(bias.min()) - 10.0)  # a class that no label shows is never the answer
        head.weight.zero_()
        head.weight[seen], head.bias[seen] = weight, bias
