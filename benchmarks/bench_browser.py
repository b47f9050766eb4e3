"""Time the page "Try it" against `nerdrain.derain`, one thread each, in turn, on one photograph.

    python benchmarks/bench_browser.py

It needs a built book and a Chromium or Chrome. Both times are processor seconds of one image of
512x512 pixels, after a first one: of this process with PyTorch, and of the browser's process with
the page. They depend less on what else the machine does than seconds on the clock. The last row of
times is the complete command `nerdrain derain`, with the start of Python.
"""

import argparse
import io
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

import nerdrain
from nerdrain.data.photos import load_photo
from nerdrain.data.rain import add_rain
from nerdrain.evaluation.metrics import to_uint8

ROOT = Path(__file__).resolve().parent.parent
SIDE = 512
DONE = "() => document.querySelector('#try-status').textContent.startsWith('Done')"
CLEAR = "() => { document.querySelector('#try-status').textContent = ''; }"


def rainy_photo() -> np.ndarray:
    photo = Image.fromarray(to_uint8(load_photo("horse"))).crop((100, 0, 598, 498))
    return to_uint8(add_rain(np.asarray(photo.resize((SIDE, SIDE))) / 255, "heavy", 3)[0])


def to_png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def page_process() -> psutil.Process:
    """The browser's process that runs the page: the largest of its kind."""
    children = psutil.Process().children(recursive=True)
    pages = [p for p in children if any("--type=renderer" in word for word in p.cmdline())]
    return max(pages, key=lambda process: process.memory_info().rss)


def seconds_in_page(page, content: bytes) -> float:
    before = sum(page_process().cpu_times()[:2])
    page.evaluate(CLEAR)
    file = {"name": "photo.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("#try-file", file)
    page.wait_for_function(DONE)
    return sum(page_process().cpu_times()[:2]) - before


def seconds_in_torch(model: nerdrain.NeRDRain, photo: np.ndarray) -> float:
    begin = time.process_time()
    nerdrain.derain(photo, model)
    return time.process_time() - begin


def seconds_of_command(content: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "photo.png")
        source.write_bytes(content)
        begin = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "nerdrain", "derain", source, "-o", f"{folder}/out.png"]
        options = {"env": os.environ | {"OMP_NUM_THREADS": "1"}, "capture_output": True}
        subprocess.run([*command, "--device", "cpu"], check=True, **options)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


def measure(page, repeats: int) -> dict[str, list[float]]:
    """Processor seconds of each, taken in turn; the first of each is not counted."""
    torch.set_num_threads(1)
    photo, model = rainy_photo(), nerdrain.load_model("nerd-rain-tiny")
    content = to_png(photo)
    times: dict[str, list[float]] = {"nerdrain.derain": [], "page": []}
    for _ in range(repeats + 1):
        times["nerdrain.derain"].append(seconds_in_torch(model, photo))
        times["page"].append(seconds_in_page(page, content))
    times = {name: values[1:] for name, values in times.items()}
    times["nerdrain derain"] = [seconds_of_command(content)]
    return times


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    names = ("chromium", "google-chrome", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto((options.site / "book" / "try.html").resolve().as_uri())
        times = measure(page, options.repeats)
        memory = page_process().memory_full_info().uss
        browser.close()
    for name, values in times.items():
        listed = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:16} {statistics.median(values):.2f} s of processor ({listed})")
    for name in ("nerdrain.derain", "nerdrain derain"):
        ratio = statistics.median(times["page"]) / statistics.median(times[name])
        print(f"page / {name}: {ratio:.2f}")
    print(f"memory of the page's process: {memory / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
