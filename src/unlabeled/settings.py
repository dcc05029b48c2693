"""Groups of settings that several verbs share; every field is a flag, a line of a config file and a documented default.

Nothing heavy is imported here: `unlabeled --help` reads this file.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from unlabeled import values
from unlabeled.errors import UserError


def option(default: Any, text: str) -> Any:
    """A dataclass field that carries its own help text."""
    return field(default=default, metadata={"help": text})


def check(group: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse fields of a group of settings that are outside their range; those that are None were left open.

    Args:
        group: of settings.
        ranges: smallest and largest number of each field that is looked at.

    Raises:
        UserError: for the first field outside its range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(group, name)
        if value is not None and not (low <= value <= high and math.isfinite(value)):
            wanted = f"{low:g} or more" if math.isinf(high) else f"a number from {low:g} to {high:g}"
            raise UserError(f"{name} is {value:g}", f"give {wanted}")


def settle(group: Any) -> None:
    """Read each field of a group of settings as a flag is read: a word that nothing goes by would train something else
    than was asked for. What is not finite is left to the ranges.

    Raises:
        UserError: for the first field whose value does not fit.

    >>> Training(optimizer="adamx")
    Traceback (most recent call last):
    ...
    unlabeled.errors.UserError: optimizer got "adamx"; did you mean "adam".
    """
    for one in fields(group):
        value = getattr(group, one.name)
        value = value.item() if hasattr(value, "item") else value  # numpy's numbers
        if not isinstance(value, float) or math.isfinite(value):
            kind = one.type if isinstance(one.type, str) else inspect.formatannotation(one.type)
            object.__setattr__(group, one.name, values.read(kind, value, one.name))


def within(of: str, given: Mapping[str, float], low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Refuse settings of a thing that are outside their range.

    Args:
        of: name of the thing.
        given: its settings that share a range.
        low: smallest number.
        high: largest number.
        above: whether the smallest is itself too small.

    Raises:
        UserError: for the first that is outside.

    >>> within("vae", {"latent": 128}, 1)
    """
    for name, value in given.items():
        if not low <= value <= high or (above and value == low):
            least = f"above {low:g}" if above else f"of {low:g} or more"
            wanted = least if math.isinf(high) else f"{least if above else f'from {low:g}'} to {high:g}"
            raise UserError(f"{of} with {name}={value}", f"give a number {wanted}")


@dataclass(frozen=True)
class Budget:
    """How long to learn: give one of the three. All arms of a comparison get the same."""

    epochs: float | None = option(None, "passes over the training items")
    steps: int | None = option(None, "optimizer steps")
    minutes: float | None = option(None, "minutes on this machine; turned into steps after a short timing")

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True)
class Training:
    """How the one loop runs; the defaults suit a laptop and a single GPU."""

    batch_size: int = option(64, "items in one optimizer step, over all devices, as many on each")
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = option("adamw", "kind of optimizer")
    lr: float | None = option(None, "peak learning rate; the method's own recommendation when not given")
    weight_decay: float | None = option(None, "weight decay of matrices; never of biases and norms")
    warmup: float = option(0.05, "share of the steps in which the learning rate rises")
    schedule: Literal["cosine", "constant"] = option("cosine", "what the learning rate does after the warm-up")
    accumulate: int = option(
        1, "micro-batches that make one optimizer step; negatives and batch norm are those of a micro-batch"
    )
    precision: Literal["auto", "fp32", "bf16"] = option("auto", "bf16 where the machine multiplies it faster")
    device: str = option("auto", "auto, cpu, cuda or cuda:N")
    threads: int = option(0, "CPU threads; 0 takes the cores that other processes leave free")

    def __post_init__(self) -> None:
        settle(self)
        least = {"batch_size": 1, "lr": 0, "weight_decay": 0, "accumulate": 1, "threads": 0}
        check(self, {name: (low, math.inf) for name, low in least.items()} | {"warmup": (0, 1)})


