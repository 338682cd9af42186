"""Pictures with their boxes: readers of label formats, data cards, splits."""
