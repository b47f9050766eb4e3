"""The page "Try it" in a real browser: the network, every kind of photo, keyboard, disk, memory.

`make site` opens what `make book` or `make strict` built. A page loads the network once, and
several photos go through it. The expected pictures come from PyTorch, with the same shipped model.
"""

import base64
import gzip
import io
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from site_help import AXE, FLAGS, ROOT, SITE, Visit, find_browser, serve, unavailable

import nerdrain
from nerdrain.data.photos import load_photo, photo_names
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.inference.export import without_feedback

PAGE = "book/try.html"
PARTS = ("runtime", "glue", "wasm", "model")
SETTLED = """() => document.querySelector('#try-status').textContent.startsWith('Done')
    || document.querySelector('#try-feedback-status').textContent.startsWith('Without')
    || !document.querySelector('#try-problem').hidden"""
CLEAR = """() => {
    for (const id of ['try-status', 'try-feedback-status'])
        document.getElementById(id).textContent = '';
}"""
FOCUSED = "() => document.activeElement.id"
# Two clicks in one turn, so that the run has certainly not ended at the second one. It counts the
# runs that the worker is asked for.
CLICK_TWICE = """id => {
    window.post ??= Worker.prototype.postMessage;
    window.runs = 0;
    Worker.prototype.postMessage = function (...given) {
        window.runs++;
        return window.post.apply(this, given);
    };
    const button = document.getElementById(id);
    button.focus();
    button.click();
    button.click();
    return button.getAttribute('aria-disabled');
}"""
# A change in the same turn in which a run starts.
CHANGE = """([id, value, kind]) => {
    const changed = document.getElementById(id);
    document.getElementById('try-run').click();
    changed.value = value;
    changed.dispatchEvent(new Event(kind));
}"""
# What the reader sees in a run without feedback, before the worker can answer; "Stop" may follow.
WITHOUT = """async halt => {
    const [button, stop, says] = ['', '-stop', '-status']
        .map(end => document.getElementById('try-feedback' + end));
    button.click();
    for (let i = 0; i < 20; i++) await null;
    const seen = [...document.querySelectorAll('progress')].filter(bar => bar.checkVisibility());
    const words = says.textContent;
    stop.focus();
    if (halt) stop.click();
    return [seen.map(bar => bar.id), words];
}"""
PICTURE = "id => document.getElementById(id).toDataURL('image/png').split(',')[1]"
MARGIN = 1.2  # of the limit of "almost no rain", because the shipped weights change
ISOLATED = (
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
)
# A machine whose memory is full: the first script of a worker can reserve no more.
NO_MEMORY = """const Before = Blob;
window.Blob = class extends Before {
    constructor(parts, options) {
        const full = 'WebAssembly.Memory.prototype.grow = () => { throw new RangeError("full"); };';
        super(String(options?.type) === 'text/javascript' ? [full, ...parts] : parts, options);
    }
};"""


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rainy(height: int, width: int) -> np.ndarray:
    """A test photograph in heavy rain, cropped."""
    photo = load_photo("horse")[40 : 40 + height, 30 : 30 + width]
    return to_uint8(add_rain(photo, "heavy", 3)[0])


class Demo(Visit):
    """A visit to the page, with what a reader does there."""

    def give(self, content: bytes, name="photo.png", kind="image/png"):
        """Choose a file, and wait for the result or for the sentence about the problem."""
        self.page.evaluate(CLEAR)
        file = {"name": name, "mimeType": kind, "buffer": content}
        self.page.set_input_files("#try-file", file)
        self.page.wait_for_function(SETTLED)
        return self.problem

    def choose_sample(self, name: str):
        """Choose one of the page's photos, and wait for the result."""
        self.page.evaluate(CLEAR)
        self.page.click(f"[data-sample={name}]")
        self.page.wait_for_function(SETTLED)
        assert self.problem == ""

    def choose_size(self, pixels: int):
        """Choose the longest side; the menu is hidden before the first photo."""
        if not self.page.is_visible("#try-size"):
            self.derained(Image.fromarray(rainy(8, 8)))
        self.page.select_option("#try-size", str(pixels))

    def switch_feedback_off(self):
        """Run the last photo without feedback."""
        self.page.evaluate(CLEAR)
        self.page.click("#try-feedback")
        self.page.wait_for_function(SETTLED)
        assert self.problem == ""

    @property
    def status(self) -> str:
        return self.page.locator("#try-status").text_content()

    @property
    def problem(self) -> str:
        return self.page.locator("#try-problem").text_content()

    def picture(self, name="try-after") -> np.ndarray:
        content = base64.b64decode(self.page.evaluate(PICTURE, name))
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))

    def derained(self, image: Image.Image, kind="PNG", **options) -> np.ndarray:
        assert self.give(encoded(image, kind, **options), f"photo.{kind}") == ""
        return self.picture()


