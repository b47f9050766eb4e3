"""What the commands share: errors, notes, and stopping."""

import re

import pytest

from nerdrain.cli.console import as_sentence
from nerdrain.errors import NerdrainError


def test_unread_files_are_counted(tmp_path, model, run, succeeds, fails_in_a_sentence, photo):
    folder = photo(tmp_path / "in" / "a.png").parent
    out, arguments = tmp_path / "out", ("-o", tmp_path / "out", "--model", model)
    (folder / ".hidden").mkdir()
    (folder / ".DS_Store").write_text("nothing")
    assert "not read" not in run("derain", folder, *arguments).stderr
    for name in ("b.heic", "b.txt"):
        (folder / name).write_text("nothing")
    photo(folder / "sub" / "c.png")
    note = "note: not read: 1 subfolder, 2 files of unknown kind.\n"
    assert run("derain", folder, *arguments, "--overwrite").stderr.count(note) == 1
    assert "not read" not in run("derain", folder / "a.png", *arguments, "--overwrite").stderr
    assert run("rain", folder, "-o", out).stderr.count(note) == 1
    note = "note: not read: 2 subfolders, 4 files of unknown kind.\n"
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
    with pytest.raises(RuntimeError, match="a bug"):  # shown with its traceback
        as_sentence(RuntimeError("a bug of ours"))
    with pytest.raises(KeyError):
        as_sentence(KeyError("x"))


def test_errors_of_the_system(tmp_path, fails_in_a_sentence, stop_with):
    error = PermissionError(13, "Permission denied", "photos")
    stop_with("nerdrain.data.pairing.images_in", error)
    text = fails_in_a_sentence("rain", tmp_path, "-o", tmp_path)
    assert text == "nerdrain: photos: Permission denied.\n"
