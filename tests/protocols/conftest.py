"""Digits to fine-tune on, and a run that was never trained."""

import pytest

from unlabeled.data.prepare import Prepared
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training.devices import Device, open_device
from unlabeled.training.recipe import Recipe

TRAINING = Training(threads=1, precision="fp32", device="cpu")


@pytest.fixture(scope="session")
def ready(small_digits: Prepared) -> Prepared:
    return small_digits


@pytest.fixture(scope="session")
def device() -> Device:
    return open_device(TRAINING)


@pytest.fixture(scope="session")
def recipe(ready: Prepared) -> Recipe:
    views = Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0)
    return compose(ready, *method_and_encoder("simclr", "test_resnet"), views, TRAINING, 1, 0)
