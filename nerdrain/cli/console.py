"""Parts that several commands share: options, errors as one sentence, progress, files, tables."""

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from nerdrain.errors import ChecksumWarning, ImageWarning, NerdrainError
from nerdrain.files import IMAGE_SUFFIXES

Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; by default the fastest available.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def as_sentence(error: BaseException) -> str:
    """An error as one line for the user.

    Raises:
        BaseException: `error` itself, if it is a bug and not the user's input.
    """
    if isinstance(error, NerdrainError):
        text = str(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = f"{where}{error.strerror or error}"
    elif isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error).split("\n")[0]
    ):
        text = "there is not enough memory for this; give smaller tiles, e.g. --tile 256"
    else:
        raise error
    text = " ".join(text.split())
    return text if text.endswith(".") else f"{text}."


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Make a command end with one sentence on stderr and exit code 1, or 130 after Ctrl-C."""
    try:
        yield
        return
    except typer.Exit:  # a RuntimeError, too
        raise
    except KeyboardInterrupt as error:
        how_far = f": {error}" if str(error) else ""  # from `Batch`
        text, code = f"interrupted{how_far}.", 130  # as in shells
    except (NerdrainError, OSError, MemoryError, RuntimeError) as error:
        text, code = as_sentence(error), 1
    typer.echo(f"nerdrain: {text}", err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def print_notes() -> Iterator[None]:
    """Make a command print each `ChecksumWarning` as a note on stderr."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def print_note(
            message: Warning | str, category: type[Warning], *where: Any, **more: Any
        ) -> None:
            if issubclass(category, ChecksumWarning):
                typer.echo(f"note: {' '.join(str(message).split())}", err=True)
            else:
                show(message, category, *where, **more)

        warnings.showwarning = print_note
        warnings.simplefilter("always", ChecksumWarning)
        yield


def note_unread(sources: Iterable[Path]) -> None:
    """Print on stderr how many subfolders and other files of folders are not read.

    Sources that are files, and hidden files in the folders, do not count.
    """
    inside = [path for source in sources if source.is_dir() for path in source.iterdir()]
    seen = [path for path in inside if not path.name.startswith(".")]
    folders = sum(path.is_dir() for path in seen)
    files = sum(path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES for path in seen)
    counts = ((folders, "subfolder", ""), (files, "file", " of unknown kind"))
    parts = [f"{count} {what}{'s' * (count > 1)}{kind}" for count, what, kind in counts if count]
    if parts:
        typer.echo(f"note: not read: {', '.join(parts)}.", err=True)


def identify(path: Path) -> set[object]:
    """Values that two paths share if they lead to one file, also by a symbolic or hard link."""
    found: set[object] = {path.resolve()}
    with contextlib.suppress(OSError):
        stat = path.stat()
        found.add((stat.st_dev, stat.st_ino))
    return found


def protect_inputs(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse an output that is an input, perhaps under another path, even with ``--overwrite``."""
    originals = set[object]().union(*map(identify, inputs))
    for output in outputs:
        if originals & identify(output):
            raise NerdrainError(f"{output} is an input and is not overwritten; choose another.")


def check_free(target: Path, overwrite: bool) -> None:
    """Refuse an output that is a folder, or that exists if `overwrite` is false."""
    if target.is_dir():
        raise NerdrainError(f"{target} is a folder; name a file.")
    if target.exists() and not overwrite:
        raise NerdrainError(f"{target} exists; give --overwrite to replace it.")


class Batch:
    """A progress bar over many files. A file that fails does not stop the others.

    Args:
        title: the work, e.g. "deraining".
        count: number of files.
    """

    def __init__(self, title: str, count: int) -> None:
        self.count, self.done, self.failed = count, 0, 0
        self._bar = Progress(console=Console(stderr=True), transient=True)
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
        """Show which share (0 to 1) of the current file is done."""
        self._bar.update(self._task, completed=self.done + self.failed + share)

    @contextlib.contextmanager
    def file(self, source: Path) -> Iterator[None]:
        """Do the work on one file: print and count an error, print an `ImageWarning` as a note."""
        self._bar.update(self._task, description=f"{self._title} {escape(source.name)}")
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", ImageWarning)
            try:
                yield
                self.done += 1
            except (NerdrainError, OSError, MemoryError, RuntimeError) as error:
                text = as_sentence(error)
                self.failed += 1
                self.say(f"nerdrain: {text if source.name in text else f'{source}: {text}'}")
        for note in (each for each in notes if issubclass(each.category, ImageWarning)):
            self.say(f"note: {' '.join(str(note.message).split())}")
        self.progress(0)

    def finish(self, summary: str, out: Path) -> None:
        """Print `summary` and the counts to stdout, and exit with code 1 if a file failed."""
        failed = f" ({self.failed} failed)" if self.failed else ""
        where = f", in {out}" if self.done else ""
        typer.echo(f"{summary}: {self.done} of {self.count}{failed}{where}.")
        if self.failed:
            raise typer.Exit(1)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> None:
    """Print aligned columns to stdout, without line breaks in a row.

    The columns from index `numbers` on are aligned to the right.
    """
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(header):
        table.add_column(title, justify="right" if index >= numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=10_000, markup=False, highlight=False).print(table)  # so no row is cut
