"""Suffixes of image files, the folders of shipped files, and writing a file safely."""

import os
from contextlib import suppress
from pathlib import Path

from nerdrain.errors import NerdrainError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the image files that every command reads and writes."""

PACKAGE = Path(__file__).parent


def shipped_folder(name: str) -> Path:
    """Return a folder of shipped files, in the installed package or in the repository.

    Args:
        name: "recipes" or "data/checkpoints", as in the repository.
    """
    installed = PACKAGE / "shipped" / Path(name).name
    return installed if installed.is_dir() else PACKAGE.parent / name


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its path always holds either the old file or the complete new file.

    Raises:
        NerdrainError: The disk is full or the folder cannot be written; the old file is untouched.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise NerdrainError(
            f"{path}: could not be written ({error.strerror or error}) and is unchanged; free some "
            "space or choose another folder."
        ) from None
    finally:
        with suppress(OSError):  # for example if the folder itself is missing
            part.unlink()
