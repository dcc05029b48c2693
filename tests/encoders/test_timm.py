"""Encoders of timm by name: those that end in a wider layer, take no picture size, or no stochastic depth."""

import pytest
import torch

from unlabeled import UserError
from unlabeled.encoders import _build

WIDER = ("mobilenetv3_small_050", "mambaout_femto")  # features are wider than the last map
PLAIN = ("densenet121", "repvit_m0_9")  # without stochastic depth
SIZED = ("cait_xxs24_224", "visformer_tiny", "resmlp_12_224", "vit_tiny_patch16_224", "nest_tiny")  # places are fixed
NAMED_LIKE = ("fastvit_t8", "mobilevit_xxs")  # convolutions with a transformer's name


@pytest.mark.parametrize("name", [*WIDER, *PLAIN, *SIZED, *NAMED_LIKE])
def test_features_are_as_long_as_the_encoder_says(name: str) -> None:
    net = _build.build(_build.spec(name), 1, 32).eval()
    x = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        features, tokens = net(x), net.tokens(x)
        both = net.both(x)
    assert features.shape == (2, net.dim) and tokens.shape[::2] == (2, net.token_dim)
    assert torch.allclose(both[0], features, atol=1e-5) and torch.allclose(both[1], tokens, atol=1e-5)


def test_a_setting_that_a_network_does_not_take_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="densenet121 takes no drop_path; leave it out"):
        _build.build(_build.spec("densenet121(drop_path=0.1)"), 1, 32)
