"""Parts that several commands share: options, errors as one sentence, progress, files, tables."""

import contextlib
import os
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from nerdrain.errors import ChecksumWarning, ImageWarning, NerdrainError
from nerdrain.files import is_image_name

Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; by default the fastest available.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]

TRACEBACK_VARIABLE = "NERDRAIN_TRACEBACK"  #: set it to see where an unexpected error came from
STREAM = Path("-")  #: the path that means standard input or output
_LONGEST = 1000  # characters of a message


def parse_path(text: str) -> Path:
    """Read an argument that is a path: not empty, and "-" stands for standard input or output."""
    if not text:
        raise typer.BadParameter("the path is empty; give . for the current folder.")
    path = Path(text)
    return path.absolute() if path == STREAM and text != "-" else path


def printable(text: str) -> str:
    """Replace control characters, and others that a terminal cannot show, by Python's escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def say(message: str, *, err: bool = False) -> None:
    """Print one line to stdout, or to stderr, without control characters."""
    typer.echo(printable(message), err=err)


def as_sentence(error: BaseException) -> str:
    """An error as one line for the user; an unexpected error asks for a report."""
    if isinstance(error, NerdrainError):
        text = str(error)
    elif isinstance(error, OSError):
        where = (
            f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        )
        text = f"{where}{error.strerror or error}"
    elif isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "memory" in str(error).split("\n")[0]
    ):
        text = "there is not enough memory for this; give smaller tiles, e.g. --tile 256"
    else:
        detail = f" ({first})" if (first := " ".join(str(error).split())[:200].rstrip(".")) else ""
        text = (
            f"unexpected {type(error).__name__}{detail}; please report this bug, with what the "
            f"command prints after you set {TRACEBACK_VARIABLE}=1"
        )
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exception(error)
    text = " ".join(text.split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return text if text.endswith(".") else f"{text}."


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Make a command end with one sentence on stderr and exit code 1, or 130 after Ctrl-C."""
    try:
        yield
        return
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt as error:
        how_far = f": {error}" if str(error) else ""  # from `Batch`
        text, code = f"interrupted{how_far}.", 130  # as in shells
    except Exception as error:
        text, code = as_sentence(error), 1
    say(f"nerdrain: {text}", err=True)
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
                say(f"note: {' '.join(str(message).split())}", err=True)
            else:
                show(message, category, *where, **more)

        warnings.showwarning = print_note
        warnings.simplefilter("always", ChecksumWarning)
        yield


