"""The network a run starts from."""

from pathlib import Path

import pytest
import torch

from detector.errors import DetectorError
from detector.training.start import load_checkpoint


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
