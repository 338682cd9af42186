"""What making an int8 file can be told. Nothing is imported: `detector --help` shows it at once."""

MAX_DROP = 0.3  # points of AP that int8 may lose on training pictures held back
VIEWS = 640  # of the pictures, seen in fine-tuning: 40 steps, as measured in docs/int8.md
BATCH = 16  # of them, at once
