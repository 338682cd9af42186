"""The folder of a run and its settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from detector.errors import DetectorError
from detector.training.folder import claim, clear_parts, read_settings, run_folder, write_settings
from detector.training.options import LossOptions, Settings

SMALL = Settings(weights="none", width=0.35, size=96, batch=4, epochs=2, precision="32")


def test_an_existing_run_is_never_overwritten_unasked(tmp_path):
    folder = tmp_path / "runs" / "a"
    claim(folder, overwrite=False)
    write_settings(folder, SMALL, "detector train --data x")
    (folder / "last.ckpt").write_bytes(b"hours of work")
    with pytest.raises(DetectorError, match=r"exists already.*--resume.*--overwrite"):
        claim(folder, overwrite=False)
    claim(folder, overwrite=True)
    assert list(folder.iterdir()) == []


def test_a_run_that_never_began_is_in_nobodys_way(tmp_path):
    claim(tmp_path / "a", overwrite=False)
    write_settings(tmp_path / "a", SMALL, "detector train --data x --weights missing")
    claim(tmp_path / "a", overwrite=False)
    assert list((tmp_path / "a").iterdir()) == []


def test_overwrite_spares_folders_that_are_no_runs(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DetectorError, match="not the folder of a run"):
        claim(tmp_path, overwrite=True)
    with pytest.raises(DetectorError, match="is a file"):
        claim(tmp_path / "thesis.txt", overwrite=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_of_runs_is_never_emptied(tmp_path):
    claim(tmp_path / "a", overwrite=False)
    for folder in (tmp_path, tmp_path / "a"):
        write_settings(folder, SMALL, "detector train --data x")
    with pytest.raises(DetectorError, match="holds another run, a, so --overwrite"):
        claim(tmp_path, overwrite=True)
    assert (tmp_path / "a" / "args.yaml").exists()


@pytest.mark.parametrize(
    ("data", "folder"),
    [("mangoes", "mangoes"), ("../../evil name/x", "evil name-x"), ("", "run"), ("..", "run")],
)
def test_a_run_stays_in_its_folder_whatever_its_data_is_called(data, folder):
    assert run_folder(Path("runs"), None, data) == Path("runs") / folder


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/../../x", "/x"])
def test_names_that_are_no_folder_of_their_own(name):
    with pytest.raises(DetectorError, match="expected a folder's name"):
        run_folder(Path("runs"), name, "mangoes")
    assert run_folder(Path("runs"), "fruit/a", "mangoes") == Path("runs/fruit/a")


def test_no_permission(tmp_path):
    code = "import os; from detector.training.folder import claim; from pathlib import Path\n"
    code += "os.setuid(65534)\n" if os.getuid() == 0 else ""  # root may write everywhere
    code += f"claim(Path({str(tmp_path / 'locked' / 'a')!r}), overwrite=False)"
    (tmp_path / "locked").mkdir(mode=0o555)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "cannot write here (permission denied); save elsewhere" in done.stderr


def test_what_a_killed_writer_left_goes(tmp_path):
    for name in (".best.77.part.ckpt", "best.ckpt", ".hidden"):
        (tmp_path / name).touch()
    clear_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "best.ckpt"]


def test_settings_survive_the_file(tmp_path):
    chosen = Settings("xoài", minutes=1.5, losses=LossOptions("dynamic"))
    write_settings(tmp_path, chosen, "detector train")
    assert read_settings(tmp_path) == chosen


def test_settings_that_are_damaged(tmp_path):
    with pytest.raises(DetectorError, match=r"no args\.yaml in it"):
        read_settings(tmp_path)
    path = tmp_path / "args.yaml"
    for text, message in (
        ("recipe: {lrr: 1}", "unknown setting 'lrr'; did you mean lr\\?"),
        ("size: big", "size is 'big', expected int; mend it"),
        ("epochs: [1]", r"epochs is \[1\], expected float or NoneType"),
        ("recipe: {lr: true}", "lr is True, expected float"),
        ("losses: {matcher: best}", "matcher is 'best', expected iou or dynamic"),
        ("[1, 2]", "expected settings"),
        ("a: [", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(DetectorError, match=message):
            read_settings(tmp_path)


def test_args_are_plain_yaml(tmp_path):
    write_settings(tmp_path, SMALL, "detector train --data x")
    text = (tmp_path / "args.yaml").read_text()
    assert text.startswith("# detector train --data x\n")
    assert yaml.safe_load(text)["recipe"]["optimiser"] == "adamw"
