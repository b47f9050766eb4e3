"""The built site on a server, and a browser, for all tests of the site."""

import shutil
from pathlib import Path

import pytest
from site_help import BROWSER_PATHS, BROWSERS, FLAGS, SITE, serve, unavailable


@pytest.fixture(scope="session")
def address():
    """Serve the built site on this machine alone."""
    if not (SITE / "book" / "index.html").is_file():
        unavailable("there is no built book: run `make site`")
    with serve(SITE) as place:
        yield place


@pytest.fixture(scope="session")
def context():
    """A browser that knows no host but this one, and keeps the files that all pages load."""
    from playwright.sync_api import sync_playwright

    found = [shutil.which(name) for name in BROWSERS]
    found += [path for path in BROWSER_PATHS if Path(path).exists()]
    executable = next((path for path in found if path), None)
    if executable is None:
        unavailable("there is no Chromium or Chrome on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(120_000)  # a busy machine is no failure
        yield context
        browser.close()
