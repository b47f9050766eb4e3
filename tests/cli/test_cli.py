"""The program `nerdrain`: its help, its version, and what it imports."""

import subprocess
import sys
from pkgutil import iter_modules

import pytest

import nerdrain
import nerdrain.cli

COMMANDS = ["derain", "evaluate", "rain", "info", "convert", "export", "train", "plot", "ablate"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, run, succeeds):
    text = succeeds(command, "--help")
    assert f"nerdrain {command} " in text.split("Example")[1]
    assert run(command, "-h").stdout == text


def test_overview_and_version(run, succeeds):
    text = succeeds("--help")
    assert all(command in text for command in COMMANDS)
    assert succeeds("--version") == f"nerdrain {nerdrain.__version__}\n"
    assert run().exit_code == 2  # without arguments: prints the help and fails


@pytest.mark.parametrize("command", [*COMMANDS, "course"])
def test_help_imports_nothing_slow(command):
    code = (
        "import sys\nfrom nerdrain.cli import app\n"
        f"try: app(['{command}', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "ours = {name.split('.')[1] for name in sys.modules if name.startswith('nerdrain.')}\n"
        "assert ours <= {'cli', 'errors', 'files'}, ours"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


COURSE = ["bundle", "check", "grade", "marks", "export", "verify", "new-key"]


@pytest.mark.parametrize("command", COURSE)
def test_help_of_the_course_has_an_example(command, succeeds):
    assert f"nerdrain course {command}" in succeeds("course", command, "--help").split("Example")[1]


def test_every_module_is_a_command():
    modules = {module.name for module in iter_modules(nerdrain.cli.__path__)}
    assert modules == {*COMMANDS, "course", "console"}


def test_module_is_the_command():
    command = [sys.executable, "-m", "nerdrain", "--version"]
    assert subprocess.run(command, check=True, capture_output=True).stdout.startswith(b"nerdrain ")
