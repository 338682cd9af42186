"""The page in a real headless Chromium: camera, pictures, videos, offline, on a phone's screen."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from waiting import wait_until
from web_client import chromium

from detector import Detector
from detector.colors import class_color
from detector.errors import DetectorError
from detector.images import read_image
from detector.serve import runtime

pytestmark = pytest.mark.slow
DATA = Path(__file__).parents[3] / "shared" / "data"
CLIP = DATA / "video" / "vtest.avi"
LONG_S = 180  # a busy machine compiles WebAssembly for a while

if not CLIP.is_file():
    pytest.skip(f"needs {CLIP}", allow_module_level=True)


@pytest.fixture(scope="module")
def model() -> Detector:
    """What the page runs, in Python."""
    return Detector(precision="float")


@pytest.fixture(scope="module", autouse=True)
def page_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ONNX Runtime Web: what is there, else fetched into a folder of its own."""
    if runtime.find() is not None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETECTOR_CACHE", str(tmp_path_factory.mktemp("runtime")))
        try:
            runtime.build()
        except DetectorError as error:
            pytest.skip(str(error))
        yield


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of the clip as Chromium reads a fake camera: JPEGs one after the other."""
    path = tmp_path_factory.mktemp("camera") / "clip.mjpeg"
    video = cv2.VideoCapture(str(CLIP))
    with path.open("wb") as file:
        for _ in range(50):
            file.write(cv2.imencode(".jpg", video.read()[1])[1].tobytes())
    return path


@pytest.fixture
def browse(camera: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """browse(url): a Chromium with the clip as its camera, on the page, once that is ready."""
    opened: list[Any] = []

    def start(url: str, width: int = 1280, height: int = 960, phone: bool = False) -> Any:
        browser = chromium(
            tmp_path / "profile",
            width,
            height,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={camera}",
        )
        opened.append(browser)
        if phone:
            metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(url)
        until_ready(browser)
        return browser

    yield start
    for browser in opened:
        browser.quit()


LISTEN = """
window.seen = [];
document.getElementById("canvas").addEventListener("detections", (e) => seen.push(e.detail));
"""
# Chromium plays a file as one camera only: the page is told of a second, which is the same.
TWO_CAMERAS = """
const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
window.facings = [];
media.enumerateDevices = async () => [{ kind: "videoinput" }, { kind: "videoinput" }];
media.getUserMedia = (wanted) => {
  facings.push(wanted.video.facingMode.ideal);
  return ask(wanted);
};
"""
# The colour on the left edge of the best box, where it stands free, and the class's own.
EDGE = """
const {found} = seen.at(-1), canvas = document.getElementById("canvas");
const [left, top, , bottom] = found[0].xyxy;
const pixel = canvas.getContext("2d").getImageData(left, (top + bottom) / 2, 1, 1).data;
return [...pixel].slice(0, 3);
"""


def text_of(browser: Any, name: str) -> str:
    return str(browser.execute_script(f"return document.getElementById('{name}').textContent"))


def until_ready(browser: Any) -> None:
    wait_until(lambda: text_of(browser, "state") != "loading", "the model is loaded", LONG_S)
    assert text_of(browser, "state") == "ready", text_of(browser, "message")
    browser.execute_script(LISTEN)


def found_in(browser: Any, path: Path) -> list[dict[str, Any]]:
    """What the page finds in a picture that is opened as a file."""
    before = browser.execute_script("return seen.length")
    browser.find_element("id", "file").send_keys(str(path))
    wait_until(lambda: browser.execute_script("return seen.length") > before, "a result", LONG_S)
    return list(browser.execute_script("return seen.at(-1).found"))


def errors_in(browser: Any) -> list[dict[str, Any]]:
    return [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_camera_shows_people_boxed_and_the_rate(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector
) -> None:
    browser = browse(f"http://127.0.0.1:{serve(using=model).port}/")
    assert browser.execute_script("return crossOriginIsolated")
    browser.execute_script(TWO_CAMERAS)
    browser.find_element("id", "camera").click()
    people = "return seen.some(({found}) => found.filter(({label}) => label === 0).length >= 2)"
    wait_until(lambda: browser.execute_script(people), "two people are found", LONG_S)
    rate = "return parseFloat(document.getElementById('fps').textContent)"
    wait_until(lambda: (browser.execute_script(rate) or 0) > 0, "the rate is shown", LONG_S)
    assert browser.find_element("id", "flip").is_displayed()
    browser.find_element("id", "flip").click()
    browser.execute_script("seen.length = 0")
    wait_until(lambda: browser.execute_script(people), "the other camera's people", LONG_S)
    assert browser.execute_script("return facings") == ["environment", "user"]
    browser.find_element("id", "pause").click()
    wait_until(lambda: text_of(browser, "pause") == "Go on", "the pause")
    wait_until(lambda: browser.execute_script("return seen.at(-1).found.length") > 0, "boxes")
    label = browser.execute_script("return seen.at(-1).found[0].label")
    blue, green, red = class_color(label)
    assert np.abs(np.subtract(browser.execute_script(EDGE), (red, green, blue))).max() < 60
    assert errors_in(browser) == []
    keep_screenshot(browser, "serve-desktop")


def test_pictures_give_what_python_finds(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector
) -> None:
    browser = browse(f"http://127.0.0.1:{serve(using=model).port}/")
    for name in ("dog.jpg", "horses.jpg", "person.jpg", "000542.jpg"):
        path = DATA / "photos" / name
        image = read_image(path)
        expected = model(image)
        found = found_in(browser, path)
        assert [one["label"] for one in found] == expected.labels.tolist()
        size = np.tile(image.shape[1::-1], 2)
        boxes = np.array([one["xyxy"] for one in found]) / size
        np.testing.assert_allclose(boxes, expected.xyxy / size, atol=1e-3)
        np.testing.assert_allclose([one["score"] for one in found], expected.scores, atol=1e-3)
    assert not text_of(browser, "fps")[0].isdigit()  # one picture has no rate
    assert errors_in(browser) == []


def test_controls_change_what_is_shown(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector, tmp_path: Path
) -> None:
    browser = browse(f"http://127.0.0.1:{serve(using=model).port}/")
    found = found_in(browser, DATA / "photos" / "dog.jpg")
    assert {one["label"] for one in found} >= {1, 16}
    count = "return seen.at(-1).found.length"
    browser.find_element("css selector", "summary").click()
    browser.find_element("id", "none").click()
    wait_until(lambda: browser.execute_script(count) == 0, "no class, no box", LONG_S)
    browser.find_element("id", "search").send_keys("dog")
    browser.find_element("id", "all").click()  # of those that the search shows
    wait_until(lambda: text_of(browser, "found") == "1 dog", "the dog alone", LONG_S)
    assert text_of(browser, "chosen") == "2 of 80"  # dog, hot dog
    lower = "const s = document.getElementById('score'); s.value = 0.95;"
    browser.execute_script(lower + "s.dispatchEvent(new Event('input'))")
    wait_until(lambda: browser.execute_script(count) == 0, "a high threshold", LONG_S)
    (tmp_path / "a.png").write_bytes(b"no picture")
    browser.find_element("id", "file").send_keys(str(tmp_path / "a.png"))
    wait_until(lambda: "a.png: no picture" in text_of(browser, "message"), "the reason")


DROP = """
const [name, type, content] = arguments;
const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], name, { type }));
document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
"""


def test_a_dropped_video_plays_until_a_picture_is_dropped(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector
) -> None:
    browser = browse(f"http://127.0.0.1:{serve(using=model).port}/")
    video = (DATA / "video" / "one-by-one-person-detection.mp4").read_bytes()
    browser.execute_script(DROP, "a.mp4", "video/mp4", base64.b64encode(video).decode())
    wait_until(lambda: browser.execute_script("return seen.length > 3"), "frames", LONG_S)
    size = "const c = document.getElementById('canvas'); return [c.width, c.height]"
    assert browser.execute_script(size) == [768, 432]
    photo = (DATA / "photos" / "dog.jpg").read_bytes()
    browser.execute_script(DROP, "dog.jpg", "image/jpeg", base64.b64encode(photo).decode())
    wait_until(lambda: browser.execute_script(size) == [768, 576], "the picture", LONG_S)
    wait_until(lambda: "1 dog" in text_of(browser, "found"), "the dog", LONG_S)
    assert errors_in(browser) == []


def test_page_works_without_the_server_after_the_first_load(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector
) -> None:
    served = serve(using=model)
    browser = browse(f"http://127.0.0.1:{served.port}/")
    photo = DATA / "photos" / "dog.jpg"
    online = found_in(browser, photo)
    served.stop()
    browser.get("about:blank")
    browser.get(f"http://127.0.0.1:{served.port}/")
    until_ready(browser)
    assert found_in(browser, photo) == online
    # What a browser asks of a page before it offers to install it.
    assert browser.execute_cdp_cmd("Page.getInstallabilityErrors", {}) == {
        "installabilityErrors": []
    }
    keep_screenshot(browser, "serve-offline")


def test_page_fits_a_phone(
    serve: Callable[..., Any], browse: Callable[..., Any], model: Detector
) -> None:
    browser = browse(f"http://127.0.0.1:{serve(using=model).port}/", 500, 900, phone=True)
    assert browser.execute_script("return innerWidth") == 390
    keep_screenshot(browser, "serve-phone-start")
    browser.find_element("id", "camera").click()
    boxed = "return seen.some(({found}) => found.length > 1)"
    wait_until(lambda: browser.execute_script(boxed), "boxes", LONG_S)
    keep_screenshot(browser, "serve-phone")
    browser.execute_script("document.querySelector('details').open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    small = "return [...document.querySelectorAll('button:not([hidden]), select')]"
    assert browser.execute_script(small + ".every((b) => b.getBoundingClientRect().height >= 44)")
    browser.execute_script("scrollTo(0, 9999)")
    keep_screenshot(browser, "serve-phone-classes")


def keep_screenshot(browser: Any, name: str) -> None:
    """Kept only where DETECTOR_SCREENSHOTS names a folder, for a look by eye."""
    if folder := os.environ.get("DETECTOR_SCREENSHOTS"):
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))