@dataclass(frozen=True)
class Augmentation:
    """Random views of one item; what is not given follows the data, never the labels (grey pictures get no hue)."""

    crop: float | None = option(
        None, "smallest share of a picture's area (0.2 when not given) or of a window's time (0.6) that a crop keeps"
    )
    ratio: float = option(4 / 3, "pictures: largest stretch of a random crop's sides, 1 keeps the shape")
    horizontal_flip: float | None = option(
        None, "probability of a left-right mirror image; 0.5 when not given, 0 where such pictures look foreign"
    )
    vertical_flip: float | None = option(
        None, "probability of an upside-down mirror image; 0 when not given, 0.5 where it looks as much at home"
    )
    rotation: float = option(0.0, "pictures: largest random turn, in degrees")
    jitter: float | None = option(
        None, "strength of random brightness, contrast and colour (0.5), or of gain and offset of series (0.2), 0 to 1"
    )
    blur: float = option(0.5, "pictures: probability of a Gaussian blur (off below 48 px)")
    noise: float | None = option(
        None,
        "standard deviation of Gaussian noise: of the full range for pictures (0), of the data's own for series (0.1)",
    )
    cutout: float | None = option(
        None, "largest share of a picture (0) or of a window's time (0.2) that is hidden, 0 to 1"
    )
    warp: float = option(0.2, "series and sounds: how far time is stretched here and pressed there, 0 to 1")
    pitch: float | None = option(
        None, "sounds: octaves by which voices are made higher or lower at most, 0.2 when not given"
    )
    permute: int = option(0, "series: largest number of pieces that change places; 0 or 1 keeps the order")
    drop: float = option(0.1, "series: probability that a variable is hidden, 0 to 1")
    interventions: tuple[str, ...] = option(
        (), "kinds of style that c2ssl changes, such as gain,contrast,hue; all but hue when not given"
    )

    def known(self, usual: Mapping[str, float]) -> dict[str, float]:
        """The settings that `usual` names, as they were given, or as it has them where they were left open."""
        return {k: v if getattr(self, k) is None else float(getattr(self, k)) for k, v in usual.items()}

    def __post_init__(self) -> None:
        settle(self)
        shares = ("crop", "horizontal_flip", "vertical_flip", "jitter", "blur", "cutout", "warp", "drop")
        least = {"ratio": 1, "rotation": 0, "noise": 0, "pitch": 0, "permute": 0}
        check(self, dict.fromkeys(shares, (0, 1)) | {name: (low, math.inf) for name, low in least.items()})


@dataclass(frozen=True)
class Setup:
    """What is learnt from, what learns, and where the results go."""

    encoder: str | None = option(None, "encoder, such as resnet18 or vit(width=256); the method's own when not given")
    size: int = option(0, "side of the views in pixels, or time steps of a window; 0 takes what suits the data")
    step: float = option(0.0, "series: time between two steps; 0 takes what the files suggest")
    stride: int = option(
        0, "series: steps from one window to the next; 0 takes half a window, a quarter to look for faults"
    )
    tokenizer: str | None = option(
        None, "texts: uncased (when not given), cased, cased(vocabulary=4000), or a local Hugging Face folder"
    )
    start: str | None = option(
        None, "folder of a finished run, or a local Hugging Face folder, whose encoder is where learning begins"
    )
    seed: int = option(0, "of weights, order, views, and of the test split where the data bring none")
    unlabeled: str | None = option(None, "another folder of items without labels, to learn from as well")
    out: str | None = option(None, "folder for the results; named after data and method when not given")

    def __post_init__(self) -> None:
        settle(self)
        check(self, dict.fromkeys(("size", "step", "stride"), (0, math.inf)) | {"seed": (0, 2**63 - 1)})


@dataclass(frozen=True)
class Handover:
    """What a bundle promises, and what it may hold."""

    coverage: float = option(0.9, "promised share of label sets that hold the true label, 0 to 1")
    sets_by: Literal["all", "class", "domain"] = option(
        "all", "promise kept over all items, in each class, or in each domain (site, device) on its own"
    )
    detector: str = option("mahalanobis", "detector of strangers: energy, knn, mahalanobis, msp, vim")
    detector_sees: Literal["texture", "levels", "features"] = option(
        "texture",
        "the encoder's early maps in the axes of known items and the spectrum, the maps as they are, or the features",
    )
    keep: float = option(0.95, "share of known items that the detector of strangers lets pass, 0 to 1")
    calibrate: float = option(0.25, "share of the labels kept back for calibration, never learnt from, 0 to 1")
    groups_from: Literal["data", "order", "auto"] = option(
        "data",
        "what is kept back together: groups that the data name, blocks of files in the order of their names, or (auto) "
        "blocks where no group is named and neighbours are alike",
    )
    members: int = option(
        1, "models of an ensemble, by seed: the runs that are given, a study's seeds, or fine-tunings of one run"
    )
    thumbnails: bool = option(False, "keep small pictures of training items in the bundle, to show neighbours")
    licence: str = option("not stated", "licence of model and data, for the card")
    onnx: bool = option(True, "write model.onnx into the bundle too, checked against torch on these items")

    def __post_init__(self) -> None:
        settle(self)
        if not 0 < self.keep < 1:
            raise UserError(f"keep is {self.keep:g}", "give a share between 0 and 1, such as 0.95")


@dataclass(frozen=True)
class Serving:
    """What a server takes before it says no."""

    max_bytes: int = option(20_000_000, "most bytes of one request")
    max_pixels: int = option(50_000_000, "most pixels of one picture")
    timeout: float = option(20.0, "seconds for a request to arrive, and again to be answered")
    queue: int = option(256, "items that may wait; further requests are told 429")
    connections: int = option(512, "connections at once; further ones are told 503")
    batch: int = option(16, "most items computed together")
    key: str = option("", "requests must bring it in the header X-API-Key")

    def __post_init__(self) -> None:
        settle(self)
        whole = ("max_bytes", "max_pixels", "queue", "connections", "batch")
        check(self, dict.fromkeys(whole, (1, math.inf)) | {"timeout": (0.001, math.inf)})
