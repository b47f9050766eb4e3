"""The cache of executed notebooks: nbval and tools/run_book.py fill it, and the build reads it.

It forgets all notebooks as soon as the package, the data or a library has changed. Jupyter Book
alone runs a notebook again only when its cells change, and would show outdated numbers.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

# What a notebook's results come from, besides its own cells.
SOURCES = ("nerdrain/**/*.py", "data/**/*", "recipes/**/*", "constraints.txt")
LIBRARIES = ("torch", "numpy", "scipy", "scikit-image", "matplotlib", "pillow", "ipywidgets")
RECORD = "nerdrain.sha256"


def digest(root: Path) -> str:
    """Return one number for the sources, the libraries and Python."""
    found = hashlib.sha256(platform.python_version().encode())
    for name in LIBRARIES:
        found.update(f"{name} {version(name)}\n".encode())
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                found.update(f"{path.relative_to(root).as_posix()}\n".encode())
                found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def forget_if_changed(root: Path, cache: Path) -> bool:
    """Empty the cache unless it was filled from the present sources, and say if it was emptied."""
    record, now = cache / RECORD, digest(root)
    if record.is_file() and record.read_text(encoding="utf-8") == now:
        return False
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    record.write_text(now, encoding="utf-8")
    return True


def keep(notebook: NotebookNode, path: Path, cache: Path) -> None:
    """Put an executed notebook into the cache. Several processes may do so at once."""
    with FileLock(cache / "lock"):
        bundle = CacheBundleIn(notebook, str(path))
        get_cache(str(cache)).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


@functools.cache
def seconds_promised(path: Path) -> int:
    """Return the seconds that a notebook promises in its last cell, 0 without a promise."""
    found = re.search(r"report_cost\(device, seconds=(\d+)", path.read_text(encoding="utf-8"))
    return int(found[1]) if found else 0


def before_execution(app: Sphinx, config: Config) -> None:
    """Look before anything of this build is read from the cache."""
    named = config.nb_execution_cache_path
    cache = Path(named) if named else Path(app.outdir).parent / ".jupyter_cache"
    app.nerdrain_forgot = forget_if_changed(Path(app.srcdir), cache)  # type: ignore[attr-defined]


def notebooks_again(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Name the pages of an earlier build that have to be read again, since they run again."""
    if not app.nerdrain_forgot:  # type: ignore[attr-defined]
        return []
    return [page for page in env.found_docs if env.doc2path(page).endswith(".ipynb")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register both."""
    app.connect("config-inited", before_execution)
    app.connect("env-get-outdated", notebooks_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
