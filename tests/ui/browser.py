"""Prefect's pages as a person uses them, in this machine's chromium."""

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
    """Return chromium's path. Fail if it is missing, because a skipped check would look like a passed one."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.fail("chromium is missing on this machine: apt install chromium, or set CHROMIUM to its path")
    return path


@contextmanager
def new_page(height: int = 1000) -> Iterator[Page]:
    """Open a page. Fail at the end if the page sent a request to any host but this one."""
    urls: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": height})
        page.on("request", lambda request: urls.append(request.url))
        yield page
        browser.close()
    assert not [url for url in urls if not re.match(r"https?://127\.0\.0\.1[:/]|data:|file:|blob:", url)]


class PrefectPages:
    """The pages of Prefect's UI."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self._url, self._pictures = page, url, pictures

    def open(self, path: str) -> None:
        """Open a page."""
        self.page.goto(f"{self._url}{path}")

    def field(self, title: str) -> Locator:
        """Return the form field with a title, whether the field is optional or not."""
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

    def expect_texts(self, *texts: str, seconds: float = 30) -> None:
        """Wait until the page shows each of the texts. Fail with the page's text if it does not."""
        for text in texts:
            try:
                self.page.get_by_text(text).first.wait_for(timeout=seconds * 1000)
            except PlaywrightTimeoutError:
                pytest.fail(f"{text!r} is not on {self.page.url}, which says:\n{self.page.inner_text('body')}")

    def picture(self, name: str) -> None:
        """Save a screenshot of the window, reduced to few colours."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(700)  # until animations have finished
        shot = Image.open(BytesIO(self.page.screenshot()))
        shot.convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE).save(
            self._pictures / f"{name}.png", optimize=True
        )
