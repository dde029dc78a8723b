"""Make the pictures of docs/reports.md again: pages of runs that were made up, in Debian's Chromium.

python scripts/report_pictures.py
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from prefect.records.reading import read_record
from prefect.report.html import html

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
COLOURS = 160
SHOWN = (
    ("report-10", 10, "light", ".box:has-text('publish')"),
    ("report-1000", 1_000, "dark", ""),
    ("report-10000", 10_000, "light", ".box:has-text('measure-2')"),
)


def picture(page: Page, name: str) -> None:
    """Write what a page shows, in few colours."""
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = PICTURES / f"{name}.png"
    shown.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, 4, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} KB")


def draw(browser: Browser, directory: Path) -> None:
    """Make all of them."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    records = importlib.import_module("records")
    for name, count, scheme, click in SHOWN:
        lines = records.small() if count == SHOWN[0][1] else records.large(count)
        path = directory / f"{name}.html"
        path.write_bytes(html(read_record(records.write(directory / f"{name}.jsonl", lines))))
        page = browser.new_page(
            viewport={"width": 1280, "height": 860},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page.goto(path.as_uri())
        if click:
            page.click(click)
            page.mouse.move(2, 400)
        page.wait_for_timeout(500)
        picture(page, name)
        page.close()


def main() -> None:
    """Start the browser and draw."""
    PICTURES.mkdir(exist_ok=True)
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as started, tempfile.TemporaryDirectory() as directory:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=alone)
        draw(browser, Path(directory))
        browser.close()


if __name__ == "__main__":
    main()
