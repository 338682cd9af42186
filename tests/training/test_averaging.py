"""What is averaged, in a group of one process: two are in test_distributed.py."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from detector.training import averaging
from detector.training.callbacks import MovingAverage
from detector.training.recipe import ema_step


@pytest.fixture
def group(tmp_path):
    """A process group of this process."""
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


def test_an_average_keeps_the_memory_it_is_written_to(group, monkeypatch):
    conv = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    before = [p.detach().clone() for p in conv.parameters()]
    places = [p.data_ptr() for p in conv.parameters()]
    # as if another process, with weights of nought, had taken part
    monkeypatch.setattr(dist, "all_reduce", lambda flat, group: flat.div_(2))
    averaging.average(list(conv.parameters()))
    for p, was in zip(conv.parameters(), before, strict=True):
        assert torch.equal(p, was / 2)
    assert [p.data_ptr() for p in conv.parameters()] == places
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert conv.weight.requires_grad


def test_statistics_count_only_where_they_are_learned():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).train()
    net[2].eval()
    found = averaging.learned_statistics(net)
    assert [id(t) for t in found] == [id(net[0].running_mean), id(net[0].running_var)]


@pytest.mark.parametrize(
    ("make", "each"),
    [
        (torch.optim.AdamW, 2),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 1),
        (lambda p: torch.optim.RMSprop(p, momentum=0.9), 2),
    ],
)
def test_moments_are_all_that_an_optimiser_remembers_of_weights(make, each):
    net = nn.Linear(3, 2)
    optimiser = make(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    found = averaging.moments(optimiser)
    assert sorted(m.numel() for m in found) == [2] * each + [6] * each


def test_the_moving_average_counts_only_weights_that_are_everybodys():
    average = MovingAverage(0.99, every=3)
    assert [step for step in range(9) if average.should_update(step_idx=step)] == [2, 5, 8]
    assert not average.should_update(epoch_idx=0)


def test_the_moving_average_reaches_as_far_back():
    """Late in a run: one step of `every` 4 forgets what four steps forget."""
    old, zero = torch.ones(1), torch.zeros(1)
    slow = ema_step(old, zero, 1000, 0.99, every=4)
    fast = old
    for updates in range(4000, 4004):
        fast = ema_step(fast, zero, updates, 0.99)
    assert torch.allclose(slow, fast)
    assert float(slow) == pytest.approx(0.99**4)
