"""The example models are really trained: the loss falls, and the same seed gives the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from deploy_toolkit.demo import data, torch_models

CASES = {
    "simplenet": (torch_models.SimpleNet, data.features, {"epochs": 40, "rate": 0.02}),
    "simplecnn": (torch_models.SimpleCNN, data.images, {"epochs": 8, "rate": 0.05}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_loss_falls_in_torch(name: str) -> None:
    model, problem, schedule = CASES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        losses = torch_models.train(model(), *problem(), **schedule)
    assert losses[-1] < losses[0] / 5


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_gives_the_same_model_and_leaves_the_random_state(name: str) -> None:
    model, problem, schedule = CASES[name]
    before = torch.random.get_rng_state()
    first, second = (torch_models.trained(model, *problem(), **schedule) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not first.training
    for name_, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name_], value, rtol=0, atol=0)


def test_the_loss_falls_in_keras() -> None:
    # In a process of its own: TensorFlow is a gigabyte, and its global random state is nobody else's.
    code = """
import json, keras
from deploy_toolkit.demo import data, keras_models
losses = []
keras.utils.set_random_seed(1)
losses.append(keras_models.train(keras_models.simple_net(), *data.features(), epochs=40, rate=0.02))
x, y = data.images()
losses.append(keras_models.train(keras_models.simple_cnn(), x.transpose(0, 2, 3, 1), y, epochs=8, rate=0.05))
print(json.dumps(losses))
"""
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for losses in json.loads(done.stdout):
        assert losses[-1] < losses[0] / 5


def test_the_data_are_fixed() -> None:
    for problem in (data.features, data.images):
        for first, second in zip(problem(), problem(), strict=True):
            np.testing.assert_array_equal(first, second)
            assert first.dtype == np.float32
