"""Write constraints.txt from the environment that runs this script.

For a fresh set of versions: `make clean`, `make env CONSTRAINTS=`, `make constraints`, `make test`.
"""

from __future__ import annotations

import sys
from importlib.metadata import distributions
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "constraints.txt"
# The project itself, and what every environment brings of its own.
SKIPPED = {"nerdrain", "pip", "setuptools", "wheel"}


def pins() -> list[str]:
    """Return `name==version` of every installed package, without local suffixes such as +cpu."""
    found = {dist.metadata["Name"]: dist.version.partition("+")[0] for dist in distributions()}
    names = sorted((name for name in found if name.lower() not in SKIPPED), key=str.lower)
    return [f"{name}=={found[name]}" for name in names]


def main() -> int:
    """Keep the file's heading, replace its pins."""
    lines = TARGET.read_text(encoding="utf-8").splitlines()
    heading = [line for line in lines if line.startswith("#")]
    TARGET.write_text("\n".join([*heading, *pins()]) + "\n", encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
