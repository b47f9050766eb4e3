"""The commands of the course, as a lecturer and a student use them."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from nerdrain.cli import app
from nerdrain.course import gradescope
from nerdrain.course.assignment import assignments_folder, read_yaml
from nerdrain.course.grading import Task
from nerdrain.course.keys import Key
from nerdrain.course.verify import cases
from nerdrain.errors import NerdrainError
from nerdrain.files import PACKAGE

RESULTS_SCHEMA = {  # gradescope-autograders.readthedocs.io, "Output format"
    "type": "object",
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "visibility": {"enum": ["hidden", "after_due_date", "after_published", "visible"]},
        "stdout_visibility": {"enum": ["hidden", "after_due_date", "after_published", "visible"]},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "score": {"type": "number"},
                    "max_score": {"type": "number"},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "output": {"type": "string"},
                    "visibility": {
                        "enum": ["hidden", "after_due_date", "after_published", "visible"]
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
    "anyOf": [{"required": ["score"]}, {"required": ["tests"]}],
}


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["course", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture
def key(tmp_path: Path) -> Path:
    run("new-key", "-o", tmp_path / "key.txt")
    return tmp_path / "key.txt"


def test_a_key_is_new_private_and_never_replaced(tmp_path, key):
    assert Key.read(key) == Key.read(key)
    assert key.stat().st_mode & 0o077 == 0
    run("new-key", "-o", tmp_path / "other.txt")
    assert Key.read(tmp_path / "other.txt") != Key.read(key)
    message = run("new-key", "-o", key, code=1)
    assert "exists" in message and "--overwrite" not in message
    (tmp_path / "bad.txt").write_text("nerdrain-course-key-1:12")
    assert "holds no key" in run("bundle", "a0", "-o", "x", "--key", tmp_path / "bad.txt", code=1)


def test_from_roster_to_report(tmp_path, course, key, load):
    options = ("--key", key, "--assignments", course)
    (tmp_path / "roster.txt").write_text("anna\nbo\ncem\n")
    run("bundle", "a9", "-o", tmp_path / "out", "--roster", tmp_path / "roster.txt", *options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("anna.zip", "bo.zip", "cem.zip"),
    ]
    handins = tmp_path / "handins"
    handins.mkdir()
    for name in ("anna", "bo"):
        with zipfile.ZipFile(tmp_path / "out" / f"{name}.zip") as archive:
            archive.extractall(tmp_path / name)
        folder = tmp_path / name / "a9-scaling"
        if name == "anna":
            shutil.copy(course / "a9-scaling" / "solution" / "scaling.py", folder)
        (folder / "errors.png").write_bytes(b"a figure of the report")
        subprocess.run([sys.executable, folder / "submit.py"], check=True, capture_output=True)
        with zipfile.ZipFile(folder / f"{name}.zip") as archive:
            assert sorted(archive.namelist()) == [
                *("errors.png", "report.md", "scaling.py", "variant.json"),
            ]
        shutil.copy(folder / f"{name}.zip", handins)
    shutil.copy(handins / "anna.zip", handins / "cem.zip")  # a copied hand-in
    (handins / "dan.zip").write_text("no zip file")
    run("grade", handins, "-o", tmp_path / "report", *options)
    with (tmp_path / "report" / "grades.csv").open(newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {name: row["automatic"] for name, row in rows.items()} == {
        **{"anna": "3", "bo": "0", "cem": "1", "dan": "0"},
    }
    assert rows["anna"]["proof"] == "" and rows["anna"]["remarks"] == ""
    assert "not the file of this student's bundle" in rows["cem"]["remarks"]
    report = load(tmp_path / "report" / "bo.json")
    assert report["points"] == 0 and report["rubric"] == [
        {"part": "proof", "points": None, "of": 4}
    ]
    assert report["items"][0]["feedback"].startswith("NotImplementedError (scaling.py, line ")
    assert "processor time" in report["layers"]
    page = (tmp_path / "report" / "anna.html").read_text()
    assert "3 of 3" in page and "___ of 4" in page
    assert "src=" not in page and "href=" not in page
    run("grade", handins, "-o", tmp_path / "again", "--jobs", 1, "--assignment", "a9", *options)
    for path in (tmp_path / "report").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert "holds grades already" in run("grade", handins, "-o", tmp_path / "again", code=1)


@pytest.fixture
def graded(tmp_path, course, key, hand_in_of) -> Path:
    """The report of anna, whose hand-in is right, and bo, who handed in nothing."""
    hand_in_of("anna")
    (tmp_path / "roster.txt").write_text("anna\nbo\n")
    grade_folder(tmp_path, course, key, "--roster", tmp_path / "roster.txt")
    return tmp_path / "report"


@pytest.fixture
def hand_in_of(tmp_path, course, key):
    """Write the solution as the hand-in of a student, under any name."""

    def write(student: str, name: str = "") -> Path:
        folder = tmp_path / "in" / (name or student)
        task = Task(course / "a9-scaling", Key.read(key))
        folder.mkdir(parents=True)
        for file in (course / "a9-scaling" / "solution").iterdir():
            shutil.copy(file, folder)
        (folder / "variant.json").write_bytes(task.variant_file(student))
        return folder

    return write


def grade_folder(tmp_path: Path, course: Path, key: Path, *more: object, code: int = 0) -> str:
    options = ("--key", key, "--assignments", course, "-o", tmp_path / "report", *more)
    return run("grade", tmp_path / "in", *options, code=code)


def table_of(report: Path) -> dict[str, dict[str, str]]:
    with (report / "grades.csv").open(newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_everybody_on_the_roster_gets_a_row(graded):
    rows = table_of(graded)
    assert list(rows) == ["anna", "bo"]
    assert rows["bo"]["automatic"] == "0" and rows["bo"]["remarks"] == "There is no hand-in."
    assert "there is no hand-in" in (graded / "bo.html").read_text()
    assert (graded / "anna.md").read_text() == "Done.\n"
    assert not (graded / "bo.md").exists()


def test_points_by_hand_reach_the_pages_and_the_total(graded, load):
    table = graded / "grades.csv"
    text = table.read_text().replace("anna,2,1,3,,,,", "anna,2,1,3,2.5,,Good <b>plan</b>,")
    table.write_text(text)
    output = run("marks", graded)
    assert "missing for 1: bo" in output
    rows = table_of(graded)
    assert rows["anna"]["total"] == "5.5" and rows["bo"]["total"] == ""
    page = (graded / "anna.html").read_text()
    assert "2.5 of 4" in page and "5.5 of 7" in page and "Good &lt;b&gt;plan&lt;/b&gt;" in page
    assert load(graded / "anna.json")["rubric"][0]["points"] == 2.5
    before = table.read_bytes()
    run("marks", graded)
    assert table.read_bytes() == before
    excel = text.replace(",", ";").replace("2.5", "2,5").replace("plan", "Pläne")
    table.write_bytes(excel.encode("cp1252"))
    run("marks", graded)
    rows = table_of(graded)
    assert rows["anna"]["total"] == "5.5" and rows["anna"]["comment"] == "Good <b>Pläne</b>"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("anna,2,1,3,,", "anna,2,1,3,5,", "give a number from 0 to 4"),
        ("anna,2,1,3,,", "anna,2,1,3,nan,", "give a number from 0 to 4"),
        ("anna,2,1,3,,", "anna,2,1,3,x,", "has 'x' in the column proof"),
        ("anna", "Anna", "no report of that student"),
        ("anna", "../anna", "no report of that student"),
        ("proof", "prof", "no column proof"),
    ],
)
def test_a_wrong_mark_changes_no_page(graded, old, new, message):
    table, page = graded / "grades.csv", (graded / "anna.html").read_bytes()
    table.write_text(table.read_text().replace(old, new, 1))
    assert message in " ".join(run("marks", graded, code=1).split())
    assert (graded / "anna.html").read_bytes() == page


def test_marks_need_a_report(tmp_path):
    assert "grade hand-ins first" in run("marks", tmp_path, code=1)
    (tmp_path / "grades.csv").write_text("student\n")
    assert "no row with a student" in run("marks", tmp_path, code=1)


def test_a_late_hand_in_updates_its_row_alone(graded, tmp_path, course, key, hand_in_of):
    table = graded / "grades.csv"
    table.write_text(table.read_text().replace("anna,2,1,3,,,,", "anna,2,1,3,4,,Fine,"))
    assert "--update" in grade_folder(tmp_path, course, key, code=1)
    shutil.rmtree(tmp_path / "in")
    hand_in_of("bo", "Bo B_12_assignsubmission_file_bo")
    output = grade_folder(tmp_path, course, key, "--update", "--roster", tmp_path / "roster.txt")
    assert "Bo B_12_assignsubmission_file_bo is graded as the hand-in of bo" in output
    rows = table_of(graded)
    assert [rows["anna"][name] for name in ("automatic", "total", "comment")] == ["3", "7", "Fine"]
    assert [rows["bo"][name] for name in ("automatic", "remarks")] == ["3", ""]
    shutil.rmtree(tmp_path / "in")
    folder = hand_in_of("anna")
    (folder / "scaling.py").write_text("")
    (folder / "report.md").unlink()
    grade_folder(tmp_path, course, key, "--update")
    rows = table_of(graded)
    assert [rows["anna"][name] for name in ("automatic", "proof", "total")] == ["0", "4", "4"]
    assert (graded / "bo.md").exists() and not (graded / "anna.md").exists()
    values = json.loads((graded / "bo.json").read_text()) | {"assignment": "a8"}
    (graded / "bo.json").write_text(json.dumps(values))
    assert "grades of a8" in grade_folder(tmp_path, course, key, "--update", code=1)


def test_a_forgotten_key_is_noticed(tmp_path, course, hand_in_of):
    hand_in_of("anna")
    output = run(
        *("grade", tmp_path / "in", "-o", tmp_path / "report", "--assignments", course),
    )
    assert "check --key and --shared" in output and "Look at the remarks about 1: anna" in output
    assert "belong to another key" in table_of(tmp_path / "report")["anna"]["remarks"]


def test_a_roster_grows_and_has_clear_mistakes(tmp_path, course, key):
    roster, out = tmp_path / "roster.txt", tmp_path / "out"

    def bundle(text: str, code: int = 0, more: tuple = ("--key", key)) -> str:
        roster.write_text(text)
        options = ("-o", out, "--roster", roster, "--assignments", course, *more)
        return " ".join(run("bundle", "a9", *options, code=code).split())

    assert "1 bundles of a9-scaling, 1 of them new" in bundle("anna\n")
    first = (out / "anna.zip").read_bytes()
    assert "2 bundles of a9-scaling, 1 of them new" in bundle("anna\r\n\nbo\nanna\n")
    assert (out / "anna.zip").read_bytes() == first
    assert "choose another folder" in bundle("anna\n", 1, ())  # of the practice key
    assert "holds no student" in bundle("\n", 1)
    assert "differ only in case" in bundle("anna\nAnna\n", 1)
    assert "one id on each line" in bundle("id;name\n1;Anna\n", 1)


def test_one_bundle_for_everyone_and_the_practice_key(tmp_path, course):
    output = run("bundle", "a9", "-o", tmp_path / "out", "--assignments", course)
    assert "practice key" in output and "--shared" in output
    for name in ("s1", "s2"):
        shutil.copytree(tmp_path / "out", tmp_path / "in" / name)
        shutil.copy(course / "a9-scaling" / "solution" / "scaling.py", tmp_path / "in" / name)
    output = run(
        *("grade", tmp_path / "in", "-o", tmp_path / "report", "--shared"),
        *("--assignments", course),
    )
    assert "practice key" in output
    table = (tmp_path / "report" / "grades.csv").read_text().splitlines()
    assert table[1:] == ["s1,2,1,3,,,,", "s2,2,1,3,,,,"]


def test_text_of_a_hand_in_is_escaped_in_its_page(tmp_path, course, hand_in):
    hand_in(tmp_path / "in" / "s1", "raise ValueError('<script>alert(1)</script>')")
    run("grade", tmp_path / "in", "-o", tmp_path / "report", "--assignments", course)
    page = (tmp_path / "report" / "s1.html").read_text()
    assert "&lt;script&gt;" in page and "<script>" not in page


def test_two_students_and_two_keys_have_different_constants(tmp_path, course, key):
    options = ("--assignments", course)
    found = []
    for number, more in enumerate(
        (("--student", "a"), ("--student", "b"), ("--student", "a", "--key", key))
    ):
        run("bundle", "a9", "-o", tmp_path / str(number), *more, *options)
        found.append(json.loads((tmp_path / str(number) / "variant.json").read_text())["factor"])
    assert len(set(found)) == 3


def test_a_student_checks_with_the_public_tests(tmp_path, course):
    run("bundle", "a9", "-o", tmp_path / "b", "--student", "s1", "--assignments", course)
    assert "The public tests pass" in run("check", tmp_path / "b")
    (tmp_path / "b" / "scaling.py").write_text("raise ValueError")
    assert "do not pass yet" in run("check", tmp_path / "b", code=1)
    assert "not the folder" in run("check", tmp_path, code=1)


def test_mistakes_get_a_sentence(tmp_path, course):
    options = ("--assignments", course)
    assert "did you mean" in run("bundle", "a9-scalin", "-o", tmp_path / "b", *options, code=1)
    assert "the assignments are a9" in run("bundle", "b", "-o", tmp_path / "b", *options, code=1)
    assert "holds no assignment" in run("verify", "--assignments", tmp_path, code=1)
    assert "there is no folder" in run("grade", tmp_path / "x", "-o", tmp_path / "r", code=1)
    assert "holds no hand-in" in run("grade", tmp_path, "-o", tmp_path / "r", code=1)
    (tmp_path / "in" / "s1").mkdir(parents=True)
    assert "give --assignment" in run("grade", tmp_path / "in", "-o", tmp_path / "r", code=1)
    assert "give --gradescope" in run("export", "a9", "-o", tmp_path / "e.zip", *options, code=1)
    assert "not a student's id" in run(
        *("bundle", "a9", "-o", tmp_path / "b", "--student", "../x", *options), code=1
    )
    run("bundle", "a9", "-o", tmp_path / "b", *options)
    assert "choose another folder" in run("bundle", "a9", "-o", tmp_path / "b", *options, code=1)


@pytest.fixture
def autograder(tmp_path: Path, course: Path, key: Path) -> Path:
    """Gradescope's folders, with an exported autograder and a hand-in."""
    run(
        *("export", "a9", "--gradescope", "--key", key, "--assignments", course),
        *("-o", tmp_path / "a9.zip"),
    )
    root = tmp_path / "autograder"
    with zipfile.ZipFile(tmp_path / "a9.zip") as archive:
        archive.extractall(root / "source")
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert modes["setup.sh"] & 0o111 and modes["run_autograder"] & 0o111
    shutil.copy(root / "source" / "run_autograder", root / "run_autograder")
    metadata = {"users": [{"email": "s1@uni.edu", "id": 1, "name": "S"}]}
    (root / "submission_metadata.json").write_text(json.dumps(metadata))
    run(
        *("bundle", "a9", "--student", "s1@uni.edu", "--key", key, "--assignments", course),
        *("-o", root / "submission"),
    )
    shutil.copy(course / "a9-scaling" / "solution" / "scaling.py", root / "submission")
    return root


