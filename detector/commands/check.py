"""`detector check`: what is wrong or risky in a data set, before hours are spent learning it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from detector.commands.options import shown

if TYPE_CHECKING:
    from detector.data.check.report import Report

MaybePath = Annotated[Path | None, shown("FILE", "none")]


@dataclass(frozen=True)
class Check:
    """Look for what is wrong or risky in labelled pictures (needs the train extra).

    Exit code: 0 when nothing is an error, 1 when something is, 2 when nothing can be read. Nothing
    in DATA is ever changed.
    """

    data: tyro.conf.Positional[Path]
    """A data card, a folder of labelled pictures, or one COCO json, CSV or CVAT XML."""
    html: MaybePath = None
    """Write a page with pictures of what was found."""
    json: bool = False
    """Print all of it as JSON instead of a table."""
    fix: Annotated[Path | None, shown("FOLDER", "none")] = None
    """Write a repaired copy to this new folder, in COCO's layout, pictures upright."""
    tiles: int = 1
    """With --fix: cut the pictures into overlapping parts, so many along the longer side (2 to 16),
    to learn objects that are small in large pictures. Detect with the same --tiles then."""
    augmented: MaybePath = None
    """Write a picture (.png or .jpg) of what augmentation makes of the training pictures."""
    seed: int = 0
    """Which pictures --augmented shows."""
    mosaic: float = 0.0
    """Chance of a mosaic in --augmented, as in `detector train --mosaic`."""

    def run(self) -> int:
        """Prints the report and writes what was asked for."""
        from detector.data.check.stderr import libjpeg_heard

        self._check_outputs()
        with libjpeg_heard():  # the report names the file; libjpeg would not
            report, written = self._look()
        self._print(report, written)
        return int(report.errors > 0)

    def _look(self) -> tuple[Report, list[str]]:
        """The report, and lines on what was written."""
        from detector.data.check.report import check
        from detector.outfile import write_whole

        report = check(self.data)
        written: list[str] = []
        if self.html:
            from detector.data.check.page import as_page

            write_whole(self.html, as_page(report).encode(), "--html")
            written.append(f"written: {self.html}")
        if self.augmented:
            written.append(self._augmented(report, self.augmented))
        if self.fix:
            written += self._fix(report, self.fix)
        return report, written

    def _check_outputs(self) -> None:
        """Before minutes are spent reading: can what was asked for be written at all?"""
        from detector.cutting import MAX_TILES
        from detector.errors import DetectorError
        from detector.outfile import start_file
        from detector.predictor import in_range

        for option, path in (("--html", self.html), ("--augmented", self.augmented)):
            if path:
                start_file(path, option).unlink()
        if self.fix:
            from detector.data.check.repair import check_place
            from detector.data.load import open_card

            check_place(open_card(self.data).root, self.fix)
        in_range("--tiles", self.tiles, 1, MAX_TILES)
        if self.tiles > 1 and not self.fix:
            raise DetectorError(f"--tiles {self.tiles}: is for --fix FOLDER; give both")
        if not 0 <= self.mosaic <= 1:
            raise DetectorError(f"--mosaic {self.mosaic}: expected 0 to 1")
        if self.mosaic and not self.augmented:
            raise DetectorError(f"--mosaic {self.mosaic}: is for --augmented FILE; give both")
        if self.augmented and self.augmented.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise DetectorError(f"--augmented {self.augmented}: expected a name in .png or .jpg")

    def _augmented(self, report: Report, path: Path) -> str:
        import cv2

        from detector.data.check.sheet import augmented_sheet
        from detector.outfile import write_whole

        train = next(iter(report.splits.values()))
        sheet = augmented_sheet(train, seed=self.seed, mosaic=self.mosaic)
        data = cv2.imencode(path.suffix.lower(), sheet)[1].tobytes()
        write_whole(path, data, "--augmented")
        return f"written: {path} (left: as labelled; then as training sees it)"

    def _fix(self, report: Report, out: Path) -> list[str]:
        from detector.data.check.repair import repair, why_useless

        done = repair(report, out, self.tiles)
        lines = [f"{count:>7} {what}" for what, count in sorted(done.items()) if count]
        lines = lines or ["        nothing had to be mended"]
        if why := why_useless(out):
            lines += [f"this copy cannot be trained on: {why}"]
        return [f"written: {out} (COCO layout)", *lines]

    def _print(self, report: Report, written: list[str]) -> None:
        from detector.data.check.text import as_json, as_text

        if self.json:
            print(json.dumps(as_json(report), indent=1))
        else:
            print("\n".join([*as_text(report), *written]))
