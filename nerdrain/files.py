"""Find the images of a folder and the folders of shipped files, and write a file safely."""

import os
from contextlib import suppress
from pathlib import Path

from nerdrain.errors import NerdrainError

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the image files that every command reads and writes."""

PACKAGE = Path(__file__).parent


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted. Hidden files do not count.

    Raises:
        NerdrainError: The folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise NerdrainError(f"there is no folder {folder}; check the path.")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")  # such as "._photo.jpg", which macOS adds
        and path.is_file()
    ]
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise NerdrainError(f"{folder} holds no image ({kinds}); subfolders are not searched.")
    return found


def shipped_folder(name: str) -> Path:
    """Return the folder "recipes" or "data/checkpoints" of the installation or the repository."""
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