def run_gradescope(root: Path) -> dict:
    variables = {
        "AUTOGRADER": str(root),
        "GRADER_PYTHON": sys.executable,
        "PYTHONPATH": str(root / "source" / "package"),
    }
    subprocess.run(["bash", root / "run_autograder"], env={**os.environ, **variables}, check=True)
    results = json.loads((root / "results" / "results.json").read_text())
    jsonschema.validate(results, RESULTS_SCHEMA)
    return results


def test_gradescope_installs_and_grades(autograder, tmp_path):
    fake = tmp_path / "python"
    fake.write_text(
        '#!/usr/bin/env bash\necho "$@" >> "$AUTOGRADER/log"\n'
        'if [ "$2" = venv ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; fi\n'
    )
    fake.chmod(0o755)
    variables = {**os.environ, "AUTOGRADER": str(autograder), "PYTHON": str(fake)}
    subprocess.run(["bash", autograder / "source" / "setup.sh"], env=variables, check=True)
    log = (autograder / "log").read_text()
    assert "-m pip install" in log and "./package[course]" in log
    assert (autograder / "source" / "package" / "pyproject.toml").is_file()
    results = run_gradescope(autograder)
    assert [(each["score"], each["max_score"]) for each in results["tests"]] == [(2, 2), (1, 1)]
    assert "s1@uni.edu" in results["output"]


