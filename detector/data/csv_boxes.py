"""CSV: one row a box, as `filename,width,height,class,xmin,ymin,xmax,ymax` and its relatives."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from detector.data.example import (
    Box,
    Dataset,
    Labelled,
    Problem,
    build,
    finite_xyxy,
    relabel,
)
from detector.data.named import named_picture, unlisted
from detector.data.open_images import spoken_names
from detector.data.picture_size import displayed_size
from detector.data.tree import PictureIndex, Tree, read_text
from detector.errors import DetectorError

# Lower case, only letters and digits: 'X_min' and 'x min' are 'xmin'.
_COLUMNS = {
    "filename": ("filename", "file", "image", "imageid", "imagename", "imagepath", "path", "img"),
    "class": ("class", "label", "labelname", "classname", "name", "category"),
    "xmin": ("xmin", "x1", "left", "bboxxmin"),
    "ymin": ("ymin", "y1", "top", "bboxymin"),
    "xmax": ("xmax", "x2", "right", "bboxxmax"),
    "ymax": ("ymax", "y2", "bottom", "bboxymax"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "ignore": ("ignore", "difficult", "iscrowd", "isgroupof"),
}
Row = tuple[int, Path, Box | None, tuple[int, int] | None]  # line, picture, box, claimed size
_NEEDED = ("filename", "class", "xmin", "ymin", "xmax", "ymax")


def is_csv(path: Path) -> bool:
    """Whether a file's first line has columns for a picture, a class and a box."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return set(_NEEDED) <= set(_columns(head.splitlines()[0])) if head.strip() else False


def _columns(line: str) -> dict[str, int]:
    """Our column name to its position in a header line."""
    try:
        cells = next(csv.reader([line], delimiter=_delimiter(line)), [])
    except csv.Error:
        return {}
    found: dict[str, int] = {}
    for position, cell in enumerate(cells):
        plain = "".join(c for c in cell.lower() if c.isalnum())
        for name, spellings in _COLUMNS.items():
            if plain in spellings:
                found.setdefault(name, position)
    return found


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def read_csv(tree: Tree, path: Path, pictures: PictureIndex) -> Dataset:
    """One table. Pixels are edges counted from 0; a table all within 0..1 holds fractions.

    A column `ignore`, or Open Images' `IsGroupOf`, marks boxes that are neither wanted nor wrong.

    A row with a picture but an empty class and box is a picture without objects; one with rows of
    which none can be read is left out. Pictures the table does not name are not used, and counted:
    it may be one part of several. Raises DetectorError when the table as a whole cannot be read.
    """
    where = tree.show(path)
    problems: list[Problem] = []
    columns, rows = _rows(path)
    parsed: list[Row] = []
    spoilt: dict[Path, str] = {}  # pictures with rows that cannot be read, and such a row
    meant: dict[str, Path | str] = {}
    for line, cells in rows:
        place = f"{where}, line {line}"
        record = {n: cells[i].strip() if i < len(cells) else "" for n, i in columns.items()}
        name = record["filename"]
        if name not in meant:
            meant[name] = named_picture(name, path, pictures, place, problems)
        picture = meant[name]
        if isinstance(picture, str):
            problems.append(Problem("label-without-picture", place, f"{picture}; left out", path))
            continue
        try:
            parsed.append((line, picture, _box(record), _size(record)))
        except ValueError as error:
            problems.append(Problem("bad-box", place, f"{error}; left out", picture))
            spoilt[picture] = place
    for picture in spoilt.keys() - {picture for _, picture, box, _ in parsed if box}:
        message = "no row of its picture can be read; left out"
        problems.append(Problem("picture-left-out", spoilt[picture], message, picture))
        parsed = [row for row in parsed if row[1] != picture]
    labelled = _group(parsed, tree, where, problems)
    known = {*spoilt, *(picture for _, picture, _, _ in parsed)}
    message = f"not in {path.name}; not used (a row with an empty box makes it a negative)"
    problems += unlisted(known, pictures, tree, message)
    dataset = build(labelled.values(), problems)
    spoken: dict[str, str | None] = {n: n for n in dataset.class_names}
    spoken |= spoken_names(tree, dataset.class_names)
    return relabel(dataset, spoken, [name for name in dict.fromkeys(spoken.values()) if name])


def _rows(path: Path) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    try:
        text = read_text(path).lstrip("\ufeff").replace("\0", "")
        header = text.lstrip().partition("\n")[0].strip()
        reader = csv.reader(io.StringIO(text.lstrip()), delimiter=_delimiter(header))
        rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except (ValueError, csv.Error) as error:
        raise DetectorError(f"{path}: {error}; expected a table of boxes") from None
    columns = _columns(header)
    if missing := [name for name in _NEEDED if name not in columns]:
        raise DetectorError(
            f"{path}: the first line '{header[:120]}' has no column {', '.join(missing)}; "
            f"expected {','.join(_NEEDED)} (width and height may follow)"
        )
    return columns, rows[1:]


def _box(record: dict[str, str]) -> Box | None:
    """A box in the table's own units; None for a row that names only a picture."""
    corners = [record[name] for name in _NEEDED[2:]]
    if not any(corners) and not record["class"]:
        return None
    if not record["class"]:
        raise ValueError("has no class")
    try:  # spreadsheets of many countries write a decimal comma
        values = [float(corner.replace(",", ".")) for corner in corners]
    except ValueError:
        raise ValueError(f"box {', '.join(corners)[:80]!r} is not four numbers") from None
    ignore = record.get("ignore", "").lower() in ("1", "true")
    return Box(record["class"], finite_xyxy(values), ignore)


def _size(record: dict[str, str]) -> tuple[int, int] | None:
    try:
        return int(float(record["width"])), int(float(record["height"]))
    except (KeyError, ValueError, OverflowError):
        return None


def _group(
    parsed: list[Row], tree: Tree, where: str, problems: list[Problem]
) -> dict[Path, Labelled]:
    """Rows of one picture together, fractions made pixels."""
    relative = all(box is None or max(box.xyxy) <= 1 for _, _, box, _ in parsed)
    grouped: dict[Path, list[Box]] = {}
    first: dict[Path, tuple[int, tuple[int, int] | None]] = {}
    for line, picture, box, size_wh in parsed:
        first.setdefault(picture, (line, size_wh))
        grouped.setdefault(picture, []).extend([box] if box else [])
    labelled = {}
    for picture, boxes in grouped.items():
        line, size_wh = first[picture]
        if relative and boxes:
            try:
                w, h = displayed_size(picture)
            except ValueError as error:
                problem = Problem("unreadable-picture", tree.show(picture), str(error), picture)
                problems.append(problem)
                continue
            scaled = [(b.xyxy[0] * w, b.xyxy[1] * h, b.xyxy[2] * w, b.xyxy[3] * h) for b in boxes]
            boxes = [b._replace(xyxy=xyxy) for b, xyxy in zip(boxes, scaled, strict=True)]
        labelled[picture] = Labelled(picture, boxes, size_wh, f"{where}, line {line}")
    return labelled
