"""The built book in a real browser: offline, whole, readable by all and on a phone, and in print.

`make site` opens what `make book` or `make strict` built. It needs a Chromium or Chrome on the
machine, and is skipped where there is none (unless NERDRAIN_REQUIRE_BROWSER is set, as it is where
CI runs). A page is loaded once, and all checks look at that one.
"""

import html
import json
import subprocess
import sys
import traceback
from itertools import pairwise

import nbformat
import pytest
import yaml
from site_help import AXE, ROOT, SITE, Visit, unavailable

import nerdrain

REPOSITORY = "https://github.com/someone/nerdrain"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path != SITE / "index.html"
)


def sliders_of(page: str) -> int:
    """How many interactive figures the chapter of a page has."""
    notebook = (ROOT / page).with_suffix(".ipynb")
    if not notebook.is_file():
        return 0
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return sum("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in outputs)


WITH_SLIDER = [page for page in PAGES if sliders_of(page)]

# [address, loaded width, alternative text] of each picture in the text.
PICTURES = """() => [...document.querySelectorAll('main img')]
    .map(image => [image.src.slice(0, 80), image.complete && image.naturalWidth, image.alt])"""
PICTURE_FILTERS = """() => [...document.querySelectorAll('main img')]
    .map(image => getComputedStyle(image).filter)"""
UNRENDERED_MATH = """() => [...document.querySelectorAll('.math')]
    .filter(math => !math.querySelector('mjx-container')).length"""

# Paper has no use for these, and cannot scroll.
SHOWN_ON_SCREEN_ONLY = """() => [...document.querySelectorAll(
        '.bd-sidebar, .bd-header-article, .prev-next-footer, .copybtn, .widget-slider')]
    .filter(part => part.checkVisibility()).map(part => part.className)"""
CUT_OFF = """() => [...document.querySelectorAll('main :is(pre, .output, mjx-container, table)')]
    .filter(part => part.checkVisibility() && getComputedStyle(part).overflowX !== 'visible'
        && part.scrollWidth > part.clientWidth + 1)
    .map(part => part.textContent.slice(0, 80))"""
# [is the code of a figure, what its summary says on paper] of each part that stays folded.
FOLDED = """() => [...document.querySelectorAll('main details:not([open])')].map(part => [
    part.closest('.tag_hide-input') !== null,
    getComputedStyle(part.querySelector('summary'), '::after').content])"""

# Folded parts are read, too: hints, solutions, the code of figures.
UNFOLD = """() => {
    for (const part of document.querySelectorAll('details')) part.open = true;
    document.querySelectorAll('.toggle-hidden > .admonition-title').forEach(title => title.click());
}"""
# Code is thousands of coloured words of few classes. Three of each class on a page stay.
FEWER_WORDS_OF_CODE = """() => {
    const seen = {};
    for (const pre of document.querySelectorAll('main pre')) {
        const copy = pre.cloneNode(true);
        for (const word of copy.querySelectorAll('span')) {
            const look = word.className + ' in ' + pre.parentElement.parentElement.className;
            seen[look] = (seen[look] ?? 0) + 1;
            if (seen[look] > 3) word.replaceWith(...word.childNodes);
        }
        pre.innerHTML = copy.innerHTML;
    }
}"""
# The pictures a reader sees, in the order of the page.
VISIBLE_PICTURES = """() => [...document.querySelectorAll('main img')]
    .filter(image => image.checkVisibility()).map(image => image.currentSrc)"""
# A slider has arrived when its handle, its label and its picture's caption say so.
ARRIVED = """([number, value]) => {
    const handle = document.querySelectorAll('.widget-slider .noUi-handle')[number];
    const figure = handle.closest('.widget-vbox').querySelector('figure');
    const label = figure?.querySelector('figcaption b').textContent;
    return Number(handle.getAttribute('aria-valuenow')) === value
        && label === handle.getAttribute('aria-valuetext')
        && figure.querySelector('img').complete;
}"""

SCREENS = [("light", 1440), ("dark", 390), ("light", 390), ("dark", 1440)]


@pytest.fixture(scope="module")
def addressed(tmp_path_factory):
    """The book's front page and a small chapter, built as if the repository had an address."""
    folder = tmp_path_factory.mktemp("addressed")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    options = settings["sphinx"]["config"]
    options["html_theme_options"]["repository_url"] = REPOSITORY
    options["html_static_path"] = [str(ROOT / path) for path in options["html_static_path"]]
    settings["sphinx"]["local_extensions"] = {"nerdrain_site": str(ROOT / "book" / "_ext")}
    elsewhere = {"nerdrain_api", "nerdrain_cache"}
    options["extensions"] = [name for name in options["extensions"] if name not in elsewhere]
    options.pop("default_role", None)
    options.pop("html_extra_path", None)
    settings["execute"] = {"execute_notebooks": "off"}
    settings["bibtex_bibfiles"] = [str(ROOT / "book" / "references.bib")]
    settings.pop("html", None)
    (folder / "_config.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": "notebooks/small"}]}
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    (folder / "index.md").write_text("# Front\n\nA page that is no notebook.\n", encoding="utf-8")
    cells = [nbformat.v4.new_markdown_cell("# Small", id="title")]
    cells.append(nbformat.v4.new_code_cell("6 * 7", id="six"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / "small.ipynb")
    build = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", build, "build", str(folder), "-W", "-n"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "_build" / "html"


LAUNCH = {
    "https://colab.research.google.com/github/someone/nerdrain/blob/{tag}/notebooks/small.ipynb",
    "https://mybinder.org/v2/gh/someone/nerdrain/{tag}?urlpath=lab/tree/notebooks/small.ipynb",
}


def test_address_of_the_repository_brings_the_buttons(addressed, context):
    tag = f"v{nerdrain.__version__}"
    chapter = html.unescape((addressed / "notebooks" / "small.html").read_text(encoding="utf-8"))
    for link in [*LAUNCH, REPOSITORY, REPOSITORY + "/issues/new"]:
        assert f'href="{link.format(tag=tag)}' in chapter, link
    front = (addressed / "index.html").read_text(encoding="utf-8")
    assert f'href="{REPOSITORY}"' in front
    assert "colab.research" not in front  # nothing to run there

    visit = Visit(context, addressed.as_uri())
    visit.open((addressed / "notebooks" / "small.html").as_uri())
    visit.page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width in SCREENS:
        opened = visit.show(scheme, width)
        opened.locator(".dropdown-launch-buttons > button").click()
        for name in ("Colab", "Binder"):
            assert opened.locator(f".dropdown-launch-buttons a:has-text('{name}')").is_visible()
        assert visit.violations() == [], (scheme, width)
        opened.locator(".dropdown-launch-buttons > button").click()
    visit.page.close()


def test_book_has_launch_buttons_only_with_an_address():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    address = settings["sphinx"]["config"]["html_theme_options"]["repository_url"]
    for page in PAGES:
        text = (SITE / page).read_text(encoding="utf-8")
        launched = bool(address) and page.startswith("notebooks/")
        assert ("launch-buttons" in text) == launched, page


@pytest.fixture
def visit(context, address):
    visit = Visit(context, address)
    yield visit
    visit.page.close()


def test_the_site_is_built_and_a_browser_is_there(context, address):
    assert (SITE / "index.html").is_file()
    assert [page for page in PAGES if page.startswith("notebooks/")] != []
    assert WITH_SLIDER != []


def is_whole_without_a_network(visited):
    opened = visited.page
    assert opened.locator("article h1").count() == (0 if visited.name == "search.html" else 1)

    assert opened.evaluate(UNRENDERED_MATH) == 0
    assert opened.locator("mjx-merror").count() == 0

    pictures = opened.evaluate(PICTURES)
    assert [p for p in pictures if not p[1]] == []
    assert [p for p in pictures if len(p[2]) < 4] == []
    assert visited.faults == []


def prints_well(visited):
    """Black on white, whole lines, no controls, and nothing folded but the code of figures."""
    opened = visited.page
    opened.emulate_media(media="print", color_scheme="dark")
    opened.set_viewport_size({"width": 680, "height": 960})  # what A4 leaves between its margins
    opened.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    opened.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("() => document.documentElement.dataset.theme") == "light"
    assert opened.evaluate(SHOWN_ON_SCREEN_ONLY) == []
    assert opened.evaluate(CUT_OFF) == []
    for within, printed in opened.evaluate(FOLDED):
        assert within and "folded" in printed
    opened.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    opened.emulate_media(media="screen")
    assert opened.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert opened.locator("main details[open]").count() == 0
    assert visited.faults == []


def fits_every_screen(visited):
    visited.page.evaluate(UNFOLD)
    for scheme, width in SCREENS:
        opened = visited.show(scheme, width)
        assert opened.evaluate("() => document.documentElement.scrollWidth") <= width
        assert set(opened.evaluate(PICTURE_FILTERS)) <= {"none"}  # no theme dims a photograph
    assert visited.faults == []


def is_accessible(visited):
    if not AXE.is_file():
        unavailable("there is no axe-core: run `python tools/site_assets.py`")
    visited.page.evaluate(UNFOLD)
    visited.page.evaluate(FEWER_WORDS_OF_CODE)
    visited.page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width in SCREENS[:2]:
        visited.show(scheme, width)
        assert visited.violations() == [], (scheme, width)


def every_slider_changes_its_picture(visited):
    """By keyboard through all frames on a phone, by a tap on a wide screen; nothing else moves."""
    visited.page.evaluate(UNFOLD)
    handles = visited.page.locator(".widget-slider .noUi-handle")
    assert handles.count() == sliders_of(visited.name)
    for scheme, width in SCREENS[:2] if handles.count() else []:
        opened = visited.show(scheme, width)
        for number in range(handles.count()):
            handle = handles.nth(number)
            last = round(float(handle.get_attribute("aria-valuemax")))
            assert last >= 1
            assert handle.get_attribute("aria-label")
            handle.focus()
            handle.press("Home")
            opened.wait_for_function(ARRIVED, arg=[number, 0])
            seen = [opened.evaluate(VISIBLE_PICTURES)]
            for value in range(1, last + 1) if width < 800 else [last]:
                if width < 800:
                    handle.press("ArrowRight")
                else:
                    base = opened.locator(".widget-slider .noUi-base").nth(number)
                    box = base.bounding_box()
                    base.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
                opened.wait_for_function(ARRIVED, arg=[number, value])
                seen.append(opened.evaluate(VISIBLE_PICTURES))
            for before, after in pairwise(seen):
                assert sum(a != b for a, b in zip(after, before, strict=True)) == 1
            assert len({tuple(pictures) for pictures in seen}) == len(seen)
    assert visited.faults == []


CHECKS = [is_whole_without_a_network, prints_well, fits_every_screen]
CHECKS += [every_slider_changes_its_picture, is_accessible]  # the last one changes the page


@pytest.mark.parametrize("page", sorted(PAGES, key=sliders_of, reverse=True))  # the longest first
def test_page(context, address, page):
    """All checks of a page, which is loaded once; one that fails does not hide the next."""
    visited = Visit(context, address)
    visited.name = page
    visited.open(address + page)
    failed = []
    for check in CHECKS:
        try:
            check(visited)
        except Exception:  # a time-out counts as much as an assertion
            failed.append(f"{check.__name__}: {traceback.format_exc(limit=-1)}")
    visited.page.close()
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("page", ["book/index.html", "search.html", *WITH_SLIDER])
def test_page_opens_from_a_folder(context, page):
    """A reader who unpacked the book from an archive has no server."""
    if "book/index.html" not in PAGES:
        unavailable("there is no built book: run `make site`")
    visit = Visit(context, SITE.as_uri())
    opened = visit.open((SITE / page).as_uri())
    assert opened.locator("main :is(h1, h2):visible").count() > 0
    if page in WITH_SLIDER:
        assert opened.locator(".widget-slider").first.is_visible()
    assert [fault for fault in visit.faults if "another host" in fault] == []
    visit.page.close()


def test_search_finds_a_word_of_the_book(visit, address):
    opened = visit.open(f"{address}search.html?q=Charbonnier")
    opened.wait_for_selector("#search-results li a[href*='notation']")
    assert visit.faults == []


def test_front_door_leads_to_the_book(visit, address):
    opened = visit.open(address)
    opened.wait_for_url("**/book/index.html")
    assert "NeRD-Rain" in opened.title()