def test_gradescope_gets_a_newer_python_than_that_of_its_image(autograder, tmp_path):
    for name in ("old", "apt-get", "python3.11"):
        script = '#!/usr/bin/env bash\necho "${0##*/} $@" >> "$AUTOGRADER/log"\n'
        if name == "old":
            script += "exit 1\n"
        if name == "python3.11":
            script += 'if [ "$2" = venv ]; then mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; fi\n'
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    variables = {"AUTOGRADER": str(autograder), "PYTHON": str(tmp_path / "old")}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["bash", autograder / "source" / "setup.sh"],
        env={**os.environ, **variables, "PATH": path},
        check=True,
    )
    log = (autograder / "log").read_text()
    assert "apt-get install -y python3.11 python3.11-venv" in log
    assert "python3.11 -m venv" in log and "old -m venv" not in log


def test_a_hand_in_is_graded_as_that_of_the_first_user(autograder):
    results = gradescope.grade_submission(autograder)
    assert sum(each["score"] for each in results["tests"]) == 3
    metadata = autograder / "submission_metadata.json"
    metadata.write_text(json.dumps({"users": [{"email": "../x"}]}))
    gradescope.main(autograder)
    results = json.loads((autograder / "results" / "results.json").read_text())
    assert results["score"] == 0 and "NerdrainError" in results["output"]


