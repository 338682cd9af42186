#!/usr/bin/env python3
"""A detector from your own pictures: `python train.py --data datasets/mango.yaml`."""

from detector.cli import main
from detector.commands.train import Train

if __name__ == "__main__":
    main(verb=Train, prog="train.py")
