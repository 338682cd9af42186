"""The comparison with torchvision's training step runs and prints whole tables."""

import pytest
from script_rows import rows_of


@pytest.mark.slow
def test_it_compares_all_on_the_same_pictures(shapes):
    options = ["--data", shapes, "--batch", "2", "--steps", "1", "--rounds", "1", "--workers", "0"]
    table = {name: cells for name, *cells in rows_of("compare_training_speed.py", *options)}
    assert {"ours, float32", "torchvision, float32", "our loader alone"} < set(table)
    assert table["torchvision, float32"][2] == "1.00"
    assert float(table["our loader alone"][0]) > float(table["ours, float32"][0])
