"""`nerdrain rain`: the pairs it writes, and what it refuses."""

import os
import re
import signal
import stat

import numpy as np
import pytest

from nerdrain import files
from nerdrain.data.datasets import PairedFolder
from nerdrain.data.images import save_image
from nerdrain.data.rain import add_rain


def contents(folder):
    """The files of a folder, as bytes by their paths in it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_pairs(tmp_path, succeeds, photo, pixels):
    for name in ("a.jpg", "b.png"):
        photo(tmp_path / "clean" / name, 40, 50)
    arguments = ("rain", tmp_path / "clean", "--style", "heavy", "--mode", "screen", "--seed", 3)
    text = succeeds(*arguments, "-o", tmp_path / "train")
    assert text.startswith("Made pairs with heavy rain (screen)") and text.endswith(
        f": 2 of 2, in {tmp_path / 'train'}.\n"
    )
    pairs = PairedFolder(tmp_path)
    assert pairs.names == ["a", "b"]
    np.testing.assert_array_equal(
        pixels(tmp_path / "train" / "target" / "b.png"), pixels(tmp_path / "clean" / "b.png")
    )
    rainy = pixels(tmp_path / "train" / "input" / "b.png")
    assert (rainy >= pixels(tmp_path / "clean" / "b.png")).all()  # a screen only brightens
    # The rain depends on the name, so `b` gets the same rain without `a`.
    (tmp_path / "clean" / "a.jpg").unlink()
    succeeds(*arguments, "-o", tmp_path / "again")
    np.testing.assert_array_equal(pixels(tmp_path / "again" / "input" / "b.png"), rainy)
    succeeds(*arguments[:-1], 4, "-o", tmp_path / "other")
    assert (pixels(tmp_path / "other" / "input" / "b.png") != rainy).any()


def test_pairs_are_what_the_package_makes(tmp_path, succeeds, photo, pixels):
    photo(tmp_path / "clean" / "a.png", 40, 50)
    succeeds("rain", tmp_path / "clean", "-o", tmp_path / "out")
    rng = np.random.default_rng([0, 3904355907])  # CRC-32 of "a"
    rainy, _ = add_rain(pixels(tmp_path / "clean" / "a.png"), "light", rng, "additive")
    written = pixels(tmp_path / "out" / "input" / "a.png")
    assert np.abs(written - rainy * 255).max() <= 0.501


def test_bad_options(tmp_path, fails_in_a_sentence, fails, photo):
    folder = photo(tmp_path / "clean" / "a.png").parent
    out = ("-o", tmp_path / "out")
    assert "choose one of light" in fails_in_a_sentence("rain", folder, *out, "--style", "hail")
    assert "choose one of additive" in fails_in_a_sentence("rain", folder, *out, "--mode", "snow")
    for missing in (tmp_path / "x", folder / "a.png"):
        text = fails_in_a_sentence("rain", missing, *out)
        assert text == f"nerdrain: there is no folder {missing}; check the path.\n"
    (folder / "b.png").write_bytes(b"broken")
    assert re.search(r"b\.png is not an image", fails("rain", folder, *out))
    assert (tmp_path / "out" / "input" / "a.png").exists()
    assert "exists; give --overwrite" in fails("rain", folder, *out)


def test_gifs_get_rain(tmp_path, succeeds, pixels):
    clean = np.random.default_rng(0).choice([0, 80, 255], (40, 50, 1)).astype(np.uint8).repeat(3, 2)
    save_image(clean, tmp_path / "clean" / "a.gif")
    succeeds("rain", tmp_path / "clean", "-o", tmp_path / "out")
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "target" / "a.png"), clean)


def test_an_input_implies_its_target(tmp_path, run, succeeds, fails, photo, monkeypatch):
    """Stopped between its two files, a pair is completed by the next run, with the same rain."""
    for name in "ab":
        photo(tmp_path / "clean" / f"{name}.png", 40, 50)
    arguments = ("rain", tmp_path / "clean", "-o")
    succeeds(*arguments, tmp_path / "whole")
    out, publish = tmp_path / "out", files._publish

    def stop_at_b(part, path, overwrite):
        if path == out / "input" / "b.png":
            raise KeyboardInterrupt
        publish(part, path, overwrite)

    with monkeypatch.context() as patched:
        patched.setattr(files, "_publish", stop_at_b)
        assert "interrupted: 1 of 2 done" in fails(*arguments, out, code=130)
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert written == ["input/a.png", "target/a.png", "target/b.png"]
    for done in (1, 2):
        (out / "input" / ".nerdrain-0.part").write_text("left by a killed run")
        result = run(*arguments, out, "--skip-existing")
        assert result.exit_code == 0 and f"note: {done} of 2 pairs exist." in result.stderr
        assert contents(out) == contents(tmp_path / "whole")
    assert "input/a.png exists; give --overwrite" in fails(*arguments, out)


def test_a_target_of_somebody_else_stays(tmp_path, fails, photo):
    photo(tmp_path / "clean" / "a.png", 40, 50)
    mine = tmp_path / "out" / "target" / "a.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    for option in ((), ("--skip-existing",)):
        text = fails("rain", tmp_path / "clean", "-o", tmp_path / "out", *option)
        assert "target/a.png exists; give --overwrite" in text
    assert contents(tmp_path / "out") == {"target/a.png": b"precious"}


def test_a_file_as_output_folder(tmp_path, fails_in_a_sentence, photo):
    for name in "ab":
        photo(tmp_path / "clean" / f"{name}.png")
    (tmp_path / "file").write_text("precious")
    text = fails_in_a_sentence("rain", tmp_path / "clean", "-o", tmp_path / "file")
    assert "a file is in the place of a folder" in text


@pytest.mark.parametrize("side", ["input", "target"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_rain_never_falls_on_the_originals(tmp_path, side, name, fails_in_a_sentence, photo):
    source = photo(tmp_path / side / name)
    before = source.read_bytes()
    for folder, out in ((source.parent, tmp_path), (tmp_path / side / ".." / side, tmp_path)):
        text = fails_in_a_sentence("rain", folder, "-o", out, "--overwrite")
        assert "is an input and is not overwritten; choose another." in text
    assert source.read_bytes() == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [source]
    # A link in the other folder leads there as well.
    link = tmp_path / "out" / side / "a.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    text = fails_in_a_sentence("rain", source.parent, "-o", tmp_path / "out", "--overwrite")
    assert "is an input and is not overwritten" in text
    assert source.read_bytes() == before


def test_no_rainy_pair(tmp_path, run, succeeds):
    (tmp_path / "a.png").write_bytes(b"broken")
    result = run("rain", tmp_path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stdout == "Made pairs with light rain (additive): 0 of 1 (1 failed).\n"
    assert "8-bit RGB" in " ".join(succeeds("rain", "--help").split())


def test_sigterm_leaves_nothing_unfinished(tmp_path, monkeypatch, fails, photo):
    photo(tmp_path / "clean" / "a.png")
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    fails("rain", tmp_path / "clean", "-o", tmp_path / "out", code=128 + signal.SIGTERM)
    assert contents(tmp_path / "out") == {}
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_pair_that_appears_meanwhile_stays(tmp_path, monkeypatch, fails, photo):
    """Another process makes the same pair, after the first look whether it exists."""
    photo(tmp_path / "clean" / "a.png")
    theirs = tmp_path / "out" / "input" / "a.png"

    def slow(*arguments):
        theirs.write_text("precious")
        return add_rain(*arguments)

    monkeypatch.setattr("nerdrain.data.rain.add_rain", slow)
    text = fails("rain", tmp_path / "clean", "-o", tmp_path / "out")
    assert "input/a.png exists; give --overwrite" in text
    assert contents(tmp_path / "out") == {"input/a.png": b"precious"}


def test_a_replaced_pair_keeps_its_mode_and_its_link(tmp_path, succeeds, photo):
    photo(tmp_path / "clean" / "a.png", 40, 50)
    arguments = ("rain", tmp_path / "clean", "-o", tmp_path / "out", "--overwrite")
    succeeds(*arguments)
    rainy, target, far = (tmp_path / name for name in ("out/input/a.png", "out/target/a.png", "f"))
    target.rename(far)
    target.symlink_to(far)
    for file in (rainy, far):
        file.chmod(0o640)
        before = file.read_bytes()
        file.write_text("old")
        succeeds(*arguments)
        assert file.read_bytes() == before
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert target.is_symlink()
