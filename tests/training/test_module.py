"""One step, one measurement: without Lightning's loop."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from detector.data.example import Example
from detector.errors import DetectorError
from detector.training.blame import describe
from detector.training.distributed import Peers
from detector.training.module import Training
from detector.training.objective import Objective, Truth
from detector.training.options import Recipe, Settings
from detector.training.recipe import Clock
from detector.training.start import batch_norms, first_network

NAMES = ("disc", "square")
TRUTH = Truth(torch.tensor([[0.2, 0.2, 0.7, 0.8]]), torch.tensor([0]), torch.tensor([False]))
SLIVER = TRUTH._replace(xyxy=torch.tensor([[0.2, 0.2, 0.2001, 0.8]]))


def make(frozen_bn=True, judge=lambda found: {"AP": float(len(found))}, box_weight=1.0, vote=0.05):
    torch.manual_seed(0)
    settings = Settings(weights="none", width=0.35, size=96)
    start = first_network(settings, NAMES, "made", None)
    return Training(
        start.model,
        replace(start.card, vote=vote),
        Objective(box_weight=box_weight),
        Recipe(),
        Clock(steps=100),
        fresh=start.fresh,
        side=96,
        held=batch_norms(start.model) if frozen_bn else [],
        judge=judge,
        explain=lambda number: f"picture {number}",
    )


def batch(truths):
    torch.manual_seed(1)
    images = torch.randint(0, 255, (len(truths), 3, 96, 96), dtype=torch.uint8)
    return images, truths, list(range(100, 100 + len(truths)))


def test_a_step_descends():
    training = make(frozen_bn=False).train()
    images, truths, _ = batch([TRUTH, TRUTH])
    made = training.configure_optimizers()
    optimiser, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    values = []
    for _ in range(15):
        total = sum(training.losses(images, truths).values())
        optimiser.zero_grad()
        total.backward()
        training.configure_gradient_clipping()
        optimiser.step()
        schedule.step()
        values.append(float(total.detach()))
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norms_keep_their_statistics(frozen):
    training = make(frozen_bn=False)
    if frozen:
        training.held = batch_norms(training.model, but=[training.model.class_heads])
    training.train()
    old, new = (
        next(m for m in part.modules() if isinstance(m, nn.BatchNorm2d))
        for part in (training.model.backbone, training.model.class_heads)
    )
    training.losses(*batch([TRUTH, TRUTH])[:2])
    assert (not old.running_mean.any()) is frozen
    assert new.running_mean.any()  # those that start from nothing have to learn theirs
    assert old.weight.requires_grad


def test_a_measurement_hands_every_picture_to_the_judge():
    seen = []
    training = make(judge=lambda found: seen.append(found) or {"AP": 1.0}).eval()
    training.log_dict = lambda figures: None
    with torch.no_grad():
        training.validation_step(batch([TRUTH] * 3)[0], 0)
        training.validation_step(batch([TRUTH] * 2)[0], 1)
    training.on_validation_epoch_end()
    (found,) = seen
    assert len(found) == 5
    assert all(len(d.scores) <= 100 and d.class_names == NAMES for d in found)
    assert training.found == []


def test_a_measurement_votes_as_the_files_will():
    seen = []
    for vote in (0, 1):
        training = make(judge=lambda found: seen.append(found) or {"AP": 1.0}, vote=vote).eval()
        training.log_dict = lambda figures: None
        with torch.no_grad():
            training.validation_step(batch([TRUTH])[0], 0)
        training.on_validation_epoch_end()
    (still,), (moved,) = seen
    assert 0 < len(moved) < len(still) == 100
    assert moved.scores[0] < still.scores[0]
    assert np.abs(still.xyxy - moved.xyxy[0]).max(axis=1).min() > 1e-3


def test_a_loss_that_explodes_names_the_pictures_that_did_it():
    training = make(box_weight=1e5).train()
    with pytest.raises(DetectorError, match=r"step 0: the loss is \d{5,}") as caught:
        training.training_step(batch([TRUTH, SLIVER, TRUTH]), 0)
    text = str(caught.value)
    assert text.index("picture 101: loss") < text.index("picture 100: loss")
    assert "\n" not in text


def test_a_gradient_that_is_no_number_stops_before_the_weights_are_spoilt():
    training = make().train()
    training.seen = batch([TRUTH])
    for p in training.model.parameters():
        p.grad = torch.full_like(p, float("inf"))
    with pytest.raises(DetectorError, match="the gradient is"):
        training.configure_gradient_clipping()


def test_spoilt_weights_are_not_blamed_on_the_pictures():
    training = make().train()
    with torch.no_grad():
        next(training.model.parameters()).fill_(float("nan"))
    with pytest.raises(DetectorError, match=r"weights are no numbers any more.*lower --lr"):
        training.training_step(batch([TRUTH]), 0)


def test_a_picture_is_described_with_its_first_boxes():
    boxes = np.array([[i, 2, 30.5, 40] for i in range(6)], np.float32)
    labels, ignore = np.array([0, 1] * 3), np.zeros(6, bool)
    text = describe(Example("a/17.jpg", boxes, labels, ignore, None, ""), NAMES)
    assert text.startswith("a/17.jpg (disc 0 2 30.5 40, square 1 2 30.5 40, ")
    assert text.endswith("2 more)")


def test_scores_of_random_heads_begin_low():
    training = make().eval()
    with torch.no_grad():
        logits, _ = training.model(torch.zeros(1, 3, 96, 96))
    assert torch.sigmoid(logits).mean() == pytest.approx(0.01, rel=0.5)


NOTHING = Truth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=bool))


@pytest.mark.parametrize("truths", [[TRUTH, NOTHING, TRUTH, TRUTH], [TRUTH] * 4, [NOTHING] * 4])
def test_two_processes_descend_as_one_with_the_whole_batch(truths):
    """DDP's mean of the gradients is that of the whole batch, however the boxes are spread."""
    training = make(frozen_bn=True).train()
    images = batch(truths)[0]

    def gradient(which, peers):
        training.zero_grad()
        training.peers = peers
        losses = training.losses(images[which], truths[which])
        sum(losses.values()).backward()
        gradients = torch.cat([p.grad.flatten() for p in training.parameters()])
        return gradients, sum(float(v.detach()) for v in losses.values())

    class Heard(Peers):
        """Peers that know what the others would say."""

        def sum(self, value):
            said.append(value.detach())
            return sum(weights) if weights else value

    weights, said = [], []
    halves = (slice(0, 2), slice(2, 4))
    for half in halves:
        gradient(half, Heard(2))
    weights = said[:]
    whole, loss = gradient(slice(0, 4), Peers())
    parts = [gradient(half, Heard(2)) for half in halves]
    together = sum(g for g, _ in parts) / 2
    assert sum(value for _, value in parts) / 2 == pytest.approx(loss, rel=1e-5)
    assert float((together - whole).norm() / whole.norm()) < 1e-5
