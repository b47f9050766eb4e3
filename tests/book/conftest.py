"""The built site on a server, and a browser, for all tests of the site."""

import pytest
from site_help import FLAGS, SITE, find_browser, serve, unavailable


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

    executable = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(120_000)  # a busy machine is no failure
        yield context
        browser.close()