@pytest.fixture(scope="module")
def model():
    return nerdrain.load_model("nerd-rain-tiny")


@pytest.fixture(scope="module")
def demo(context, address):
    """One page for many photos; the network is loaded by the first one."""
    if not (SITE / PAGE).is_file():
        unavailable("the built book has no page Try it: run `make book`")
    visit = Demo(context, address)
    visit.open(address + PAGE)
    yield visit
    visit.page.close()


def assert_equal(found: np.ndarray, photo: np.ndarray, network) -> None:
    """The page's picture is PyTorch's, within 2 of 255 everywhere and 60 dB overall."""
    expected = nerdrain.derain(photo, network)
    difference = found[..., :3].astype(float) - expected
    assert np.abs(difference).max() <= 2
    assert np.mean(difference**2) <= 255**2 / 10**6  # 60 dB


def test_nothing_is_loaded_before_the_first_click(context, address):
    visit, asked = Demo(context, address), []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.open(address + PAGE)
    visit.page.wait_for_load_state("networkidle")
    named = {Path(url).name for url in asked if "/try-it/" in url}
    assert "try.js" in named  # the record works
    assert named & {f"{part}.js" for part in PARTS} == set()
    assert visit.faults == []
    visit.page.close()


def test_a_reader_loads_at_most_6_mb():
    if not (SITE / PAGE).is_file():
        unavailable("the built book has no page Try it: run `make book`")
    files = [path for path in (SITE / "try-it").iterdir() if path.suffix in {".js", ".css"}]
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 6)) for path in files}
    assert {f"{part}.js" for part in PARTS} <= sizes.keys()
    assert sum(sizes.values()) <= 6e6, sizes


def test_equals_pytorch(demo, model):
    photo = rainy(187, 250)
    assert_equal(demo.derained(Image.fromarray(photo)), photo, model)


def test_other_sizes_and_kinds(demo, model):
    dot = np.array([[[200, 10, 30]]], np.uint8)
    assert_equal(demo.derained(Image.fromarray(dot)), dot, model)

    photo = rainy(48, 61)
    grey = Image.fromarray(photo).convert("L")
    found = demo.derained(grey)
    expected = nerdrain.derain(np.asarray(grey), model)
    assert np.abs(found[..., :3].astype(int) - expected[..., None]).max() <= 2

    alpha = np.full((48, 61), 255, np.uint8)
    alpha[:, :30] = 128
    see_through = Image.fromarray(np.dstack([photo, alpha]), "RGBA")
    assert np.array_equal(demo.derained(see_through)[..., 3], alpha)

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the file's left is the picture's top
    turned = demo.derained(Image.fromarray(photo), "JPEG", exif=exif, quality=100, subsampling=0)
    upright = nerdrain.derain(np.ascontiguousarray(np.rot90(photo, -1)), model)
    assert turned.shape[:2] == upright.shape[:2] == (61, 48)
    assert (
        np.abs(turned[..., :3].astype(int) - upright).mean() < 4
    )  # JPEG changed the input a little


def test_large_photos_are_scaled_down_with_a_word(demo):
    demo.choose_size(512)
    large = Image.fromarray(rainy(300, 400)).resize((4000, 3000))
    assert demo.derained(large, "JPEG").shape == (384, 512, 4)
    words = demo.page.locator("#try-scaled").text_content()
    assert "4000 × 3000 pixels" in words and "512 × 384" in words
    beside = demo.page.locator("#try-result")
    assert "PNG, 512 × 384 pixels." in beside.inner_text()
    assert "at full size" in beside.inner_text()  # with a link to the command line
    demo.derained(Image.fromarray(rainy(8, 8)))
    assert "PNG, 8 × 8 pixels." in beside.inner_text()
    assert "at full size" not in beside.inner_text()
    demo.choose_size(768)


