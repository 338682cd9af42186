#!/usr/bin/env python3
"""Boxes on the screen: `python demo.py` takes the webcam, `python demo.py --help` says more."""

import os
import signal

if __name__ == "__main__":
    # Until the demo runs there is nothing to finish: Ctrl-C during the imports ends it quietly.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))

from detector.cli import main
from detector.commands.demo import Demo

if __name__ == "__main__":
    main(verb=Demo, prog="demo.py")
