"""What making an int8 file can be told. Nothing is imported: `detector --help` shows it at once."""

MAX_DROP = 0.3  # points of AP that int8 may lose on training pictures held back
# Where MAX_DROP would keep more than half of the layers in float, the file is hardly smaller and no
# faster than the float one: then all of them stay in int8 if that loses no more than this.
BARGAIN_DROP, BARGAIN_SHARE = 0.6, 0.5
VIEWS = 640  # of the pictures, seen in fine-tuning: 40 steps, as measured in docs/int8.md
BATCH = 16  # of them, at once