def pages() -> set[psutil.Process]:
    """The browser's processes that run pages."""
    children = psutil.Process().children(recursive=True)
    return {p for p in children if any("--type=renderer" in word for word in p.cmdline())}


def test_memory_and_pytorch_at_512(context, demo, address, model):
    """Seven runs, from small to large photos and back: the page's memory and its 512x512 result.

    The memory is the page's own, without pages shared with other processes (the browser's code). A
    browser of its own runs nothing else. WebAssembly never gives memory back, so the amount after
    a run is close to the peak. The browser collects no garbage only because it is idle, so a busy
    and a quiet machine measure the same.
    """
    photo = np.asarray(Image.fromarray(rainy(400, 512)).resize((512, 512)))
    before = pages()
    flags = [*FLAGS, "--js-flags=--no-memory-reducer"]
    browser = context.browser.browser_type.launch(executable_path=find_browser(), args=flags)
    visit = Demo(browser.new_context(), address)
    visit.page.set_default_timeout(240_000)
    visit.open(address + PAGE)
    used = []
    for step in ("kingfisher", "liberty", "feedback", "photo", "feedback", "horse", "photo"):
        if step == "photo":
            found = visit.derained(Image.fromarray(photo))
        elif step == "feedback":
            visit.switch_feedback_off()
        else:
            visit.choose_sample(step)
        used.append(max(page.memory_full_info().uss for page in pages() - before))
    browser.close()
    assert_equal(found, photo, model)
    assert 150e6 < max(used) < 500e6, used


def test_look_inside(demo, model):
    photo = rainy(64, 96)
    full = demo.derained(Image.fromarray(photo))
    shapes = {name: demo.picture(f"try-{name}").shape[:2] for name in ("full", "half", "quarter")}
    shapes |= {name: demo.picture(f"try-{name}").shape[:2] for name in ("inr_half", "inr_quarter")}
    assert shapes == {
        "full": (64, 96),
        "half": (32, 48),
        "quarter": (16, 24),
        "inr_half": (32, 48),
        "inr_quarter": (16, 24),
    }
    removed = np.clip(2 * (photo.astype(int) - full[..., :3]), 0, 255)
    assert np.array_equal(demo.picture("try-layer")[..., :3], removed)

    demo.switch_feedback_off()
    assert demo.page.is_visible("#try-change")
    assert_equal(demo.picture("try-without-picture"), photo, without_feedback(model))
    assert demo.page.is_visible("#try-without-picture")
    place = demo.page.locator("#try-without-picture").bounding_box()
    demo.page.check("#try-with")
    assert demo.page.locator("#try-with-picture").bounding_box() == place
    assert not demo.page.is_visible("#try-without-picture")
    assert np.array_equal(demo.picture("try-with-picture"), full)
    demo.switch_feedback_off()
    assert not demo.page.is_checked("#try-with")
    assert demo.page.is_visible("#try-without-picture")


def test_a_run_without_feedback_shows_its_progress_beside_its_button(demo):
    demo.derained(Image.fromarray(rainy(96, 128)))
    result, says = demo.status, demo.page.locator("#try-feedback-status")
    for halt, last_words in [(False, "Without feedback, no pixel"), (True, "Stopped.")]:
        bars, words = demo.page.evaluate(WITHOUT, halt)
        assert bars == ["try-feedback-progress"]
        assert re.fullmatch(r"The network runs without feedback, about \d+ s\.", words)
        demo.page.wait_for_selector("#try-feedback-stop", state="hidden")
        assert says.text_content().startswith(last_words)
        assert not demo.page.is_visible("#try-feedback-progress")
        assert demo.page.evaluate(FOCUSED) == "try-feedback"
        assert demo.status == result


def test_painted_rain_is_removed_too(demo):
    demo.give(encoded(Image.fromarray(to_uint8(load_photo("horse")[:96, :128]))))
    dry = demo.picture("try-before")
    demo.page.check("#try-rain")
    demo.page.locator("#try-density").fill("60")
    wet = demo.picture("try-before")
    assert (wet[..., :3].astype(int) - dry[..., :3]).min() >= 0 and wet.mean() > dry.mean() + 3
    demo.page.click("#try-run")
    demo.page.wait_for_selector("#try-result:visible")
    demo.page.uncheck("#try-rain")
    assert np.array_equal(demo.picture("try-before"), dry)


