"""Find the images of a folder and the folders of shipped files, and write a file safely."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nerdrain.errors import NerdrainError

if sys.platform != "win32":
    import fcntl

IMAGE_SUFFIXES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Suffixes of the image files that every command reads and writes."""

READ_ONLY_SUFFIXES = (".heic", ".heif")
"""Suffixes of the image files that every command reads, if pillow-heif is installed."""

MOST_WRITERS = 64
"""Number of processes that can write to one folder at the same time."""

ADVICE = {
    errno.ENOSPC: "the disk is full, so free some space or choose another folder",
    errno.EDQUOT: "your quota is used up, so free some space or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "a file is in the place of a folder, so choose another folder",
    errno.EEXIST: "a file is in the place of a folder, so choose another folder",
    errno.EISDIR: "choose another name",
    errno.EROFS: "the disk is read-only, so choose a folder on another disk",
    errno.EACCES: "you may not write there, so choose another folder or change its permissions",
    errno.EPERM: "you may not write there, so choose another folder or change its permissions",
}
"""How to fix a failure to write, by the number of the system's error."""

CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)

PACKAGE = Path(__file__).parent


def is_image_name(path: Path) -> bool:
    """Whether a path has the suffix of an image that can be read, and is not hidden."""
    readable = path.suffix.lower() in IMAGE_SUFFIXES + READ_ONLY_SUFFIXES
    return readable and not path.name.startswith(".")  # such as "._photo.jpg", which macOS adds


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted. Hidden files do not count.

    Raises:
        NerdrainError: The folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise NerdrainError(f"there is no folder {folder}; check the path.")
    paths = sorted(folder.iterdir())
    found = [path for path in paths if is_image_name(path) and path.is_file()]
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise NerdrainError(f"{folder} holds no image ({kinds}); subfolders are not searched.")
    return found


def shipped_folder(name: str) -> Path:
    """Return the folder "recipes" or "data/checkpoints" of the installation or the repository."""
    installed = PACKAGE / "shipped" / Path(name).name
    return installed if installed.is_dir() else PACKAGE.parent / name


def make_folder(path: Path) -> None:
    """Make a folder and its parents; a folder that exists stays.

    Raises:
        NerdrainError: The folder cannot be made, for example because a file is in its place.
    """
    with explain_failure(path):
        path.mkdir(parents=True, exist_ok=True)


def write_atomically(path: Path, content: bytes, *, overwrite: bool = True) -> None:
    """Write a file so that its path always holds either the old file or the complete new file.

    A file that is replaced keeps its permissions. If `path` is a symbolic link, the file to which
    it leads is written.

    Args:
        path: The file; missing folders are made.
        content: Its bytes.
        overwrite: Whether a file may be replaced. If not, a file that another process creates
            meanwhile is not replaced either.

    Raises:
        NerdrainError: The file exists, or it cannot be written; the old file is untouched.
    """
    write_in_order({path: content}, overwrite=overwrite)


def write_in_order(contents: Mapping[Path, bytes], *, overwrite: bool = True) -> None:
    """Write files that belong together; if the last one exists, they all exist and are complete.

    Each file is written as by `write_atomically`. A process that is killed leaves some of the first
    files, and the same call then completes them, even without `overwrite`.

    Args:
        contents: The bytes of each file, in order.
        overwrite: Whether files may be replaced. A file other than the last may exist in any case
            if it holds the same bytes.

    Raises:
        NerdrainError: A file exists, or one cannot be written.
    """
    *_, last = contents
    with ExitStack() as stack:
        parts: dict[Path, Path] = {}
        for path, content in contents.items():
            if path == last or not _holds(path, content):
                if not overwrite:
                    _refuse_existing(path)
                with explain_failure(path):
                    parts[path] = stack.enter_context(_write_part(path, content))
        if overwrite and len(parts) > 1:  # the old last file does not belong to the new first one
            with explain_failure(last):
                _resolve(last).unlink(missing_ok=True)
        for path, part in parts.items():
            with explain_failure(path):
                _publish(part, path, overwrite)


@contextmanager
def explain_failure(path: Path) -> Iterator[None]:
    """Turn the system's error while `path` is written into a sentence that says how to fix it.

    Raises:
        NerdrainError: The system reported an error.
    """
    try:
        yield
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "choose another folder")
        reason = f"could not be written ({error.strerror or error}) and is unchanged"
        raise NerdrainError(f"{path}: {reason}; {advice}.") from None


def _resolve(path: Path) -> Path:
    """The file to which a path leads; a loop of symbolic links stays as it is."""
    return Path(os.path.realpath(path))


def _holds(path: Path, content: bytes) -> bool:
    """Whether a file exists and holds these bytes."""
    with suppress(OSError):
        return path.stat().st_size == len(content) and path.read_bytes() == content
    return False


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise NerdrainError(f"{path} exists; give --overwrite to replace it.")


@contextmanager
def _write_part(path: Path, content: bytes) -> Iterator[Path]:
    """Write the future content of `path` to a file beside it, which is removed at the end."""
    real = _resolve(path)
    replaces = os.path.lexists(real)
    if replaces and not real.is_file():
        raise IsADirectoryError(errno.EISDIR, "it is not a regular file")
    real.parent.mkdir(parents=True, exist_ok=True)
    part, file = _create_part(real.parent, 0o600 if replaces else 0o666)
    with file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if replaces:
                shutil.copymode(real, part)
            if sys.platform == "win32":  # Windows renames no open file
                file.close()
            yield part
        finally:
            with suppress(OSError):  # most often it has its final name already
                if sys.platform == "win32":
                    file.close()
                    part.unlink()
                elif _is_at(file, part):
                    part.unlink()


def _publish(part: Path, path: Path, overwrite: bool) -> None:
    """Give a finished file its name."""
    if not overwrite:
        try:
            os.link(part, path)
            return
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links, or an error that `replace` repeats
            pass
        _refuse_existing(path)
    part.replace(_resolve(path))


def part_names(folder: Path) -> list[Path]:
    """The paths that unfinished files can have in a folder, one for each process that writes."""
    return [folder / f".nerdrain-{number}.part" for number in range(MOST_WRITERS)]


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files that killed processes left directly in a folder.

    Only the names of `part_names` are removed, and no file that a process is writing.
    """
    for part in part_names(folder):
        _remove_if_left(part)


def _create_part(folder: Path, mode: int) -> tuple[Path, BinaryIO]:
    """Create an unfinished file, and lock it so that no other process removes it."""
    for part in part_names(folder):
        _remove_if_left(part)
        with suppress(FileExistsError):
            file = os.fdopen(os.open(part, CREATE, mode), "wb")
            try:
                if _lock(file, part):
                    return part, file
            except OSError:  # a file system without locks
                return part, file
            file.close()
    raise OSError(f"{MOST_WRITERS} other processes are writing in this folder")


def _remove_if_left(part: Path) -> None:
    """Remove an unfinished file if no process has locked it."""
    with suppress(OSError):  # most often there is none
        if sys.platform == "win32":
            part.unlink()  # fails if a process has it open
        else:
            with part.open("r+b") as file:
                if _lock(file, part):
                    part.unlink()


def _lock(file: BinaryIO, part: Path) -> bool:
    """Lock an open file until it is closed; False if another process holds or removed it.

    Raises:
        OSError: The file system has no locks.
    """
    if sys.platform == "win32":
        return True  # an open file cannot be removed
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_at(file, part)


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still has this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.lstat(path))
    except FileNotFoundError:
        return False
