"""What the commands share: errors as one sentence, a progress bar, files in and files out."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from nerdrain.errors import ImageWarning, NerdrainError

__all__ = ["Batch", "Job", "check_free", "plan", "reported", "sentence"]

P = ParamSpec("P")
R = TypeVar("R")

#: What counts as a photograph when a folder is given.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
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
        except KeyboardInterrupt:
            raise _fail("interrupted.", INTERRUPTED) from None
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
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        kinds = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise NerdrainError(f"{source} holds no photograph ({kinds}).")
    return found


def plan(inputs: Sequence[Path], out: Path) -> list[Job]:
    """Say which file every photograph becomes.

    One file with an `out` that ends like an image becomes that file. Everything else goes into the
    folder `out`, under its own name.

    Raises:
        NerdrainError: a folder without photographs, two photographs of one name, an `out` that
            names a file for several, or one that would replace an input.
    """
    names_file = out.suffix.lower() in SUFFIXES and not out.is_dir()
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
    originals = {source.resolve() for source in sources}
    for job in jobs.values():
        if job.target.resolve() in originals:
            raise NerdrainError(
                f"{job.target} is an input and is not overwritten: choose another -o."
            )
    return list(jobs.values())


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse to replace a file unless that was asked for."""
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

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

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

    def finish(self, summary: str) -> None:
        """Print how it went to stdout; exit with code 1 if a file failed."""
        lost = f", {self.failed} failed" if self.failed else ""
        typer.echo(f"{summary}: {self.done} of {self.count}{lost}.")
        if self.failed:
            raise typer.Exit(1)