def test_a_dry_photo_gets_a_sentence(demo):
    dry = load_photo("horse")[:96, :128]
    demo.derained(Image.fromarray(dry))
    assert "almost no rain" in demo.status
    demo.derained(Image.fromarray(rainy(96, 128)))
    assert "almost no rain" not in demo.status


def test_what_counts_as_almost_no_rain(model):
    """The limit lies between what the network changes in dry photos and in photos with rain."""
    source = (ROOT / "book" / "extra" / "try-it" / "try.js").read_text(encoding="utf-8")
    limit = float(re.search(r"const LITTLE = ([\d.]+);", source)[1])

    def change(photo):
        return np.sqrt(np.mean((photo.astype(float) - nerdrain.derain(photo, model)) ** 2))

    for name in photo_names("test")[1::3]:
        small = Image.fromarray(load_photo(name))
        small.thumbnail((256, 256))
        dry = np.asarray(small)
        assert change(dry) < limit / MARGIN, name
        assert change(to_uint8(add_rain(dry, "light", 0)[0])) > limit * MARGIN, name


def test_wrong_files_give_one_sentence(demo):
    for content, kind, words in [
        (b"", "image/png", "This file is empty"),
        (b"a letter", "text/plain", "This file is not a photo"),
        (encoded(Image.new("RGB", (9, 9)))[:40], "image/png", "This file is damaged"),
    ]:
        problem = demo.give(content, "a.bin", kind)
        assert problem.startswith(words) and problem.endswith(".") and problem.count(". ") == 0
    assert demo.derained(Image.new("RGB", (20, 16))).shape == (16, 20, 4)  # and it goes on


def test_a_wrong_file_changes_nothing_and_a_photo_starts_dry(demo):
    demo.derained(Image.fromarray(rainy(96, 128)))
    before = demo.picture("try-before")
    demo.page.check("#try-rain")
    assert demo.give(b"a letter", "letter.txt", "text/plain").startswith("This file is not a photo")
    assert demo.page.locator("#try-problem").evaluate("e => e.getBoundingClientRect().top") >= 0
    demo.choose_size(512)  # the photo is still there
    assert demo.problem == ""
    assert demo.picture("try-before").shape == before.shape
    demo.derained(Image.fromarray(rainy(96, 128)))
    assert not demo.page.is_checked("#try-rain")
    assert np.array_equal(demo.picture("try-before"), before)
    demo.choose_size(768)


def test_a_run_can_be_stopped(demo):
    opened = demo.page
    content = encoded(Image.fromarray(rainy(400, 512)))
    opened.set_input_files("#try-file", {"name": "a.png", "mimeType": "", "buffer": content})
    opened.click("#try-run-stop")
    opened.wait_for_selector("#try-status:has-text('Stopped.')")
    assert not opened.is_visible("#try-run-stop") and not opened.is_visible("#try-result")
    assert opened.evaluate(FOCUSED) == "try-run"  # the neighbour of the hidden button
    photo = rainy(20, 16)
    assert demo.derained(Image.fromarray(photo)).shape == (20, 16, 4)


def test_a_change_stops_a_run_and_says_what_to_do(demo):
    demo.derained(Image.fromarray(rainy(96, 128)))
    for change, words in [
        (["try-size", "512", "change"], "Now remove the rain again."),
        (["try-density", "20", "input"], "The photo has changed. Now remove the rain."),
    ]:
        demo.page.evaluate(CHANGE, change)
        demo.page.wait_for_selector("#try-result", state="hidden")
        demo.page.wait_for_selector("#try-run-stop", state="hidden")
        assert demo.status == words
    demo.choose_size(768)


def test_the_focus_stays_and_a_second_click_does_nothing(demo):
    demo.derained(Image.fromarray(rainy(96, 128)))
    for button in ("try-run", "try-feedback"):
        demo.page.evaluate(CLEAR)
        assert demo.page.evaluate(CLICK_TWICE, button) == "true"
        demo.page.wait_for_function(SETTLED)
        assert demo.page.evaluate(FOCUSED) == button
        assert demo.page.get_attribute(f"#{button}", "aria-disabled") == "false"
        assert demo.page.evaluate("() => window.runs") == 1


