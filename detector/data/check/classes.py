"""Whether each class has boxes enough, and names that are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from detector.data.check.finding import Finding
from detector.data.class_names import alike
from detector.data.example import Dataset

FEW_BOXES = 10
# COCO itself has 1,300 to 1 and learns; beyond 20 to 1 a small data set hardly sees the rare class.
UNEVEN = 20


def odd_classes(splits: Mapping[str, Dataset]) -> Iterator[Finding]:
    """Findings on the classes: few boxes, uneven counts, names alike. Train is what counts."""
    train = next(iter(splits.values()))
    counts = dict(zip(train.class_names, train.class_counts().tolist(), strict=True))
    elsewhere = {
        name
        for dataset in splits.values()
        for name, n in zip(dataset.class_names, dataset.class_counts().tolist(), strict=True)
        if n
    }
    for name, count in counts.items():
        if not count and name not in elsewhere:
            yield Finding("class-names", name, "never occurs; drop it from the names")
        elif count < FEW_BOXES:
            message = f"has {count} boxes to learn from; 50 are a start"
            yield Finding("few-boxes", f"class '{name}'", message)
    used = {name: count for name, count in counts.items() if count}
    if used and max(used.values()) > UNEVEN * min(used.values()):
        most, least = max(used, key=used.__getitem__), min(used, key=used.__getitem__)
        message = f"'{most}' has {used[most]} boxes, '{least}' {used[least]}"
        yield Finding("imbalance", "classes", message)
    for name, other in alike(train.class_names):
        yield Finding("similar-classes", f"class '{name}'", f"is much like '{other}'")
