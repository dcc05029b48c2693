"""Settings outside the range that help tells of are refused before anything is trained, in one line that names them."""

import pytest

from unlabeled import UserError, catalog
from unlabeled.encoders import _build
from unlabeled.settings import within

METHODS = {
    "autoencoder": ["latent=0", "noise=-0.5", "decoder_width=0"],
    "byol": ["momentum=-1", "momentum=2"],
    "c2ssl": ["free=-1", "free=2", "temperature=0"],
    "colorization": ["step=0", "step=200"],
    "deepcluster": ["clusters=1", "clusters=-3", "temperature=0"],
    "dino": ["words=1", "cold=0", "cold=0.5", "warm=-1", "crops=-1", "momentum=2"],
    "gan": ["latent=0", "cycle=-1", "critic_width=0"],
    "hybrid": ["contrast=-1", "reconstruct=-1", "painted=0", "painted=2", "temperature=-1"],
    "ijepa": ["blocks=0", "area=0", "area=0.9", "predictor_heads=5", "predictor_width=186", "predictor_depth=-1"],
    "jigsaw": ["gap=-1", "gap=2", "grid=1", "grid=-3"],
    "mae": ["decoder_heads=3", "decoder_heads=-1", "decoder_width=130", "decoder_depth=-1"],
    "moco": ["temperature=0", "momentum=-1"],
    "patch_position": ["gap=-1", "hidden=0"],
    "simclr": ["temperature=0", "temperature=-1"],
    "swav": ["prototypes=1", "temperature=0", "epsilon=0", "crops=-1"],
    "vae": ["latent=0", "beta=-1"],
    "vicreg": ["invariance=-1", "variance=-1", "covariance=-1"],
}
ENCODERS = {
    "cnn": (2, ["stride=-1", "width=0"]),
    "gru": (1, ["width=-1", "layers=0", "dropout=2"]),
    "patchtst": (1, ["heads=0", "depth=-1"]),
    "tcn": (1, ["width=0", "blocks=0", "stride=-1", "kernel=-1"]),
    "timm": (2, ["drop_path=2"]),
    "transformer": (1, ["width=0", "heads=0", "heads=-1", "depth=-1", "patch_size=-2"]),
    "vit": (2, ["width=0", "heads=0", "heads=-1", "depth=-1", "patch_size=-2", "drop_path=2"]),
    "wave": (1, ["width=0"]),
}


@pytest.mark.parametrize("text", [f"{name}({wrong})" for name, every in METHODS.items() for wrong in every])
def test_a_method_refuses(text: str) -> None:
    what = catalog.parse("methods", text)
    net = "vit(width=32, depth=1, heads=2)" if what.name in ("mae", "ijepa") else "cnn(width=4, stages=2)"
    encoder = _build.build(_build.spec(net), 3, 32)
    with pytest.raises(UserError, match=next(iter(what.settings)).rpartition("_")[2]):
        catalog.load("methods", what.name)(encoder, **what.settings)


@pytest.mark.parametrize("text", [f"{name}({wrong})" for name, (_, every) in ENCODERS.items() for wrong in every])
def test_an_encoder_refuses(text: str) -> None:
    what = _build.spec(text)
    with pytest.raises(UserError):
        _build.build(what, 2, 64, ENCODERS[what.name][0])


@pytest.mark.parametrize("value", [-1.0, 3.5, float("nan"), float("inf")])
def test_a_range_has_two_ends(value: float) -> None:
    with pytest.raises(UserError, match=f"it with that={value}; give a number from 0 to 3"):
        within("it", {"that": value}, 0, 3)


def test_the_lower_end_is_refused_where_it_is_too_small() -> None:
    within("it", {"that": 1e-9}, 0, above=True)
    within("it", {"that": 0}, 0)
    with pytest.raises(UserError, match="give a number above 0"):
        within("it", {"that": 0}, 0, above=True)
