"""Optimisers, learning rates, decay, the moving average and the clock."""

import math

import pytest
import torch
from torch import nn

from detector.model.checkpoint import ModelCard, build
from detector.training import recipe as recipe_module
from detector.training.options import RATES
from detector.training.recipe import (
    Clock,
    Recipe,
    ema_step,
    lr_factor,
    optimiser,
    param_groups,
)


@pytest.fixture(scope="module")
def network():
    return build(ModelCard(("a", "b"), alpha=0.35))


def test_every_parameter_is_in_one_group(network):
    groups = param_groups(network, Recipe(), [])
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in network.parameters())


def test_depthwise_filters_norms_and_biases_do_not_decay(network):
    groups = param_groups(network, Recipe(weight_decay=0.1), [])
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    seen = set()
    for module in network.modules():
        for name, p in module.named_parameters(recurse=False):
            plain = isinstance(module, nn.Conv2d) and module.groups == 1 and name == "weight"
            assert decay[id(p)] == (0.1 if plain else 0.0)
            seen.add(plain)
    assert seen == {True, False}


def test_fresh_modules_learn_at_the_heads_rate(network):
    fresh = [head.predict for head in network.class_heads]
    groups = param_groups(network, Recipe(lr=1e-4, head_lr=1e-2), fresh)
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rate[id(p)] for m in fresh for p in m.parameters()} == {1e-2}
    assert {rate[id(p)] for p in network.backbone.parameters()} == {1e-4}


def test_each_optimiser_has_rates_of_its_own_and_takes_those_given():
    for name, own in RATES.items():
        assert Recipe(optimiser=name).rates() == own
        given = Recipe(optimiser=name, lr=1.0, weight_decay=0.0).rates()
        assert given == (1.0, own.head_lr, 0.0)
    assert len(set(RATES.values())) == len(RATES) == 3


@pytest.mark.parametrize("name", ["adamw", "sgd", "rmsprop"])
def test_every_optimiser_descends(name):
    point = nn.Parameter(torch.tensor([3.0, -2.0]))
    made = optimiser([{"params": [point], "lr": 0.05, "weight_decay": 0.0}], name)
    start = float(point.detach().square().sum())
    for _ in range(20):
        made.zero_grad()
        point.square().sum().backward()
        made.step()
    assert float(point.detach().square().sum()) < 0.8 * start


def test_the_rate_rises_then_falls_as_a_cosine():
    rates = [lr_factor(p / 100, 0.1) for p in range(101)]
    assert rates[0] == 1e-3
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert lr_factor(0.0, 0.0) == 1.0
    assert 0 <= lr_factor(1.0, 1.0) <= 1


def test_the_average_follows_fast_then_slowly():
    average = torch.zeros(1)
    first = ema_step(average, torch.ones(1), 0, 0.99)
    late = ema_step(average, torch.ones(1), 10_000, 0.99)
    assert float(first) == pytest.approx(0.9)
    assert float(late) == pytest.approx(0.01)


def test_the_average_of_what_never_changes_stays_to_the_bit():
    value = torch.rand(1000)
    average = value.clone()
    for updates in range(50):
        average = ema_step(average, value, updates, 0.99)
    assert torch.equal(average, value)


def test_a_clock_by_steps():
    clock = Clock(steps=8)
    assert [clock.progress(step) for step in (0, 2, 8, 9)] == [0, 0.25, 1, 1]
    assert clock.left(0) == math.inf


def test_a_clock_by_time_goes_on_with_what_was_spent(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(recipe_module.time, "monotonic", lambda: now[0])
    clock = Clock(seconds=60)
    assert clock.progress(5) == 0
    clock.spent = 15
    assert clock.progress(5) == 0.25
    clock.start()
    now[0] += 15
    assert clock.elapsed() == 30
    assert clock.progress(5) == 0.5
    assert clock.left(5) == pytest.approx(30)
    now[0] += 100
    assert clock.progress(5) == 1


def test_a_clock_needs_an_end():
    with pytest.raises(ValueError, match="steps or seconds"):
        Clock()
