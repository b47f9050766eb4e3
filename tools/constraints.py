"""Write constraints.txt from the environment that runs this script.

To update all versions, run `make clean`, `make env CONSTRAINTS=`, `make constraints`, `make test`.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "constraints.txt"
# The project itself, and packages that every environment contains.
SKIPPED = {"nerdrain", "pip", "setuptools", "wheel"}


def oldest_python() -> str:
    """Return the first release of the oldest supported Python, e.g. 3.11.0."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["requires-python"].removeprefix(">=") + ".0"


def main() -> int:
    """Keep the heading of the file and replace its pins, if the oldest Python can install them."""
    found: dict[str, Distribution] = {dist.metadata["Name"]: dist for dist in distributions()}
    names = sorted((name for name in found if name.lower() not in SKIPPED), key=str.lower)
    oldest = oldest_python()
    too_new = [
        f"{name} {found[name].version} needs Python {needed}"
        for name in names
        if (needed := found[name].metadata.get("Requires-Python"))
        and not SpecifierSet(needed).contains(oldest)
    ]
    if too_new:
        print("\n".join(too_new), file=sys.stderr)
        print(
            f"install versions that support Python {oldest}, then run this again", file=sys.stderr
        )
        return 1
    lines = TARGET.read_text(encoding="utf-8").splitlines()
    heading = [line for line in lines if line.startswith("#")]
    # A local version such as +cpu is a build of one index, so it is not pinned.
    pins = [f"{name}=={found[name].version.partition('+')[0]}" for name in names]
    TARGET.write_text("\n".join([*heading, *pins]) + "\n", encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
