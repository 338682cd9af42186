"""Networks: what a picture passes through before it becomes boxes. Needs the `train` extra."""
