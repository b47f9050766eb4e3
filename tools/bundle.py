"""Write the built book as one zip to read offline: unpack it and open nerdrain-book/index.html.

    python tools/bundle.py          # _build/html becomes _build/nerdrain-book.zip

The same pages give the same bytes: names are sorted, and no time, owner or mode is kept.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "nerdrain-book"
OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
READABLE = 0o100644 << 16


def bundle(site: Path, target: Path) -> int:
    """Write all files of a folder to a zip, and return how many there are."""
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")  # so that the zip is never there in part
    with zipfile.ZipFile(unfinished, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", OLDEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # as on Unix, wherever it is written
            entry.external_attr = READABLE
            archive.writestr(entry, files[name].read_bytes())
    unfinished.replace(target)
    return len(files)


def main(arguments: list[str] | None = None) -> int:
    """Bundle the built book, or say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--to", type=Path, default=ROOT / "_build" / f"{FOLDER}.zip")
    options = parser.parse_args(arguments)
    if not (options.site / "index.html").is_file():
        print(f"{options.site} holds no built book: run `make book` first", file=sys.stderr)
        return 1
    count = bundle(options.site, options.to)
    print(f"{options.to}: {count} files, {options.to.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
