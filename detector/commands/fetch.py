"""`detector fetch`: download the data set that a card describes."""

from __future__ import annotations

from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Fetch:
    """Download and unpack the files a data card names, resuming what broke off."""

    card: tyro.conf.Positional[str]
    """A data card's path, or the name of one that comes with the package: voc, coco, mango."""
    keep: bool = False
    """Keep the archives after unpacking; needs twice the room."""

    def run(self) -> int:
        """Downloads what is missing into the card's root."""
        from detector.data.fetch import Progress, fetch, find_card

        card = find_card(self.card)
        count = fetch(card, keep=self.keep, progress=Progress)
        print(f"{count} files fetched, all of {card.name} is in {card.root}")
        print(f"look at it: detector check {card.path}")
        return 0
