"""Open Images calls classes by ids such as /m/0fp6w; what they mean stands in a table beside."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from detector.data.tree import Tree, read_text

_ID = re.compile(r"/[mgt]/[0-9a-z_]{2,20}")
# `class-descriptions.csv` of all 20,000 classes has 0.5 MB; tables of boxes have gigabytes.
MAX_BYTES = 2**24


def spoken_names(tree: Tree, names: Iterable[str]) -> dict[str, str]:
    """The ids among class names, each with its name: /m/0fp6w is an Orange.

    From tables of two columns, an id and a name: `class-descriptions-boxable.csv` as downloaded,
    or FiftyOne's `metadata/classes.csv`. Ids without one are left out.
    """
    wanted = {name for name in names if _ID.fullmatch(name)}
    found: dict[str, str] = {}
    for path in tree.having(".csv") if wanted else ():
        try:
            if path.stat().st_size > MAX_BYTES:
                continue
            rows = list(csv.reader(io.StringIO(read_text(path))))
        except (OSError, ValueError, csv.Error):
            continue
        if all(len(row) == 2 for row in rows if row):
            found |= {row[0]: row[1].strip() for row in rows if row and row[0] in wanted}
    return {key: name for key, name in found.items() if name}
