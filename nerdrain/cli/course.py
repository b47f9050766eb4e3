"""`nerdrain course`: hand out, check and grade the assignments of a course."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from nerdrain.cli.console import Overwrite, list_names, print_table, say
from nerdrain.errors import NerdrainError
from nerdrain.files import make_folder, write_atomically

if TYPE_CHECKING:
    from nerdrain.course.grading import Grade, Task
    from nerdrain.course.handins import HandIn
    from nerdrain.course.keys import Key
    from nerdrain.course.verify import Check

KeyFile = Annotated[
    Path | None, typer.Option("--key", help="File of your key; see `course new-key`.")
]
Folder = Annotated[
    Path | None,
    typer.Option("--assignments", help="Their folder; by default that of this repository."),
]
Shared = Annotated[
    bool, typer.Option("--shared", help="All students have the same constants, in one bundle.")
]
Roster = Annotated[
    Path | None, typer.Option("--roster", help="Text file with the id of one student on each line.")
]
Update = Annotated[
    bool, typer.Option("--update", help="Add to a report. Other rows and points by hand stay.")
]
Jobs = Annotated[int, typer.Option(min=1, max=2, help="Hand-ins that are graded side by side.")]


def bundle(
    assignment: Annotated[str, typer.Argument(help="Such as a2.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    student: Annotated[list[str] | None, typer.Option(help="A student's id; repeat it.")] = None,
    roster: Roster = None,
    key: KeyFile = None,
    assignments: Folder = None,
) -> None:
    """Make what a student gets: handout, files to fill in, public tests and own constants.

    With a roster or several students, the folder gets a zip file for each; add new students to the
    roster and repeat the command. With one `--student`, it gets the files. Without a student, the
    bundle is for everyone: grade it with `--shared`. The ids name the hand-ins.

    Example:
    - `nerdrain course bundle a2 --key key.txt --roster students.txt -o bundles/`
    """
    from nerdrain.course.bundle import bundle as make
    from nerdrain.course.bundle import write_bundle

    students = [*(student or []), *(read_roster(roster) if roster else [])]
    students = list(dict.fromkeys(students))
    check_students(students)
    task = open_task(assignment, assignments, read_key(key), shared=not students)
    if not students:
        write_bundle(output, make(task))
        say(f"{output}: a bundle of {task.folder.name} for everyone; grade it with --shared.")
    elif len(students) == 1 and not roster:
        write_bundle(output, make(task, students[0]))
        say(f"{output}: a bundle of {task.folder.name} for {students[0]}.")
    else:
        new = sum(write_zip(task, name, output) for name in students)
        say(f"{output}: {len(students)} bundles of {task.folder.name}, {new} of them new.")


def check(
    folder: Annotated[Path, typer.Argument(help="The bundle's folder.")] = Path("."),
) -> None:
    """Run the public tests of an assignment on your files, in the folder of its bundle.

    Example:
    - `nerdrain course check`
    """
    from nerdrain.course.bundle import run_public_tests

    if code := run_public_tests(folder):
        raise NerdrainError(f"the public tests do not pass yet (pytest's exit code is {code}).")
    say("The public tests pass. The tests that grade are more.")


def grade(
    handins: Annotated[Path, typer.Argument(help="Folder with a zip file or folder a student.")],
    report: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    assignment: Annotated[
        str | None, typer.Option(help="By default, the one that most hand-ins name.")
    ] = None,
    key: KeyFile = None,
    roster: Roster = None,
    update: Update = False,
    shared: Shared = False,
    jobs: Jobs = 2,
    assignments: Folder = None,
) -> None:
    """Grade hand-ins. The name of each zip file or folder is the student's id.

    With a roster, the name may have more text before the id, as learning platforms write it, and a
    student without a hand-in gets a row, too. The report has `grades.csv`, and for each student a
    page, a JSON file and the text `report.md`. Grade late hand-ins and appeals alone, with
    `--update`. Code of students runs in processes with limits. That stops accidents, not an
    attacker: read "Teach with this book".

    Example:
    - `nerdrain course grade handins/ --roster students.txt --key key.txt -o report/`
    """
    students = read_roster(roster) if roster else []
    check_students(students)
    earlier = read_earlier(report, update=update)
    found = find_handins(handins, students, earlier)
    name = assignment or guess_assignment(found)
    task = open_task(name, assignments, read_key(key), shared=shared)
    check_same_assignment(task, earlier, report)
    make_folder(report)
    if failed := grade_into(task, found, report, jobs, earlier):
        say(f"nerdrain: {len(failed)} hand-ins could not be graded: {', '.join(failed)}.", err=True)
        raise typer.Exit(1)


def marks(
    report: Annotated[Path, typer.Argument(help="Folder that `course grade` wrote.")],
) -> None:
    """Copy the points that you wrote into `grades.csv` to the students' pages, and add them up.

    Fill in the columns of the rubric, and `comment` if you like; leave the others as they are. You
    can repeat the command.

    Example:
    - `nerdrain course marks report/`
    """
    from nerdrain.course.report import TABLE, read_report, total, write_student, write_table

    students = read_report(report)
    for values in students.values():
        write_student(report, values)
    write_table(report, [*students.values()])
    say(f"{report / TABLE}: {len(students)} students, also in their pages.")
    if missing := [name for name, values in students.items() if total(values) is None]:
        say(f"Points are missing for {len(missing)}: {list_names(missing, 10)}.")


def export(
    assignment: Annotated[str, typer.Argument(help="Such as a2.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Zip file to write.")],
    gradescope: Annotated[bool, typer.Option("--gradescope", help="For Gradescope.")] = False,
    key: KeyFile = None,
    shared: Shared = False,
    overwrite: Overwrite = False,
    assignments: Folder = None,
) -> None:
    """Make an autograder for Gradescope. It holds your key, so give it to no student.

    There, a student's id is the email address of the account.

    Example:
    - `nerdrain course export a2 --gradescope --key key.txt -o a2.zip`
    """
    from nerdrain.course.gradescope import export as make

    if not gradescope:
        raise NerdrainError("give --gradescope; there is no other form.")
    task = open_task(assignment, assignments, read_key(key), shared=shared)
    write_atomically(output, make(task), overwrite=overwrite)
    say(f"{output}: upload it as the autograder of {task.folder.name}.")


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ASSIGNMENT]...", help="By default, all.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Check three variants, not one.")] = False,
    jobs: Jobs = 2,
    assignments: Folder = None,
) -> None:
    """Check the assignments: known hand-ins must get the points that they deserve.

    Example:
    - `nerdrain course verify a2`
    """
    from nerdrain.course.assignment import assignments_folder, find_assignment, find_assignments
    from nerdrain.course.verify import STUDENTS
    from nerdrain.course.verify import verify as check_all

    root = assignments or assignments_folder()
    chosen = [find_assignment(root, name) for name in names or find_assignments(root)]
    students = STUDENTS if full else STUDENTS[:1]
    checks: list[Check] = []
    with Console(stderr=True).status("grading known hand-ins") as status:
        for each in check_all(chosen, jobs=jobs, students=students):
            checks.append(each)
            status.update(f"graded {len(checks)} known hand-ins, last of {each.assignment}")
    print_table(
        ("assignment", "hand-ins", "full", "partial", "none", "missed"), rows(checks), numbers=1
    )
    missed = [each for each in checks if each.problem]
    for each in missed:
        what = f"{each.assignment} {each.case.kind} {each.case.name}".strip()
        lost = [r.item for r in each.grade.results if r.points != r.of]
        say(f"{what} ({each.student}): {each.problem}; it lost in {', '.join(lost) or 'nothing'}.")
    if missed:
        raise NerdrainError(f"{len(missed)} of {len(checks)} known hand-ins got other points.")


def new_key(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Make a key. Keep the file secret, and keep it until the last hand-in is graded.

    Example:
    - `nerdrain course new-key -o key.txt`
    """
    from nerdrain.course.keys import Key

    if output.exists():
        raise NerdrainError(f"{output} exists, and its bundles need it; choose another name.")
    key = Key.new()
    key.write(output)
    say(f"{output}: {key.name}. Without this file you cannot grade its bundles.")


