"""Prefect's pages as a person uses them, in the chromium of this machine."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

WIDTH: Final = 1280
_COLORS: Final = 128
_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return its path. Fail if it is missing: a skipped check would look like a passed one."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("there is no chromium on this machine: apt install chromium, or set CHROMIUM to its path")
    return found


@contextmanager
def new_page(height: int = 1000) -> Iterator[Page]:
    """Open a page; it fails at its end where it asked any other host for something."""
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": height})
        page.on("request", lambda request: asked.append(request.url))
        yield page
        browser.close()
    assert not [url for url in asked if not re.match(r"https?://127\.0\.0\.1[:/]|data:|file:|blob:", url)]


class PrefectPages:
    """The pages of Prefect's UI."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self._url, self._pictures = page, url, pictures

    def open(self, path: str) -> None:
        """Go to a page."""
        self.page.goto(f"{self._url}{path}")

    def field(self, title: str) -> Locator:
        """Return the field of the form under a title, whether it is optional or not."""
        label = self.page.locator(".schema-form-property__label").get_by_text(
            re.compile(rf"^{re.escape(title)}( \(Optional\))?$")
        )
        return self.page.locator(".schema-form-property").filter(has=label).last.locator("textarea, input").first

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def tab(self, name: str) -> None:
        """Open a tab of the run's page."""
        self.page.locator(".p-tabs").get_by_text(name, exact=True).first.click()

    def sees(self, *texts: str, seconds: float = 30) -> None:
        """Wait until the page shows each of these texts."""
        for text in texts:
            try:
                self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)
            except PlaywrightTimeoutError:
                pytest.fail(f"{text!r} is not on {self.page.url}, which says:\n{self.page.inner_text('body')}")

    def picture(self, name: str) -> None:
        """Keep what the window shows, in few colours."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(700)  # what fades in has
        shot = Image.open(BytesIO(self.page.screenshot()))
        shot.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(
            self._pictures / f"{name}.png", optimize=True
        )
