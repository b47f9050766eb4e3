"""What the commands share: errors, notes, and stopping."""

import re
import signal
import subprocess
import sys

import pytest

from nerdrain.cli.console import as_sentence, printable
from nerdrain.errors import NerdrainError


def test_unread_files_are_counted(tmp_path, model, run, succeeds, fails_in_a_sentence, photo):
    folder = photo(tmp_path / "in" / "a.png").parent
    out, arguments = tmp_path / "out", ("-o", tmp_path / "out", "--model", model)
    (folder / ".hidden").mkdir()
    (folder / ".DS_Store").write_text("nothing")
    assert "not read" not in run("derain", folder, *arguments).stderr
    for name in ("b.raw", "b.txt"):
        (folder / name).write_text("nothing")
    photo(folder / "sub" / "c.png")
    note = "note: not read: 1 subfolder (sub), 2 files of unknown kind (b.raw, b.txt)"
    text = run("derain", folder, *arguments, "--overwrite").stderr
    assert text.count(f"{note}; give -r to search subfolders.\n") == 1
    note += ".\n"
    assert "not read" not in run("derain", folder / "a.png", *arguments, "--overwrite").stderr
    assert run("rain", folder, "-o", out).stderr.count(note) == 1
    note = (
        "note: not read: 2 subfolders (sub, sub), 4 files of unknown kind "
        "(b.raw, b.txt, b.raw and 1 more).\n"
    )
    assert run("evaluate", "--restored", folder, "--target", folder).stderr.count(note) == 1
    (folder / "a.png").unlink()
    assert "subfolders are not searched" in fails_in_a_sentence("derain", folder, *arguments)
    for command in ("derain", "evaluate", "rain"):
        text = " ".join(succeeds(command, "--help").lower().split())
        assert re.search(r"subfolders( of a folder)? are not searched", text)


def test_ctrl_c(tmp_path, model, fails, photo, stop_with):
    stop_with("nerdrain.inference.derain.derain", KeyboardInterrupt())
    source = photo(tmp_path / "a.png")
    text = fails("derain", source, "-o", tmp_path / "b.png", "--model", model, code=130)
    assert text.endswith("nerdrain: interrupted: 0 of 1 done.\n")
    assert not (tmp_path / "b.png").exists()
    stop_with("nerdrain.evaluation.folders.evaluate_folders", KeyboardInterrupt())
    text = fails("evaluate", "--restored", tmp_path, "--target", tmp_path, code=130)
    assert text == "nerdrain: interrupted.\n"


def test_errors_as_sentences():
    assert as_sentence(NerdrainError("two\n lines")) == "two lines."
    assert as_sentence(PermissionError(13, "Permission denied", "x")) == "x: Permission denied."
    assert as_sentence(OSError("odd.")) == "odd."
    assert as_sentence(PermissionError(13, "Denied", 3)) == "Denied."
    assert as_sentence(FileNotFoundError(2, "Gone", b"\xff")) == "\udcff: Gone."


def test_a_bug_is_a_sentence_that_asks_for_a_report(monkeypatch, capsys):
    text = as_sentence(KeyError("x"))
    assert text == (
        "unexpected KeyError ('x'); please report this bug, with what the command prints after "
        "you set NERDRAIN_TRACEBACK=1."
    )
    assert as_sentence(TypeError()).startswith("unexpected TypeError; please report")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("NERDRAIN_TRACEBACK", "1")
    as_sentence(KeyError("x"))
    assert "KeyError: 'x'" in capsys.readouterr().err


def test_long_messages_are_cut():
    assert len(as_sentence(NerdrainError("x" * 10**6))) < 1010
    assert len(as_sentence(TypeError("x" * 10**6))) < 500


def test_control_characters_are_escaped():
    assert printable("a\x1b[31m\x9b\u202e\udcff é 雨\n") == r"a\x1b[31m\x9b\u202e\udcff é 雨\n"


def test_a_bug_outside_of_a_file(tmp_path, fails_in_a_sentence, stop_with):
    stop_with("nerdrain.data.pairing.images_in", AttributeError("none"))
    text = fails_in_a_sentence("rain", tmp_path, "-o", tmp_path)
    assert text.startswith("nerdrain: unexpected AttributeError (none); please report this bug")


INTERRUPTED = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from nerdrain.__main__ import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("module", ["nerdrain.cli", "typer", "rich.progress", "torch"])
def test_an_early_ctrl_c(tmp_path, module):
    """Ctrl-C arrives while the program imports a module."""
    code = INTERRUPTED.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", code, "derain", "a.png", "-o", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        # A background job of a shell ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (130, "nerdrain: interrupted.\n")


def test_errors_of_the_system(tmp_path, fails_in_a_sentence, stop_with):
    error = PermissionError(13, "Permission denied", "photos")
    stop_with("nerdrain.data.pairing.images_in", error)
    text = fails_in_a_sentence("rain", tmp_path, "-o", tmp_path)
    assert text == "nerdrain: photos: Permission denied.\n"
