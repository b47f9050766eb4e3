"""Read hand-ins, one zip file or folder for each student, without trust in what is in them."""

import os
import re
import stat
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nerdrain.course.exchange import read_regular
from nerdrain.errors import NerdrainError, shorten

LARGEST = 20 * 2**20
"""Bytes of all files of a hand-in."""
MOST_FILES = 200
"""Number of files of a hand-in."""
STUDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}")
"""A student's id: the name of the hand-in, without ".zip"."""
IGNORED = ("__MACOSX", "__pycache__", ".DS_Store", ".ipynb_checkpoints", ".pytest_cache")
"""Names of files and folders that other programs leave in a hand-in."""
ABSENT = "there is no hand-in."
"""Why the files of a student of the roster were not read."""
COPY = r"(?: ?\(\d{1,2}\)|[-_]\d{1,2})?"
"""Number that a browser or a learning platform puts behind the name of a second file."""


class Refused(Exception):
    """A hand-in that is not read, with one sentence for its student."""


@dataclass(frozen=True)
class HandIn:
    """The files of one student.

    Args:
        student: id of the student.
        files: the content of each file, by relative path.
        refused: one sentence that says why nothing was read, or an empty text.
        source: the name that the zip file or folder has.
    """

    student: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    refused: str = ""
    source: str = ""


def read_handins(folder: Path, roster: Sequence[str] = ()) -> list[HandIn]:
    """Read every zip file and every folder in a folder.

    Without a roster they come in the order of their names. With a roster, its students come first,
    and a student without a hand-in gets one that is refused as `ABSENT`.

    Args:
        folder: the hand-ins of a class.
        roster: ids of the students. Then the name of a file may have more text before the id.

    Raises:
        NerdrainError: The folder does not exist or is empty.
    """
    if not folder.is_dir():
        raise NerdrainError(f"there is no folder {folder}; check the path.")
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]
    if not paths:
        raise NerdrainError(f"{folder} holds no hand-in; put one zip file or folder a student.")
    found: dict[str, HandIn] = {}
    read = [read_handin(path, roster) for path in paths]
    for handin in sorted(read, key=lambda each: each.student != _stem(each.source)):
        name, number = handin.student, 2  # so that no other name takes the place of an id
        while handin.student in found:
            other = f"there is another hand-in of {name}."
            handin = HandIn(f"{name}_{number}", {}, other, handin.source)
            number += 1
        found[handin.student] = handin
    if not roster:
        return [found[name] for name in sorted(found)]
    known = [found.pop(name, HandIn(name, {}, ABSENT)) for name in roster]
    return [*known, *(found[name] for name in sorted(found))]


def read_handin(path: Path, roster: Sequence[str] = ()) -> HandIn:
    """Read one hand-in; a problem with it becomes its `refused`."""
    inner = _only_zip(path)
    stem = _stem(path.name)
    names = [stem, *([_stem(inner.name)] if inner else [])]
    student = next((found for name in names if (found := find_student(name, roster))), "")
    if (roster and not student) or not STUDENT.fullmatch(student or stem):
        safe = stem if STUDENT.fullmatch(stem) else re.sub(r"[^A-Za-z0-9._@+-]", "_", f"x{stem}")
        wrong = "does not end with an id of the roster" if roster else "is not an id"
        reason = f"the name of the hand-in {wrong}."
        if path.is_file() and stem == path.name:
            reason = f"{shorten(path.name)} is neither a zip file nor a folder."
        return HandIn(safe[:80], {}, reason, path.name)
    student = student or stem
    try:
        if path.is_symlink():
            raise Refused("the hand-in is a symbolic link.")
        files = _read_folder(path) if path.is_dir() and not inner else _read_zip(inner or path)
        return HandIn(student, _without_folder(files), source=path.name)
    except Refused as error:
        return HandIn(student, {}, str(error), path.name)
    except Exception as error:  # a damaged zip file has errors of many kinds
        reason = f"the hand-in cannot be read ({type(error).__name__})."
        return HandIn(student, {}, reason, path.name)


def find_student(name: str, roster: Sequence[str]) -> str:
    """The student of a roster whose id is the end of a name; an empty text if there is none.

    Learning platforms write the student's name and numbers before the name of the uploaded file,
    and a number after the name of a second file. Of several ids the longest is meant. Case does
    not matter.
    """
    ends = [
        student
        for student in roster
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(student)}{COPY}\Z", name, re.IGNORECASE)
    ]
    return name if name in roster else max(ends, key=len, default="")


def _stem(name: str) -> str:
    return name[:-4] if name.lower().endswith(".zip") else name


def _only_zip(folder: Path) -> Path | None:
    """The zip file that is alone in a folder, as some learning platforms hand it on."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    with suppress(OSError):  # `_read_folder` reads the folder again
        paths = [path for path in folder.iterdir() if path.name not in IGNORED]
        if len(paths) == 1 and paths[0].name.lower().endswith(".zip"):
            return paths[0] if paths[0].is_file() and not paths[0].is_symlink() else None
    return None


def _read_folder(root: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = LARGEST
    for folder, inside, names in os.walk(root):
        for name in [*inside, *names]:
            if stat.S_ISLNK(os.lstat(os.path.join(folder, name)).st_mode):
                raise Refused(f"{shorten(name)} is a symbolic link.")
        inside[:] = sorted(name for name in inside if name not in IGNORED)
        for name in sorted(names):
            relative = Path(folder, name).relative_to(root).as_posix()
            if not _is_ignored(relative):
                try:
                    found[relative] = read_regular(Path(folder, name), left)
                except ValueError:
                    raise Refused(
                        f"{shorten(relative)} is not a regular file, or all files together are "
                        f"larger than {LARGEST // 2**20} MiB."
                    ) from None
                left -= len(found[relative])
                _check_count(found)
    return found


def _read_zip(path: Path) -> dict[str, bytes]:
    if not zipfile.is_zipfile(path):
        raise Refused("the hand-in is neither a zip file nor a folder.")
    found: dict[str, bytes] = {}
    left = LARGEST
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            _check_name(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise Refused(f"{shorten(info.filename)} is a symbolic link.")
            if info.is_dir() or _is_ignored(info.filename):
                continue
            if info.flag_bits & 1:
                raise Refused(f"{shorten(info.filename)} is encrypted.")
            if info.filename in found:
                raise Refused(f"{shorten(info.filename)} is twice in the zip file.")
            with archive.open(info) as file:
                content = file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise Refused(f"all files together are larger than {LARGEST // 2**20} MiB.")
            found[info.filename] = content
            _check_count(found)
    return found


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    parts = re.split(r"[/\\]", name)
    if path.is_absolute() or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise Refused(f"the path {shorten(name)} leads out of the hand-in.")


def _check_count(files: Mapping[str, bytes]) -> None:
    if len(files) > MOST_FILES:
        raise Refused(f"it has more than {MOST_FILES} files.")


def _is_ignored(name: str) -> bool:
    return any(part in IGNORED for part in PurePosixPath(name).parts)


def _without_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """Remove the one folder in which all files lie, as many programs add it."""
    tops = {name.partition("/")[0] for name in files}
    if len(tops) != 1 or not all("/" in name for name in files):
        return files
    return {name.partition("/")[2]: content for name, content in files.items()}
