"""Put the files of this hand-in into a zip file. It needs only Python."""

import json
import sys
import zipfile
from pathlib import Path

FILES = ["@FILES@"]


def main() -> None:
    """Write the zip file beside this script, or say what is missing."""
    folder = Path(__file__).resolve().parent
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        sys.exit(f"These files are missing: {', '.join(missing)}. Nothing was written.")
    variant = json.loads((folder / "variant.json").read_text(encoding="utf-8"))
    figures = sorted(path.name for path in folder.glob("*.png")) if "report.md" in FILES else []
    target = folder / f"{variant['student']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [*FILES, *figures]:
            archive.write(folder / name, name)
    print(f"Hand in {target}, which holds {', '.join([*FILES, *figures])}")


if __name__ == "__main__":
    main()
