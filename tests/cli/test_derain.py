"""`nerdrain derain`: files in, files out, and the options."""

import re

import numpy as np
import pytest
from PIL import Image

from nerdrain import NerdrainError, derain, load_model
from nerdrain.cli.derain import plan_outputs


def test_one_file(tmp_path, model, succeeds, photo, pixels):
    source = photo(tmp_path / "wet.png")
    text = succeeds("derain", source, "-o", tmp_path / "new" / "dry.png", "--model", model)
    expected = derain(pixels(source), load_model(model))
    np.testing.assert_array_equal(pixels(tmp_path / "new" / "dry.png"), expected)
    said = r"Derained with .*m\.safetensors on cpu in [\d.]+ s: 1 of 1, in \S*dry\.png\.\n"
    assert re.fullmatch(said, text)


@pytest.mark.parametrize(("tile", "side"), [("whole", None), ("64", 64), ("auto", "auto")])
def test_tiles(tmp_path, model, tile, side, succeeds, photo, pixels):
    source = photo(tmp_path / "wet.png", 90, 70)
    succeeds(
        *("derain", source, "-o", tmp_path / "dry.png", "--model", model),
        *("--tile", tile, "--overlap", 16, "--device", "cpu"),
    )
    expected = derain(pixels(source), load_model(model), tile=side, overlap=16)
    np.testing.assert_array_equal(pixels(tmp_path / "dry.png"), expected)


def test_a_bad_file_does_not_stop_the_others(tmp_path, model, run, photo):
    for name in ("a.png", "c.jpg", ".hidden.png"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "b[1].png").write_bytes(b"no image")
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    other = photo(tmp_path / "other.png")
    out = tmp_path / "out"
    result = run(
        "derain", tmp_path / "in", other, tmp_path / "gone.png", "-o", out, "--model", model
    )
    assert result.exit_code == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "c.jpg", "other.png"]
    assert re.search(r"nerdrain: \S*b\[1\]\.png is not an image", result.stderr)
    assert re.search(r"nerdrain: \S*gone\.png does not exist; check the path\.", result.stderr)
    assert result.stdout.endswith(f": 3 of 5 (2 failed), in {out}.\n")
    assert "Traceback" not in result.output


def test_existing_files_are_replaced_only_when_asked(tmp_path, model, succeeds, fails, photo):
    source, out = photo(tmp_path / "a.png"), tmp_path / "out"
    existing = photo(out / "a.png")
    before = existing.read_bytes()
    text = fails("derain", source, "-o", out, "--model", model)
    assert "exists; give --overwrite to replace it." in text
    assert existing.read_bytes() == before
    succeeds("derain", source, "-o", out, "--model", model, "--overwrite")
    assert existing.read_bytes() != before


def test_nothing_derained(tmp_path, model, run):
    result = run("derain", tmp_path / "gone.png", "-o", tmp_path / "b.png", "--model", model)
    assert result.exit_code == 1
    assert re.fullmatch(r"Derained with .*: 0 of 1 \(1 failed\)\.\n", result.stdout)


def test_an_input_is_never_replaced(tmp_path, model, fails_in_a_sentence, photo):
    source = photo(tmp_path / "a.png")
    before = source.read_bytes()
    (tmp_path / "b.png").hardlink_to(source)
    for out in (source, tmp_path, tmp_path / "x" / "..", tmp_path / "b.png"):
        text = fails_in_a_sentence("derain", source, "-o", out, "--model", model, "--overwrite")
        assert "is an input and is not overwritten" in text
    assert source.read_bytes() == before


def test_each_photograph_has_its_output(tmp_path, photo):
    a, b = photo(tmp_path / "one" / "a.jpg"), photo(tmp_path / "two" / "a.jpg")
    out = tmp_path / "out"
    assert plan_outputs([a], tmp_path / "b.PNG") == {tmp_path / "b.PNG": a}
    assert plan_outputs([a], out) == plan_outputs([a.parent], out) == {out / "a.jpg": a}
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert plan_outputs([a], folder) == {folder / "a.jpg": a}
    for inputs in ([a, b], [a.parent]):
        with pytest.raises(NerdrainError, match="a folder is needed"):
            plan_outputs(inputs, tmp_path / "b.png")
    with pytest.raises(NerdrainError, match="would both become"):
        plan_outputs([a, b], out)
    with pytest.raises(NerdrainError, match=r"folder\.png holds no image \(\.bmp, \.gif"):
        plan_outputs([folder], out)


def test_an_output_that_is_not_an_image(tmp_path, fails_in_a_sentence, photo):
    source, out = photo(tmp_path / "a.jpg"), tmp_path / "b.heic"
    text = fails_in_a_sentence("derain", source, "-o", out)
    assert "b.heic has the suffix of no image format; choose one of .bmp, " in text
    assert not out.exists()
    both = [source, photo(tmp_path / "c.jpg")]
    assert list(plan_outputs(both, out)) == [out / "a.jpg", out / "c.jpg"]
    out.mkdir()
    assert plan_outputs([source], out) == {out / "a.jpg": source}


def test_notes_are_printed(tmp_path, model, run):
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    result = run("derain", tmp_path / "a.gif", "-o", tmp_path / "b.gif", "--model", model)
    assert result.exit_code == 0
    assert re.search(r"note: \S*a\.gif holds 2 frames, but only the first is read\.", result.stderr)


def test_bad_options(tmp_path, model, fails_in_a_sentence, fails, photo):
    source, out = photo(tmp_path / "a.png"), tmp_path / "b.png"
    assert "neither auto, whole nor a number" in fails(
        "derain", source, "-o", out, "--tile", "big", code=2
    )
    assert "--output" in fails("derain", source, code=2)
    arguments = ("derain", source, "-o", out, "--model")
    # A small photograph needs no tiles, but tiles that do not fit are refused all the same.
    assert "at least 16 pixels, not 7" in fails_in_a_sentence(*arguments, model, "--tile", 7)
    for options, problem in (
        (("--tile", 32), "tiles of 32 pixels cannot overlap by 32"),
        (("--overlap", 999), "tiles of 1440 pixels cannot overlap by 1008"),
    ):
        text = fails_in_a_sentence(*arguments, model, *options)
        assert problem in text and "give tiles of at least" in text
    assert "no such model file" in fails_in_a_sentence("derain", source, "-o", out, "--model", "x")
    assert "is not a valid device name" in fails_in_a_sentence(
        "derain", source, "-o", out, "--device", "gpuu"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")]
)
def test_too_little_memory(tmp_path, model, error, fails, photo, stop_with):
    stop_with("nerdrain.inference.derain.derain", error)
    text = fails("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", model)
    assert re.search(r"a\.png: there is not enough memory for this; give smaller tiles", text)