def test_by_keyboard_and_for_screen_readers(demo):
    """A sample by the Enter key, the line by arrow keys, what is read aloud, and axe."""
    opened = demo.page
    demo.choose_size(512)
    opened.evaluate(CLEAR)
    opened.locator("[data-sample=kingfisher]").focus()
    opened.keyboard.press("Enter")
    opened.wait_for_function(SETTLED)
    assert demo.problem == ""
    assert opened.locator("#try-status").get_attribute("role") == "status"
    assert opened.locator("#try-problem").get_attribute("role") == "alert"
    opened.locator("#try-at").focus()
    opened.keyboard.press("End")
    opened.keyboard.press("ArrowLeft")
    at = "() => document.querySelector('#try-stage').style.getPropertyValue('--at')"
    assert opened.evaluate(at) == "99%"
    with opened.expect_download() as download:
        opened.locator("#try-download").press("Enter")
    assert download.value.suggested_filename == "kingfisher-derained.png"
    demo.derained(Image.fromarray(rainy(48, 64)))
    demo.switch_feedback_off()  # axe sees all pictures
    if not AXE.is_file():
        unavailable("there is no axe-core: run `python tools/site_assets.py`")
    opened.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width in [("light", 1440), ("dark", 390)]:
        demo.show(scheme, width)
        assert opened.evaluate("() => document.documentElement.scrollWidth") <= width
        assert demo.violations() == [], (scheme, width)
    assert demo.faults == []


def check_elsewhere(visit, url, model):
    """The page at another place derains a small photo."""
    photo = rainy(32, 48)
    visit.open(url)
    assert_equal(visit.derained(Image.fromarray(photo)), photo, model)
    kinds = ("another host", "script error")  # from a disk, Chromium refuses the icons' font
    assert [fault for fault in visit.faults if fault.startswith(kinds)] == []
    visit.page.close()


def test_from_disk(context, demo, model):
    visit = Demo(context, SITE.as_uri())
    check_elsewhere(visit, (SITE / PAGE).as_uri(), model)


def test_at_a_sub_path_with_threads(context, demo, model, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "book").symlink_to(SITE, target_is_directory=True)
    with serve(tmp_path, ISOLATED) as place:
        visit = Demo(context, place)
        visit.open(f"{place}a/book/{PAGE}")
        assert visit.page.evaluate("() => self.crossOriginIsolated")
        check_elsewhere(visit, f"{place}a/book/{PAGE}", model)


def test_too_little_memory_is_one_sentence(context, demo, address):
    visit = Demo(context, address)
    visit.page.add_init_script(NO_MEMORY)
    visit.open(address + PAGE)
    problem = visit.give(encoded(Image.new("RGB", (20, 16))))
    assert problem.startswith("There is not enough memory for this photo")
    visit.page.close()


def test_the_start_page_has_the_icon():
    """Without one, browsers ask for /favicon.ico, which does not exist."""
    if not (SITE / PAGE).is_file():
        unavailable("the built book has no page Try it: run `make book`")
    start = (SITE / "index.html").read_text(encoding="utf-8")
    icon = re.search(r'rel="icon" href="([^"]+)"', start)
    assert icon and 0 < (SITE / icon[1]).stat().st_size < 5000


def test_every_chapter_that_the_page_names_is_a_link():
    if not (SITE / PAGE).is_file():
        unavailable("the built book has no page Try it: run `make book`")
    text = (SITE / PAGE).read_text(encoding="utf-8")
    article = text.partition('<article class="bd-article">')[2].partition("</article>")[0]
    assert len(re.findall(r">(?:<[^>]*>)*[Cc]hapter \d<", article)) >= 10
    unlinked = re.sub(r"<a .*?</a>", "", article, flags=re.DOTALL)
    assert re.findall(r".*[Cc]hapter.*", unlinked) == []


def test_a_visitor_comes_from_the_front_page(context, address):
    visit = Demo(context, address)
    opened = visit.open(f"{address}book/index.html")
    line = opened.locator(".before-after")
    line.locator("input").focus()
    opened.keyboard.press("Home")
    assert line.evaluate("box => box.style.getPropertyValue('--at')") == "0%"
    opened.click("text=Try it on your own photo")
    opened.wait_for_url("**/book/try.html")
    assert opened.locator("label[for=try-file]").is_visible()
    assert visit.faults == []
    visit.page.close()
