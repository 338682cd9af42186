"""From labelled pictures to a trained network. Needs the `train` extra."""
