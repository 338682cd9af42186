"""What keeps the networks alike that several processes train together."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence

import lightning as L
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.post_localSGD_hook import (
    PostLocalSGDState,
    post_localSGD_hook,
)
from torch.distributed.algorithms.model_averaging.utils import average_parameters

from detector.training.hooks import StepCallback


class Averaging(StepCallback):
    """Keeps processes alike. Stands first among the callbacks, which may rely on it.

    every: 1: DDP averages the gradients of each step, and batch norms' statistics are averaged
    here. N: each process takes N steps on its own, after which weights, statistics and the
    optimiser's moments are averaged. That is local SGD (Lin et al. 2018, "Don't use large
    mini-batches, use local SGD") without a synchronous phase before it, since learning rates
    start near zero; with the moments averaged too (as in Local Adam, Cheng and Glasgow 2024) all
    processes are the same after it, and a checkpoint of one is a checkpoint of all.
    """

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Take away what Lightning would do on its own; leave gradients to their processes."""
        # Every step it would tell all whether the first process got a SIGTERM, and on a SIGTERM it
        # would talk to processes that may be gone. `launch` and torchrun end all of them anyway.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.every > 1:
            # Lightning hands hooks to DDP on GPUs only, and its averager forgets the step on resume
            alone = PostLocalSGDState(  # type: ignore[no-untyped-call]
                None, None, start_localSGD_iter=0, post_local_gradient_allreduce=False
            )
            assert isinstance(trainer.strategy.model, nn.parallel.DistributedDataParallel)
            trainer.strategy.model.register_comm_hook(alone, post_localSGD_hook)

    def after_step(self, trainer: L.Trainer, losses: Mapping[str, Tensor]) -> None:
        """Average what is due."""
        if trainer.global_step % self.every:
            return
        module = trainer.lightning_module
        own = learned_statistics(module)
        if self.every > 1:
            own += [*module.parameters(), *moments(trainer.optimizers[0])]
        if own:
            average(own)


def _nothing() -> None:
    """Instead of a message."""


def learned_statistics(module: nn.Module) -> list[Tensor]:
    """Running means and variances of the batch norms that are in training mode."""
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    found = [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)]
    return [tensor for tensor in found if tensor is not None]


def moments(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    """What an optimiser remembers of each weight; not its step counts, which are alike anyway."""
    kept = [value for state in optimiser.state.values() for value in state.values()]
    return [value for value in kept if isinstance(value, Tensor) and value.dim() > 0]


def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors, in place, by their means over all processes, in one message.

    torch's own function gives weights new memory in row-major order, which would undo
    channels_last; so it gets stand-ins.
    """
    means = [tensor.detach() for tensor in tensors]
    average_parameters(iter(means), dist.group.WORLD)  # type: ignore[arg-type]
    with torch.no_grad():
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean)