def list_names(names: Sequence[str], limit: int = 3) -> str:
    """Join names with commas; of many names, only the first `limit` and the count of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def note_unread(sources: Iterable[Path], recursive: bool = False, hint: str = "") -> None:
    """Print on stderr which subfolders and other files of folders are not read.

    Sources that are files, and hidden files in the folders, do not count. With `recursive`,
    subfolders are read, and the files in them count too. `hint` says how to read the subfolders.
    """
    folders, files = [], []
    for source in sources:
        for root, inside, names in os.walk(source):
            visible = sorted(name for name in inside if not name.startswith("."))
            paths = [Path(root, name) for name in sorted(names) if not name.startswith(".")]
            files += [path.name for path in paths if not is_image_name(path)]
            inside[:] = visible if recursive else []
            folders += [] if recursive else visible
    counts = ((folders, "subfolder", ""), (files, "file", " of unknown kind"))
    parts = [
        f"{len(names)} {what}{'s' * (len(names) > 1)}{kind} ({list_names(names)})"
        for names, what, kind in counts
        if names
    ]
    if parts:
        say(f"note: not read: {', '.join(parts)}{hint if folders else ''}.", err=True)


def identify(path: Path) -> set[object]:
    """Values that two paths share if they lead to one file, also by a symbolic or hard link."""
    found: set[object] = {os.path.realpath(path)}  # `resolve` fails on a loop of links
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


def check_free(target: Path, overwrite: bool, *, skippable: bool = False) -> None:
    """Refuse an output that is a folder, or that exists if `overwrite` is false.

    `skippable` says that the command has the option ``--skip-existing``.
    """
    if target.is_dir():
        raise NerdrainError(f"{target} is a folder; name a file.")
    if os.path.lexists(target) and not overwrite:
        keep = ", or --skip-existing to keep it" if skippable else ""
        raise NerdrainError(f"{target} exists; give --overwrite to replace it{keep}.")


@dataclass
class Outcome:
    """One file of a `Batch`: "done", "failed" or "skipped", with its error and notes."""

    source: Path
    status: str = "failed"
    error: str = ""
    notes: list[str] = field(default_factory=list)
    detail: str = ""  #: what was done, for ``--verbose``

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Do a step of the work on the file, and keep its error as a sentence."""
        try:
            yield
        except Exception as error:
            text = as_sentence(error)
            shown = " ".join(str(self.source).split())
            self.error = text if self.source.name in text else f"{shown}: {text}"
            self.status = "failed"

    @contextlib.contextmanager
    def note_warnings(self) -> Iterator[None]:
        """Keep each `ImageWarning` of a step as a note.

        Python stores its filters of warnings per process, so only one thread may use this method.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ImageWarning)
            try:
                yield
            finally:
                self.notes += [
                    " ".join(str(each.message).split())
                    for each in caught
                    if issubclass(each.category, ImageWarning)
                ]


class Batch:
    """A progress bar over many files. A file that fails does not stop the others.

    `outcomes` lists the files so far.

    Args:
        title: the work, e.g. "deraining".
        count: number of files.
        quiet: print errors only.
        verbose: print the detail of each file.
        hint: how to go on after Ctrl-C.
    """

    def __init__(
        self, title: str, count: int, *, quiet: bool = False, verbose: bool = False, hint: str = ""
    ) -> None:
        self.count, self.quiet, self.verbose, self.hint = count, quiet, verbose, hint
        self.outcomes: list[Outcome] = []
        console = Console(stderr=True)
        self._bar = Progress(
            console=console, transient=True, disable=quiet or not console.is_terminal
        )
        self._title = title
        self._task = self._bar.add_task(title, total=count)

    def __enter__(self) -> "Batch":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            hint = f"; {self.hint}" if self.hint and self.count > 1 else ""
            raise KeyboardInterrupt(f"{self.number('done')} of {self.count} done{hint}") from None

    def number(self, status: str) -> int:
        """Return how many files have this status."""
        return sum(outcome.status == status for outcome in self.outcomes)

    def say(self, message: str) -> None:
        """Print a line to stderr, above the bar."""
        self._bar.console.print(printable(message), markup=False, highlight=False, soft_wrap=True)

    def progress(self, source: Path, share: float = 0) -> None:
        """Show the current file, and which share (0 to 1) of it is done."""
        description = f"{self._title} {escape(printable(source.name))}"
        done = len(self.outcomes) + share
        self._bar.update(self._task, description=description, completed=done)

    @contextlib.contextmanager
    def file(self, source: Path) -> Iterator[None]:
        """Do the work on one file, and record its outcome."""
        outcome = Outcome(source)
        self.progress(source)
        with outcome.attempt(), outcome.note_warnings():
            yield
            outcome.status = "done"
        self.record(outcome)

    def record(self, outcome: Outcome) -> None:
        """Count a file whose work has ended, and print its error and its notes."""
        if outcome.error:
            self.say(f"nerdrain: {outcome.error}")
        self.outcomes.append(outcome)
        if self.verbose and outcome.status != "failed":
            self.say(f"{outcome.source}: {outcome.detail or outcome.status}")
        if not self.quiet:
            for note in outcome.notes:
                self.say(f"note: {note}")
        self.progress(outcome.source)

    def finish(self, summary: str, out: Path, *, err: bool = False) -> None:
        """Print `summary` and the counts, and exit with code 1 if a file failed.

        The summary goes to stdout, or with `err` to stderr. The errors of several files are
        repeated on stderr, at most ten.
        """
        numbers = {status: self.number(status) for status in ("done", "skipped", "failed")}
        others = [f"{n} {status}" for status, n in numbers.items() if n and status != "done"]
        inside = f" ({', '.join(others)})" if others else ""
        where = f", in {out}" if numbers["done"] and out != STREAM else ""
        if not self.quiet:
            say(f"{summary}: {numbers['done']} of {self.count}{inside}{where}.", err=err)
        if numbers["failed"]:
            if self.count > 1:
                say(f"nerdrain: {numbers['failed']} of {self.count} failed:", err=True)
                repeat_errors([each.error for each in self.outcomes if each.status == "failed"])
            raise typer.Exit(1)


def repeat_errors(errors: Sequence[str], limit: int = 10) -> None:
    """Print the first errors of a run again, at its end."""
    for error in errors[:limit]:
        say(f"  {error}", err=True)
    if len(errors) > limit:
        say(f"  and {len(errors) - limit} more; see above.", err=True)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> None:
    """Print aligned columns to stdout, without line breaks in a row.

    The columns from index `numbers` on are aligned to the right.
    """
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(header):
        table.add_column(title, justify="right" if index >= numbers else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(printable, row))
    Console(width=10_000, markup=False, highlight=False).print(table)  # so no row is cut
