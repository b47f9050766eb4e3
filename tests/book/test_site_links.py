"""The built book's links: files and anchors that exist, addresses that can be, pictures in words.

Needs a built book (`make site`) and no browser. No other host is asked whether it answers.
"""

import os
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("NERDRAIN_SITE", ROOT / "_build" / "html")).resolve()
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.relative_to(SITE).parts
)
HOST = re.compile(r"(?!-)([a-z0-9-]+\.)+[a-z]{2,}(:\d+)?", re.IGNORECASE)
# A role that MyST did not read, such as {cite}`key`, stands in the text as it was written.
UNREAD_ROLE = re.compile(r"\{[a-z:]+\}`|\[\[?@|\]\(#")


class Page(HTMLParser):
    """What a page names, where it leads, what it loads, its pictures and its text but for code."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loads, self.pictures = {"", "top"}, [], [], []
        self.text, self.silent, self.depth = [], None, 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href") is not None:
            self.links.append(found["href"])
        if tag == "link" and found.get("href") and found.get("rel") != "canonical":
            self.loads.append(found["href"])
        if found.get("src"):
            self.loads.append(found["src"])
        if tag == "img":
            self.pictures.append((found.get("src", "")[:80], found.get("alt")))
        if self.silent is None and tag in {"script", "style", "code", "pre"}:
            self.silent = tag
        self.depth += tag == self.silent

    def handle_endtag(self, tag):
        self.depth -= tag == self.silent
        if self.depth == 0:
            self.silent = None

    def handle_data(self, data):
        if self.silent is None:
            self.text.append(data)


@cache
def read(name: str) -> Page:
    return Page(SITE / name)


def fault_of(page: str, address: str) -> str | None:
    """Why a link of a page leads nowhere, or None."""
    parts = urlsplit(address)
    if address.startswith(("data:", "javascript:")):
        return None
    if address != address.strip() or re.search(r"[\s<>\"]", address):
        return "holds a character that no address has"
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "is no mail address"
    if parts.scheme or parts.netloc:
        if parts.scheme not in {"http", "https"} or not HOST.fullmatch(parts.netloc):
            return "is no address of the web"
        return "ends with a stop of the sentence" if address[-1] in ".,;:" else None
    target = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
    target = (target / "index.html" if target.is_dir() else target).resolve()
    if not target.is_relative_to(SITE) or not target.is_file():
        return "names no file of the site"
    if parts.fragment and target.suffix == ".html":
        anchors = read(target.relative_to(SITE).as_posix()).anchors
        if unquote(parts.fragment) not in anchors:
            return "names no anchor of that page"
    return None


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


def test_there_are_pages_to_look_at():
    if not PAGES and not os.environ.get("NERDRAIN_REQUIRE_BROWSER"):
        pytest.skip("there is no built book: run `make site`")
    assert "book/index.html" in PAGES


def test_every_link_leads_somewhere(page):
    found = read(page)
    assert found.links or page == "index.html"  # the front door sends on by itself
    faults = {address: fault_of(page, address) for address in found.links + found.loads}
    assert {address: fault for address, fault in faults.items() if fault} == {}


def test_every_page_offers_its_source(page):
    source = (ROOT / page).with_suffix(".ipynb")
    if source.is_file():
        assert any(link.endswith(f"_sources/{page[:-5]}.ipynb") for link in read(page).links)


def test_every_picture_is_in_words_too(page):
    assert [source for source, alt in read(page).pictures if not (alt and len(alt) >= 4)] == []


def test_no_role_is_left_unread(page):
    assert UNREAD_ROLE.findall(" ".join(read(page).text)) == []