def rows(checks: "list[Check]") -> list[tuple[str, ...]]:
    """A row of the table for each assignment."""
    found = []
    for name in dict.fromkeys(each.assignment for each in checks):
        mine = [each for each in checks if each.assignment == name]
        full = sum(all(r.points == r.of for r in each.grade.results) for each in mine)
        none = sum(each.grade.points == 0 for each in mine)
        missed = sum(bool(each.problem) for each in mine)
        counts = (len(mine), full, len(mine) - full - none, none, missed)
        found.append((name, *map(str, counts)))
    return found


def read_key(path: Path | None) -> "Key":
    """Read the key; without one, use the practice key, and print that."""
    from nerdrain.course.keys import Key

    if path is not None:
        return Key.read(path)
    say(
        "note: no --key, so the published practice key is used, which students have too.",
        err=True,
    )
    return Key.practice()


def open_task(name: str, folder: Path | None, key: "Key", *, shared: bool) -> "Task":
    """The assignment of this name, with its grader."""
    from nerdrain.course.assignment import assignments_folder, find_assignment
    from nerdrain.course.grading import Task

    return Task(find_assignment(folder or assignments_folder(), name), key, shared=shared)


def read_roster(path: Path) -> list[str]:
    """The students' ids in a file, one a line, each once."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise NerdrainError(f"{path} cannot be read as text; check the path.") from None
    students = [line.strip() for line in lines if line.strip()]
    if not students:
        raise NerdrainError(f"{path} holds no student; write one id on each line.")
    return list(dict.fromkeys(students))


def check_students(students: list[str]) -> None:
    """Refuse ids that no hand-in can have as its name, or that a file system takes for equal."""
    from nerdrain.course.handins import STUDENT

    seen: dict[str, str] = {}
    for name in students:
        if not STUDENT.fullmatch(name):
            raise NerdrainError(
                f"{name!r} is not a student's id; an id has letters, digits and . _ @ + - only, "
                "and a roster has one id on each line and nothing else."
            )
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise NerdrainError(f"the ids {other} and {name} differ only in case; change one.")


def write_zip(task: "Task", student: str, folder: Path) -> bool:
    """Write a student's bundle as a zip file; False if it is there already."""
    from nerdrain.course.bundle import bundle as make
    from nerdrain.course.bundle import zip_bundle

    path = folder / f"{student}.zip"
    content = zip_bundle(task.folder.name, make(task, student))
    if not path.exists():
        write_atomically(path, content, overwrite=False)
        return True
    if path.read_bytes() != content:
        raise NerdrainError(
            f"{path} is another bundle, perhaps of another assignment, key or version; choose "
            "another folder."
        )
    return False


