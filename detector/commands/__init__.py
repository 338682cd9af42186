"""One module a verb: its options as a dataclass, and what it does."""