def test_verify_prints_a_table_and_finds_a_wrong_expectation(tmp_path):
    folder = tmp_path / "a0-setup"
    shutil.copytree(assignments_folder() / "a0-setup", folder)
    path = folder / "grader" / "wrong.yaml"
    entries = re.split(r"\n\n(?=\w)", path.read_text(encoding="utf-8"))
    few = [entry for entry in entries if not entry.startswith(("sines_first", "linear_freq"))]
    assert len(few) == len(entries) - 2  # enough are left
    text = "\n\n".join(few) + "\n"
    path.write_text(text, encoding="utf-8")
    assert re.search(r"a0 +14 +4 +9 +1 +0", run("verify", "--assignments", tmp_path))
    changed = text.replace("end_to_end:\n  loses: [positions]", "end_to_end:\n  loses: [encoding]")
    path.write_text(changed, encoding="utf-8")
    output = run("verify", "a0", "--assignments", tmp_path, code=1)
    assert (
        "a0 wrong end_to_end (verify): must lose points in encoding; it lost in positions."
        in output
    )
    assert "1 of 14 known hand-ins" in output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"why": 3}, "end_to_end: why=3"),
        (
            {"edits": [{"file": "first.py", "old": "never", "new": ""}]},
            "first.py has 0 times 'never'",
        ),
        ({"edits": [{"file": "no.py", "old": "x", "new": ""}]}, "no.py has 0 times 'x'"),
        ({"edits": [{"file": "first.py", "old": "return", "new": ""}]}, "it must have it once"),
    ],
)
def test_a_mistake_that_does_not_fit_the_solution_is_named(tmp_path, changes, message):
    folder = tmp_path / "a0-setup"
    shutil.copytree(assignments_folder() / "a0-setup", folder)
    path = folder / "grader" / "wrong.yaml"
    mistakes = read_yaml(path)
    mistakes["end_to_end"] |= changes
    path.write_text(json.dumps(mistakes), encoding="utf-8")  # JSON is YAML
    with pytest.raises(NerdrainError, match=re.escape(message)):
        cases(folder)
    path.write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(NerdrainError, match="has 3 correct and 0 wrong solutions"):
        cases(folder)
    (folder / "grader" / "wrong" / "extra").mkdir(parents=True)
    with pytest.raises(NerdrainError, match=r"wrong\.yaml does not name extra"):
        cases(folder)


def test_gradescope_gets_results_when_the_grader_fails(autograder):
    (autograder / "submission_metadata.json").write_text("{}")
    results = run_gradescope(autograder)
    assert results["score"] == 0 and "not the student's fault" in results["output"]


def test_an_export_holds_no_known_hand_in(autograder):
    names = [path.relative_to(autograder).as_posix() for path in autograder.rglob("*.py")]
    assert not [n for n in names if "/assignments/" in n and "/grader/grade.py" not in n]


def test_assignments_need_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr("nerdrain.files.PACKAGE", tmp_path / "nerdrain")
    assert "clone the repository" in run("verify", code=1)
    assert PACKAGE.name == "nerdrain"
