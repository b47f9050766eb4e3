"""Run the notebooks for the book, several at once, so that a build finds them in its cache.

    python tools/run_book.py --workers 2

It runs the notebooks that changed since they last ran here or under nbval (notebooks/conftest.py).
Nothing is written into notebooks/.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
import yaml
from jupyter_cache import get_cache
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "_build" / ".jupyter_cache"
sys.path.insert(0, str(ROOT / "book" / "_ext"))


def listed() -> list[Path]:
    """Return the notebooks of _toc.yml, in the book's order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [path for page in pages if (path := ROOT / f"{page}.ipynb").is_file()]


def run(path: Path) -> tuple[NotebookNode, float]:
    """Execute a notebook in its own folder; return it with its outputs and the seconds it took."""
    started = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    return notebook, time.perf_counter() - started


def main(arguments: list[str] | None = None) -> int:
    """Fill the cache; say which notebooks ran, how long, and which failed."""
    from nerdrain_cache import forget_if_changed, keep, seconds_promised

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="notebooks that run at once")
    options = parser.parse_args(arguments)
    # One thread a kernel: kernels share the cores, and the chapters' networks are small.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    forget_if_changed(ROOT, CACHE)
    cache = get_cache(str(CACHE))
    missing = []
    for path in listed():
        try:
            cache.match_cache_notebook(nbformat.read(path, as_version=4))
        except KeyError:
            missing.append(path)
    missing.sort(key=seconds_promised, reverse=True)  # the longest never runs alone at the end
    failed = 0
    with ThreadPoolExecutor(options.workers) as pool:  # each kernel is a process of its own
        runs = {pool.submit(run, path): path for path in missing}
        for done in as_completed(runs):
            name = runs[done].relative_to(ROOT)
            try:
                notebook, seconds = done.result()
            except Exception as error:  # what the notebook raised: the others go on
                failed += 1
                plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # colours of the traceback
                print(f"{name} failed:\n{plain}", file=sys.stderr, flush=True)
                continue
            keep(notebook, runs[done], CACHE)
            print(f"{name} ran in {seconds:.0f} s", flush=True)
    print(f"{len(listed()) - len(missing)} of {len(listed())} notebooks had nothing to run")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
