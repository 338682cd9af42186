"""The network a run starts from."""

from pathlib import Path

import pytest
import torch

from detector.errors import DetectorError
from detector.training.options import Settings
from detector.training.start import (
    first_network,
    load_checkpoint,
    resumed_network,
    start_fields,
)


@pytest.mark.parametrize("changes", [{}, {"width": 0.5}, {"weights": "none", "width": 0.35}])
def test_a_resumed_network_needs_no_weights_and_learns_what_it_did(changes):
    start = first_network(Settings(size=300, **changes), ("person", "mango"), "x", None)
    again = resumed_network(start_fields(start))
    assert (again.card, again.whole) == (start.card, start.whole)
    names = [{id(m): n for n, m in one.model.named_modules()} for one in (start, again)]
    assert [names[0][id(m)] for m in start.fresh] == [names[1][id(m)] for m in again.fresh]
    assert again.model.state_dict().keys() == start.model.state_dict().keys()


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"card": Path("x"), "state_dict": print}, path)
    with pytest.raises(DetectorError, match="not a whole checkpoint"):
        load_checkpoint(path)
    path.write_bytes(b"no pickle at all")
    with pytest.raises(DetectorError, match=r"not a whole checkpoint \(torch cannot read it\)"):
        load_checkpoint(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DetectorError, match="not a whole checkpoint"):
        load_checkpoint(path)
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(DetectorError, match="not a checkpoint of ours"):
        load_checkpoint(path)
