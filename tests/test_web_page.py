"""The browser view's page in a real headless Chromium."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from waiting import wait_until
from web_client import chromium

from detector.web import WebView

pytestmark = pytest.mark.slow


class Pipeline:
    """Shows moving pictures with changing figures, as the live loop does."""

    def __init__(self, view: WebView, stop_at: int | None = None) -> None:
        self.view, self.pressed, self.ended = view, list[str](), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        number = 0
        while not self.ended.wait(0.03):
            number += 1
            image = np.full((576, 768, 3), (70, 60, 50), np.uint8)
            cv2.rectangle(image, (number * 5 % 600, 150), (number * 5 % 600 + 160, 480), 200, 4)
            figures = {"fps": 20 + number % 10, "age_ms_p50": 131.2, "age_ms_p95": 248.9}
            more = {"infer_ms_p50": 9.0 + number % 7, "detections": number % 5, "dropped": number}
            self.view.show(
                image, {**figures, **more, "score": 0.5, "paused": 0, "status": "sample"}
            )
            self.pressed += self.view.keys()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()


CANVAS = """
const image = document.getElementById("picture"), canvas = document.createElement("canvas");
canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
canvas.getContext("2d").drawImage(image, 0, 0);
return canvas.toDataURL();
"""


def text_of(browser: Any, name: str) -> str:
    return str(browser.execute_script(f"return document.getElementById('{name}').textContent"))


def scrolls_sideways(browser: Any) -> bool:
    script = "return document.documentElement.scrollWidth > window.innerWidth"
    return bool(browser.execute_script(script))


def test_browser_shows_moving_pictures_figures_and_sends_keys(view: WebView, browser: Any) -> None:
    pipeline = Pipeline(view)
    browser.get_log("browser")
    browser.get(view.url)
    width = "return document.getElementById('picture').naturalWidth"
    wait_until(lambda: browser.execute_script(width) == 768, "the picture")
    first = browser.execute_script(CANVAS)
    assert len(first) > 2000
    wait_until(lambda: browser.execute_script(CANVAS) != first, "the picture moves")
    wait_until(lambda: text_of(browser, "link") == "live", "the page says live")
    dropped = text_of(browser, "dropped")
    assert dropped.isdigit()
    wait_until(lambda: text_of(browser, "dropped") != dropped, "the figures change")
    assert text_of(browser, "age") == "131/249 ms"

    for button in browser.find_elements("css selector", "button"):
        button.click()
    wait_until(lambda: pipeline.pressed == [" ", "-", "+", "s", "h", "q"], "the buttons' keys")
    pipeline.pressed.clear()
    body = browser.find_element("css selector", "body")
    browser.execute_script("document.activeElement.blur()")
    for key in (" ", "+", "=", "-", "s", "\ue00c", "x"):
        body.send_keys(key)
    wait_until(lambda: pipeline.pressed == [" ", "+", "+", "-", "s", "esc"], "the keyboard's keys")
    assert not scrolls_sideways(browser)
    assert browser.get_log("browser") == []
    keep_screenshot(browser, "desktop")
    pipeline.stop()


def test_browser_shows_each_picture_without_waiting_for_the_next(
    view: WebView, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.web._RESEND_S", 300)
    view.show(np.full((240, 320, 3), 99, np.uint8), {})
    browser.get(view.url)
    width = "return document.getElementById('picture').naturalWidth"
    wait_until(lambda: browser.execute_script(width) == 320, "the only picture")
    first = browser.execute_script(CANVAS)
    view.show(np.full((240, 320, 3), 200, np.uint8), {})
    wait_until(lambda: browser.execute_script(CANVAS) != first, "the second and last picture")


def test_browser_reconnects_when_the_detector_comes_back(browser: Any) -> None:
    view = WebView(port=0)
    port = int(view.url.rstrip("/").rsplit(":", 1)[1])
    pipeline = Pipeline(view)
    browser.get(view.url)
    wait_until(lambda: text_of(browser, "link") == "live", "the page says live")
    pipeline.stop()
    view.close()
    wait_until(lambda: text_of(browser, "link") == "reconnecting", "the loss is told")
    enabled = "return [...document.querySelectorAll('button')].some((button) => !button.disabled)"
    assert not browser.execute_script(enabled)
    keep_screenshot(browser, "lost")
    view = WebView(port=port)
    pipeline = Pipeline(view)
    wait_until(lambda: text_of(browser, "link") == "live", "the page comes back")
    first = browser.execute_script(CANVAS)
    wait_until(lambda: browser.execute_script(CANVAS) != first, "the picture moves again")
    pipeline.stop()
    view.close()


def test_phone_page_fits_without_sideways_scroll(
    view: WebView, tmp_path_factory: pytest.TempPathFactory
) -> None:
    phone = chromium(tmp_path_factory.mktemp("phone"), 500, 900)
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    phone.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    pipeline = Pipeline(view)
    try:
        phone.get(view.url)
        wait_until(lambda: text_of(phone, "link") == "live", "the page says live")
        assert phone.execute_script("return window.innerWidth") == 360
        assert not scrolls_sideways(phone)
        shape = "const b = document.getElementById('picture').getBoundingClientRect();"
        assert phone.execute_script(shape + "return b.width > 300 && b.height > 150")
        spills = "return [...document.querySelectorAll('dl div')]"
        assert phone.execute_script(spills + ".every((d) => d.scrollWidth <= d.clientWidth)")
        keep_screenshot(phone, "phone")
    finally:
        pipeline.stop()
        phone.quit()


def keep_screenshot(browser: Any, name: str) -> None:
    """Kept only where DETECTOR_SCREENSHOTS names a folder, for a look by eye."""
    if folder := os.environ.get("DETECTOR_SCREENSHOTS"):
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))
