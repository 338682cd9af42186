"""What scripts/draw_mobilenets.py draws with."""
