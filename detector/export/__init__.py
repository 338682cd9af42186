"""Turning networks into model files, and foreign weights into ours. Needs the `train` extra."""
