"""Processes that train together: who they are, and what is said when they end."""

import multiprocessing

import pytest

from detector.errors import DetectorError
from detector.training import launch, plan
from detector.training.options import Machine, Settings


@pytest.fixture
def torchrun(monkeypatch):
    """torchrun(world, local): as if it had started this process, the last of all."""

    def start(world, local):
        values = (world - 1, local - 1, world // local - 1, world, local, "127.0.0.1", 29500)
        for name, value in zip(launch.VARIABLES, values, strict=True):
            monkeypatch.setenv(name, str(value))

    return start


def test_a_process_on_its_own_is_the_first(monkeypatch):
    monkeypatch.setenv("RANK", "3")  # somebody else's: without the rest it means nothing
    assert not launch.launched()
    assert launch.is_first()
    assert launch.settle(Machine(devices=2)) == Machine(devices=2)


def test_torchrun_decides_how_many(torchrun):
    torchrun(world=6, local=3)
    assert launch.rank() == 5
    assert not launch.is_first()
    for given in (Machine(), Machine(devices=3), Machine(num_nodes=2)):
        settled = launch.settle(given)
        assert (settled.devices, settled.num_nodes, settled.world) == (3, 2, 6)


def test_options_that_contradict_torchrun(torchrun):
    torchrun(world=2, local=2)
    with pytest.raises(DetectorError, match="--devices 4: torchrun started 2"):
        launch.settle(Machine(devices=4))
    with pytest.raises(DetectorError, match="--num-nodes 2: torchrun started 1"):
        launch.settle(Machine(num_nodes=2))
    torchrun(world=5, local=3)
    with pytest.raises(DetectorError, match="the same --nproc-per-node on every machine"):
        launch.settle(Machine())


def test_several_machines_need_torchrun():
    with pytest.raises(DetectorError, match=r"--nnodes 2 --node-rank 0 .*--nproc-per-node 4"):
        launch.settle(Machine(devices=4, num_nodes=2))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], "process 1 of the 2 that train together was killed (SIGKILL; out of memory?)"),
        ([("lost the others", True)], "process 1 of the 2"),
        ([("lost the others", True), ("disk full", False)], "disk full"),
    ],
)
def test_the_cause_is_told_and_not_what_followed_from_it(said, told):
    from torch.multiprocessing.spawn import ProcessExitedException

    killed = ProcessExitedException("x", error_index=1, error_pid=1, exit_code=-9)
    killed.signal_name = "SIGKILL"
    reasons = multiprocessing.get_context("spawn").SimpleQueue()
    for reason in said:
        reasons.put(reason)
    assert launch._why(killed, 2, reasons).startswith(told)


def test_how_long_a_run_is_with_averaging_now_and_then():
    two = Machine(devices=2)
    assert plan.clock(Settings(epochs=2, batch=8, sync_every=3), two, 64).steps == 9
    plan.check(Settings(sync_every=3), two)
    plan.check(Settings(minutes=1), two)
    with pytest.raises(DetectorError, match="--sync-every 3: give --devices"):
        plan.check(Settings(sync_every=3), Machine())
    with pytest.raises(DetectorError, match="--sync-every 0: expected more than 0"):
        plan.check(Settings(sync_every=0), two)