def read_earlier(report: Path, *, update: bool) -> dict[str, Any]:
    """The reports that an update adds to; without `update`, refuse a folder that has some."""
    from nerdrain.course.report import TABLE, read_report

    if update:
        return read_report(report)
    if (report / TABLE).exists():
        raise NerdrainError(
            f"{report} holds grades already; choose another folder, or give --update to replace "
            "the rows of these hand-ins."
        )
    return {}


def find_handins(folder: Path, roster: list[str], earlier: dict[str, Any]) -> "list[HandIn]":
    """Read hand-ins, and print whose they are if they have another name than the id.

    A student of the roster without a new hand-in keeps the earlier report.
    """
    from nerdrain.course.handins import ABSENT, read_handins

    found = [
        each
        for each in read_handins(folder, roster)
        if each.refused != ABSENT or each.student not in earlier
    ]
    for each in found:
        name = each.source
        if name and not each.refused and name not in (each.student, f"{each.student}.zip"):
            say(f"note: {name} is graded as the hand-in of {each.student}.", err=True)
    return found


def check_same_assignment(task: "Task", earlier: dict[str, Any], report: Path) -> None:
    """Refuse to put two assignments into one report."""
    for values in earlier.values():
        if values["assignment"] != task.assignment.id:
            raise NerdrainError(
                f"{report} holds grades of {values['assignment']}, and these hand-ins are graded "
                f"as {task.assignment.id}; choose another folder."
            )


def guess_assignment(found: "list[HandIn]") -> str:
    """The assignment that most hand-ins name."""
    from nerdrain.course.grading import named_assignments

    names = named_assignments(found)
    if not names:
        raise NerdrainError("no hand-in names its assignment; give --assignment.")
    if len(names) > 1:
        say(f"note: hand-ins name {', '.join(names[:3])}; graded as {names[0]}.", err=True)
    return names[0]


def grade_into(
    task: "Task", found: "list[HandIn]", report: Path, jobs: int, earlier: dict[str, Any]
) -> list[str]:
    """Grade hand-ins and write the report; returns the students that could not be graded.

    The rows of earlier reports stay, except those of the same students, whose points by hand stay.
    """
    from nerdrain.course.assignment import REPORT_FILE
    from nerdrain.course.grading import grade_all
    from nerdrain.course.report import (
        TABLE,
        copy_marks,
        describe,
        write_student,
        write_table,
        write_text,
    )
    from nerdrain.course.sandbox import launch

    grades, rows = [], dict(earlier)
    texts = {each.student: each.files.get(REPORT_FILE) for each in found}
    with launch(min(jobs, len(found))) as launchers:
        layers = launchers[0].probe()
        graded = grade_all(task, found, launchers)
        what, console = f"grading {task.folder.name}", Console(stderr=True)
        for each in track(graded, what, len(found), console=console):
            values = describe(task.assignment, each, task.key.name, layers)
            if each.student in earlier:
                copy_marks(values, earlier[each.student])
            grades.append(each)
            rows[each.student] = values
            write_student(report, values)
            write_text(report, each.student, texts[each.student])
            write_table(report, [*rows.values()])
    say(f"{report / TABLE}: {len(grades)} rows for {task.folder.name}.")
    say(f"Active protection: {', '.join(layers)}.")
    point_out(grades)
    return [each.student for each in grades if not each.is_complete]


def point_out(grades: "list[Grade]") -> None:
    """Print which hand-ins have remarks, and whether the key is probably wrong."""
    from nerdrain.course.grading import OTHER_VARIANT

    noted = [each.student for each in grades if each.remarks]
    if noted:
        say(f"Look at the remarks about {len(noted)}: {list_names(noted, 10)}.")
    others = sum(each.remarks[-1].startswith(OTHER_VARIANT) for each in grades if each.remarks)
    if 2 * others > len(grades):
        say(f"note: {others} have another variant.json; check --key and --shared.", err=True)
