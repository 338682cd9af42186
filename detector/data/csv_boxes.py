"""CSV: one row a box, as `filename,width,height,class,xmin,ymin,xmax,ymax` and its relatives."""

from __future__ import annotations

import csv
import io
import re
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
from detector.data.tree import PictureIndex, Tree, decode_text, read_text
from detector.errors import DetectorError

SUFFIXES = (".csv", ".tsv")
# Lower case, only letters and digits: 'X_min' and 'x min' are 'xmin'. Of two columns for pictures
# the one whose spelling stands first here is read: a number beside a file name is no name. Of two
# of any other meaning it is the one further left.
_COLUMNS = {
    "filename": ("filename", "file", "imagename", "imagepath", "path", "image", "img", "imageid"),
    "class": ("class", "classname", "label", "labelname", "category", "name"),
    "xmin": ("xmin", "x1", "left", "bboxxmin"),
    "ymin": ("ymin", "y1", "top", "bboxymin"),
    "xmax": ("xmax", "x2", "right", "bboxxmax"),
    "ymax": ("ymax", "y2", "bottom", "bboxymax"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "ignore": ("ignore", "difficult", "iscrowd", "isgroupof"),
}
# Fractions go a little past 1 by rounding, or where a box is drawn over the edge; no box in pixels
# ends so soon. Of rows in another unit so many are slips.
_MAX_FRACTION, _SLIPS = 1.5, 0.01
Row = tuple[int, Path, Box | None, tuple[int, int] | None]  # line, picture, box, claimed size
_NEEDED = ("filename", "class", "xmin", "ymin", "xmax", "ymax")


def is_csv(path: Path) -> bool:
    """Whether a file's first line has columns for a picture, a class and a box."""
    try:
        with path.open("rb") as file:
            head = decode_text(file.read(4096)).replace("\0", "")
    except OSError:
        return False
    header, _, delimiter = _header(head)
    return set(_NEEDED) <= set(_columns(header, delimiter))


def _header(text: str) -> tuple[str, int, str]:
    """The line of column names, how many stand before the rows, and what is between columns.

    Spreadsheets may say it in a line above, `sep=;`.
    """
    lines = text.lstrip().splitlines() or [""]
    if said := re.fullmatch(r'"?sep=([,;\t|])"?\s*', lines[0], re.IGNORECASE):
        return (lines[1] if len(lines) > 1 else "").strip(), 2, said[1]
    return lines[0].strip(), 1, max(",;\t|", key=lines[0].count)


def _columns(line: str, delimiter: str) -> dict[str, int]:
    """Our column name to its position in a header line."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except (csv.Error, ValueError):
        return {}
    plain = ["".join(c for c in cell.lower() if c.isalnum()) for cell in cells]
    known = {
        name: [plain.index(spelling) for spelling in spellings if spelling in plain]
        for name, spellings in _COLUMNS.items()
    }
    return {
        name: places[0] if name == "filename" else min(places)
        for name, places in known.items()
        if places
    }


def read_csv(tree: Tree, path: Path, pictures: PictureIndex) -> Dataset:
    """One table. Pixels are edges counted from 0; a table all within about 0..1 holds fractions.

    A column `ignore`, or Open Images' `IsGroupOf`, marks boxes that are neither wanted nor wrong.

    A row with a picture but an empty class and box is a picture without objects; one with rows of
    which none can be read is left out. Pictures the table does not name are not used, and counted:
    it may be one part of several. Raises DetectorError when the table as a whole cannot be read.
    """
    where = tree.show(path)
    problems: list[Problem] = []
    parsed, spoilt = _parse(path, where, pictures, problems)
    relative, slips = _fractions(parsed, path)
    for line, picture in slips:
        message = "is in pixels, and all others in fractions; left out"
        problems.append(Problem("bad-box", f"{where}, line {line}", message, picture))
        spoilt[picture] = f"{where}, line {line}"
    gone = {line for line, _ in slips}
    parsed = [row for row in parsed if row[0] not in gone]
    for picture in sorted(spoilt.keys() - {picture for _, picture, box, _ in parsed if box}):
        message = "no row of its picture can be read; left out"
        problems.append(Problem("picture-left-out", spoilt[picture], message, picture))
        parsed = [row for row in parsed if row[1] != picture]
    labelled = _group(parsed, relative, tree, where, problems)
    known = {*spoilt, *(picture for _, picture, _, _ in parsed)}
    message = f"not in {path.name}; not used (a row with an empty box makes it a negative)"
    problems += unlisted(known, pictures, tree, message)
    dataset = build(labelled.values(), problems)
    spoken: dict[str, str | None] = {n: n for n in dataset.class_names}
    spoken |= spoken_names(tree, dataset.class_names)
    return relabel(dataset, spoken, [name for name in dict.fromkeys(spoken.values()) if name])


def _parse(
    path: Path, where: str, pictures: PictureIndex, problems: list[Problem]
) -> tuple[list[Row], dict[Path, str]]:
    """The rows that can be read; and pictures with rows that cannot, each with such a row."""
    columns, rows = _rows(path)
    parsed: list[Row] = []
    spoilt: dict[Path, str] = {}
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
    return parsed, spoilt


def _rows(path: Path) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    try:
        text = read_text(path).lstrip("\ufeff").replace("\0", "").lstrip()
        header, above, delimiter = _header(text)
        # A blank after the comma would make its quotes part of a name.
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
        rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except (ValueError, csv.Error) as error:
        raise DetectorError(f"{path}: {error}; expected a table of boxes") from None
    columns = _columns(header, delimiter)
    if missing := [name for name in _NEEDED if name not in columns]:
        raise DetectorError(
            f"{path}: the first line '{header[:120]}' has no column {', '.join(missing)}; "
            f"expected {','.join(_NEEDED)} (width and height may follow)"
        )
    return columns, rows[above:]


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


def _fractions(parsed: list[Row], path: Path) -> tuple[bool, list[tuple[int, Path]]]:
    """Whether boxes are in fractions, and the few that are not then: (line, picture).

    Raises DetectorError where there are many of both. Whole numbers up to 1 may be pixels: some
    write such a box where there is none.
    """
    ends = [(line, picture, box.xyxy) for line, picture, box, _ in parsed if box]
    large = [(line, picture) for line, picture, xyxy in ends if max(xyxy) > _MAX_FRACTION]
    small = [
        line
        for line, _, xyxy in ends
        if max(xyxy) <= _MAX_FRACTION and not all(value.is_integer() for value in xyxy)
    ]
    if len(small) <= _SLIPS * len(ends):
        return not large, []
    if len(large) <= _SLIPS * len(ends):
        return True, large
    raise DetectorError(
        f"{path}: {len(small)} boxes are in fractions (the first in line {small[0]}), {len(large)} "
        f"in pixels (line {large[0][0]}); expected one of both: mend those, or make it two tables"
    )


def _group(
    parsed: list[Row], relative: bool, tree: Tree, where: str, problems: list[Problem]
) -> dict[Path, Labelled]:
    """Rows of one picture together, fractions made pixels."""
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
