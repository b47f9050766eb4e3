"""What the commands share: errors as one sentence, a progress bar, files in and files out."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from nerdrain.errors import ImageWarning, NerdrainError
from nerdrain.files import IMAGE_SUFFIXES

__all__ = [
    "Batch",
    "Job",
    "check_free",
    "note_unread",
    "plan",
    "protect",
    "reported",
    "sentence",
]

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPTED = 130  # what shells report for a program stopped by Ctrl-C


def sentence(error: BaseException) -> str:
    """An error as one line for a person to read.

    Raises:
        BaseException: `error` itself, where it is a fault of the program and not of its input.
    """
    if isinstance(error, NerdrainError):
        text = str(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
    elif isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error).split("\n")[0]
    ):
        text = "there is not enough memory for this: give smaller tiles, e.g. --tile 256"
    else:
        raise error
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."


def _fail(message: str, code: int = 1) -> typer.Exit:
    typer.echo(f"nerdrain: {message}", err=True)
    return typer.Exit(code)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command end with one sentence on stderr and exit code 1, or 130 after Ctrl-C."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt as error:
            how_far = f": {error}" if str(error) else ""  # a `Batch` says it
            raise _fail(f"interrupted{how_far}.", INTERRUPTED) from None
        except (NerdrainError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, typer.Exit):  # click's is a RuntimeError
                raise
            raise _fail(sentence(error)) from None

    return wrapper


@dataclass(frozen=True)
class Job:
    """One file to read and one to write."""

    source: Path
    target: Path


def _photos(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise NerdrainError(f"{source} holds no photograph ({kinds}); subfolders are not searched.")
    return found


def note_unread(sources: Iterable[Path], suffixes: Sequence[str] = IMAGE_SUFFIXES) -> None:
    """Say on stderr what folders hold beside files with these suffixes; hidden files are left out.

    Args:
        sources: folders, and files, which are passed over.
        suffixes: what is read.
    """
    subfolders = files = 0
    for path in (path for source in sources if source.is_dir() for path in source.iterdir()):
        if not path.name.startswith("."):
            subfolders += path.is_dir()
            files += path.is_file() and path.suffix.lower() not in suffixes
    counts = ((subfolders, "subfolder", ""), (files, "file", " of unknown kind"))
    parts = [f"{count} {what}{'s' * (count > 1)}{kind}" for count, what, kind in counts if count]
    if parts:
        typer.echo(f"note: not read: {', '.join(parts)}.", err=True)


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Say which file every photograph becomes.

    One file with an `out` that ends like an image becomes that file. Everything else goes into the
    folder `out`, under its own name.

    Raises:
        NerdrainError: a folder without photographs, two photographs of one name, an `out` that
            names a file for several, one that would replace an input, or, for one file, one with
            the suffix of no image format.
    """
    if len(inputs) == 1 and not (inputs[0].is_dir() or out.is_dir()):
        _check_suffix(out)
    names_file = out.suffix.lower() in IMAGE_SUFFIXES and not out.is_dir()
    sources = [path for source in inputs for path in _photos(source)]
    if names_file and (len(sources) > 1 or inputs[0].is_dir()):
        raise NerdrainError(f"{out} names one file, and a folder is needed: give -o a folder.")
    jobs: dict[Path, Job] = {}
    for source in sources:
        job = Job(source, out if names_file else out / source.name)
        first = jobs.setdefault(job.target, job)
        if first is not job:
            raise NerdrainError(
                f"{first.source} and {source} would both become {job.target}: run them one by one."
            )
    protect(sources, jobs)
    return list(jobs.values())


def _check_suffix(out: Path) -> None:
    if out.suffix and out.suffix.lower() not in IMAGE_SUFFIXES:
        raise NerdrainError(
            f"{out}: no image format has that suffix; choose one of {', '.join(IMAGE_SUFFIXES)}, "
            "or make the folder first if it is to be one."
        )


def _identities(path: Path) -> set[object]:
    """The path without links, and the file itself, which can have several paths."""
    found: set[object] = {path.resolve()}
    with contextlib.suppress(OSError):
        stat = path.stat()
        found.add((stat.st_dev, stat.st_ino))
    return found


def protect(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse to write over what is read, under whatever path, and even where overwriting is on.

    Raises:
        NerdrainError: an output is an input.
    """
    originals = set[object]().union(*map(_identities, inputs))
    for output in outputs:
        if originals & _identities(output):
            raise NerdrainError(
                f"{output} is an input and is not overwritten: choose another output."
            )


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse to write to a folder, and to replace a file unless that was asked for."""
    if target.is_dir():
        raise NerdrainError(f"{target} is a folder: name a file.")
    if target.exists() and not overwrite:
        raise NerdrainError(f"{target} exists: give --overwrite to replace it.")


class Batch:
    """A progress bar over many files, of which a bad one does not stop the others.

    Args:
        title: what is being done, e.g. "deraining".
        count: how many files there are.
    """

    def __init__(self, title: str, count: int) -> None:
        self.count, self.done, self.failed = count, 0, 0
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._title = title
        self._task = self._bar.add_task(title, total=count)

    def __enter__(self) -> "Batch":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            raise KeyboardInterrupt(f"{self.done} of {self.count} done") from None

    def say(self, message: str) -> None:
        """Print a line to stderr, above the bar."""
        self._bar.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def progress(self, share: float) -> None:
        """Show that a share of the current file is done."""
        self._bar.update(self._task, completed=self.done + self.failed + share)

    @contextlib.contextmanager
    def file(self, source: Path) -> Iterator[None]:
        """Do one file's work: an error is said and counted, a warning is said as a note."""
        self._bar.update(self._task, description=f"{self._title} {source.name}")
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", ImageWarning)
            try:
                yield
                self.done += 1
            except (NerdrainError, OSError, MemoryError, RuntimeError) as error:
                text = sentence(error)
                self.failed += 1
                self.say(f"nerdrain: {text if source.name in text else f'{source}: {text}'}")
        for note in (each for each in notes if issubclass(each.category, ImageWarning)):
            self.say(f"note: {' '.join(str(note.message).split())}")
        self.progress(0)

    def finish(self, summary: str, out: Path, nothing: str) -> None:
        """Print how it went to stdout; exit with code 1 if a file failed.

        Args:
            summary: what was done, e.g. "Derained".
            out: where the results are.
            nothing: says instead that no file succeeded, e.g. "Nothing derained".
        """
        lost = f"{self.failed} failed"
        if self.done or not self.failed:
            failed = f" ({lost})" if self.failed else ""
            typer.echo(f"{summary}: {self.done} of {self.count}{failed}, in {out}.")
        else:
            typer.echo(f"{nothing}: {lost}.")
        if self.failed:
            raise typer.Exit(1)
