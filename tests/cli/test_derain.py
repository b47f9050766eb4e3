"""`nerdrain derain`: files in, files out, and the options."""

import re

import numpy as np
import pytest
from PIL import Image

from nerdrain import NerdrainError, derain, load_model
from nerdrain.cli.derain import Job, check_tiles, plan_jobs
from nerdrain.inference.tiling import split_side


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
    assert result.stdout == "No photograph was derained: 1 failed.\n"


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
    assert plan_jobs([a], tmp_path / "b.PNG") == [Job(a, tmp_path / "b.PNG")]
    assert plan_jobs([a], out) == plan_jobs([a.parent], out) == [Job(a, out / "a.jpg")]
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert plan_jobs([a], folder) == [Job(a, folder / "a.jpg")]
    for inputs in ([a, b], [a.parent]):
        with pytest.raises(NerdrainError, match="a folder is needed"):
            plan_jobs(inputs, tmp_path / "b.png")
    with pytest.raises(NerdrainError, match="would both become"):
        plan_jobs([a, b], out)
    with pytest.raises(NerdrainError, match=r"folder\.png holds no photograph \(bmp, gif"):
        plan_jobs([folder], out)


def test_an_output_that_is_not_an_image(tmp_path, fails_in_a_sentence, photo):
    source, out = photo(tmp_path / "a.jpg"), tmp_path / "b.heic"
    text = fails_in_a_sentence("derain", source, "-o", out)
    assert "b.heic has the suffix of no image format; choose one of .bmp, " in text
    assert not out.exists()
    assert plan_jobs([source, photo(tmp_path / "c.jpg")], out)[0].target == out / "a.jpg"
    out.mkdir()
    assert plan_jobs([source], out) == [Job(source, out / "a.jpg")]


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
    for tile, said in ((7, "--tile 7 is too small"), (32, "--tile 32 is too small for --overlap")):
        text = fails_in_a_sentence(*arguments, "x", "--tile", tile)  # before the model is loaded
        assert said in text and "--overlap" in text and "--tile whole" in text
    assert "--tile auto, here 1440, is too small for --overlap 999" in fails_in_a_sentence(
        *arguments, model, "--overlap", 999
    )
    assert "no such model file" in fails_in_a_sentence("derain", source, "-o", out, "--model", "x")
    assert "is not a valid device name" in fails_in_a_sentence(
        "derain", source, "-o", out, "--device", "gpuu"
    )
    assert not out.exists()


def test_tiles_are_refused_exactly_where_they_cannot_be_cut():
    for tile in range(1, 140):
        for overlap in range(70):
            try:
                check_tiles("--tile", tile, overlap)
            except NerdrainError as error:
                if tile < 16:
                    continue  # `tile_size` refuses these
                most, least = map(
                    int, re.findall(r"give --overlap (\d+) .*--tile (\d+)", str(error))[0]
                )
                split_side(500, tile, most), split_side(500, least, overlap)
                with pytest.raises(NerdrainError):
                    split_side(500, tile, overlap)
            else:
                assert tile >= 16
                split_side(500, tile, overlap)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")]
)
def test_too_little_memory(tmp_path, model, error, fails, photo, stop_with):
    stop_with("nerdrain.inference.derain.derain", error)
    text = fails("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", model)
    assert re.search(r"a\.png: there is not enough memory for this; give smaller tiles", text)
