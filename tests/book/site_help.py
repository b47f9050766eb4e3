"""The tests of the built site share these: its place, a server, a browser, a page's record."""

import functools
import http.server
import os
import shutil
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("NERDRAIN_SITE", ROOT / "_build" / "html")).resolve()
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"  # for these tests alone: no page has it

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
BROWSER_PATHS = [
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
]
FLAGS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # there is no network
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

VIOLATIONS = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .flatMap(({id, nodes}) => nodes.map(node => [id, node.target.join(' '), node.html]))"""

TWO_FRAMES = """() => new Promise(
    done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"""


def unavailable(reason):
    if os.environ.get("NERDRAIN_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


def find_browser() -> str:
    """The path of a Chromium or Chrome on this machine."""
    found = [shutil.which(name) for name in BROWSERS]
    found += [path for path in BROWSER_PATHS if Path(path).exists()]
    executable = next((path for path in found if path), None)
    if executable is None:
        unavailable("there is no Chromium or Chrome on this machine")
    return executable


@contextmanager
def serve(folder, headers=()):
    """Serve a folder on this machine alone, with additional headers; yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def end_headers(self):
            for name, value in headers:
                self.send_header(name, value)
            super().end_headers()

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Visit:
    """A page with a record of everything that went wrong on it."""

    def __init__(self, context, home):
        self.faults = []
        self.home = home
        self.page = context.new_page()
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        self.page.on("requestfailed", lambda r: self.faults.append(f"request failed: {r.url}"))
        self.page.on("response", self._response)

    def _request(self, request):
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.faults.append(f"another host asked for: {request.url}")

    def _console(self, message):
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def open(self, url):
        self.page.goto(url)
        if self.page.locator(".math").count():  # MathJax is done when its promise is
            self.page.evaluate("() => window.MathJax.startup.promise.then(() => null)")
        if self.page.locator('script[type*="jupyter.widget-view"]').count():
            self.page.wait_for_selector(".jupyter-widgets")
            self.page.wait_for_load_state("networkidle")
        return self.page

    def show(self, scheme, width):
        """Change the screen, and wait until the page has followed."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.evaluate(TWO_FRAMES)
        return self.page

    def violations(self):
        """What axe finds, once the page has settled: the theme answers a new width after 300 ms."""
        for wait in (0, 1000):
            self.page.wait_for_timeout(wait)
            found = self.page.evaluate(VIOLATIONS)
            if not found:
                break
        return found
