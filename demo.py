#!/usr/bin/env python3
"""Boxes on the screen: `python demo.py` takes the webcam; `python demo.py --help` tells the rest."""

from detector.cli import main
from detector.commands.demo import Demo

if __name__ == "__main__":
    main(verb=Demo, prog="demo.py")
