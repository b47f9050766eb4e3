"""The assignments of the repository: complete, and without anything secret in their bundles."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from nerdrain.course import verify
from nerdrain.course.assignment import (
    assignments_folder,
    find_assignments,
    load_assignment,
    read_files,
    read_yaml,
)
from nerdrain.course.bundle import NEEDED, bundle, requirements, run_public_tests, write_bundle
from nerdrain.course.grading import Task
from nerdrain.course.keys import Key
from nerdrain.course.verify import Case, cases, judge

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = list(find_assignments(assignments_folder()).values())


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request) -> Path:
    return request.param


def test_it_has_all_parts_and_its_chapters_exist(folder):
    assignment = load_assignment(folder)
    assert folder.name.startswith(f"{assignment.id}-")
    for name in ("handout.md", "starter", "tests", "solution", "grader/package_copy"):
        assert (folder / name).exists(), name
    assert (folder / "rubric.md").is_file() == bool(assignment.rubric)
    for name in assignment.chapters:
        assert (ROOT / "notebooks" / f"{name}.ipynb").is_file(), name
    for name in assignment.files:
        assert (folder / "solution" / name).is_file()
        # Trained weights are a result, so no starter has them.
        assert (folder / "starter" / name).is_file() or name.endswith(".safetensors")
    assert list((folder / "tests").glob("test_*.py"))


def test_its_handout_is_a_page_of_the_book(folder):
    name = folder.name.partition("-")[0]
    page = (ROOT / "book" / "course" / f"{name}.md").read_text(encoding="utf-8")
    assert f"../../assignments/{folder.name}/handout.md" in page
    values = load_assignment(folder)
    points = f"{sum(values.points.values()):g} + {sum(values.rubric.values()):g}"
    row = f"| [{name} {values.title}](course/{name}.md) | {values.hours:g} | {points} |"
    assert row in (ROOT / "book" / "teach.md").read_text(encoding="utf-8")
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert f"- file: book/course/{name}\n" in toc


def test_it_has_enough_known_hand_ins(folder):
    names = set(load_assignment(folder).points)
    for case in cases(folder):
        assert case.loses <= names
        assert bool(case.loses) == (case.kind == "wrong")


def test_its_items_follow_from_the_key_alone(folder):
    task = Task(folder, Key(b"k"))
    assert [item.name for item in task.items("s1")] == list(task.assignment.points)
    assert task.variant_file("s1") == task.variant_file("s1")
    others = {task.variant_file(f"s{n}").replace(f"s{n}".encode(), b"s") for n in range(9)}
    assert len(others) > 1


def test_its_public_tests_pass_on_the_solution_and_not_on_the_starter(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # they take most of the time
    files = bundle(Task(folder, Key.practice()), "s1")
    for name, hand_in, passes in (
        ("starter", {}, False),
        ("solution", read_files(folder / "solution"), True),
    ):
        write_bundle(tmp_path / name, files | hand_in)
        assert (run_public_tests(tmp_path / name) == 0) == passes, name


def functions(source: str) -> dict[str, str]:
    """The bodies of the functions of a file by name, without docstrings and those to write."""
    bodies: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            rest = node.body[ast.get_docstring(node) is not None :]
            body = "\n".join(ast.unparse(statement) for statement in rest)
            if rest and "NotImplementedError" not in body:
                bodies[node.name] = body
    return bodies


def test_its_bundle_holds_nothing_secret(folder):
    key = Key(bytes(range(32)))
    files = bundle(Task(folder, key), "s1")
    assert {"handout.md", "README.md", "AI-POLICY.md", "submit.py", "requirements.txt"} <= set(
        files
    )
    for name, content in files.items():
        assert not re.search("grade|solution|correct|wrong|expected|oracle|rubric", name), name
        assert key.secret not in content and key.secret.hex().encode() not in content
    given: dict[str, str] = {}
    for name, content in files.items():
        if name.endswith(".py"):
            given |= functions(content.decode())
    for path in [*(folder / "solution").rglob("*.py"), *(folder / "grader").rglob("*.py")]:
        assert path.parent.name == "package_copy" or path.read_bytes() not in files.values(), path
        for name, body in functions(path.read_text(encoding="utf-8")).items():
            if name not in given:  # a function of the same name is given on purpose
                assert body not in given.values(), (path, name)
        for name in load_assignment(folder).files:
            if path.parent.name == "solution" and name == path.name:
                written = functions(path.read_text(encoding="utf-8")).keys() - given.keys()
                assert written, (path, "the starter leaves nothing to write")


def test_pins_name_versions_and_no_place():
    lines = requirements().splitlines()[1:]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    names = {line.partition("==")[0] for line in lines}
    assert {"torch", "numpy", "pytest", "jinja2"} <= names
    assert len(names) == len(lines) and names == {canonicalize_name(name) for name in names}
    assert "nerdrain" not in names
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["course"]
    assert [line.partition(">")[0] for line in extra] == list(NEEDED)


def test_verify_finds_each_kind_of_mistake(task, launcher, solution):
    items = task.items("verify")
    variant = task.variant_file("verify")

    def problem(kind: str, source: str, loses: frozenset[str] = frozenset()) -> str:
        case = Case(kind, "x", {"scaling.py": source.encode()}, loses)
        files = {**case.files, "variant.json": variant}
        grade = task.grade(verify.HandIn("verify", files), launcher, items)
        return judge(case, grade, items)

    copy = solution.replace("x * FACTOR", "x")
    assert problem("solution", solution) == problem("correct", solution) == ""
    assert "loses points (scale: " in problem("solution", copy)
    assert problem("starter", "") == "" and problem("starter", copy) == "gets points"
    assert problem("package_copy", copy) == ""
    assert "half" in problem("package_copy", solution)
    assert problem("wrong", copy, frozenset({"scale"})) == ""
    assert "must lose points in describe" in problem("wrong", copy, frozenset({"describe"}))


def test_each_mistake_says_why_in_a_sentence(folder):
    for name, values in read_yaml(folder / "grader" / "wrong.yaml").items():
        assert values["why"].endswith("."), name


def test_its_grader_finds_no_mistake_in_itself(folder):
    grader = Task(folder, Key.practice()).grader
    assert getattr(grader, "self_check", list)() == []
