"""`nerdrain derain`: files in, files out, and the options."""

import importlib
import io
import json
import os
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from nerdrain import NerdrainError, derain, load_model
from nerdrain.cli import app
from nerdrain.cli.console import parse_path
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
    summary = result.stderr.partition("nerdrain: 2 of 5 failed:\n")[2].splitlines()
    assert [re.search(r"(\S+png) ", line)[1] for line in summary] == [
        str(tmp_path / "in" / "b[1].png"),
        str(tmp_path / "gone.png"),
    ]
    assert "Traceback" not in result.output


def test_existing_files_are_replaced_only_when_asked(tmp_path, model, succeeds, fails, photo):
    source, out = photo(tmp_path / "a.png"), tmp_path / "out"
    existing = photo(out / "a.png")
    before = existing.read_bytes()
    text = fails("derain", source, "-o", out, "--model", model)
    assert "exists; give --overwrite to replace it, or --skip-existing to keep it." in text
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
    with pytest.raises(NerdrainError, match=r"folder\.png holds no image \(\.avif, \.bmp"):
        plan_outputs([folder], out)


def test_an_output_that_is_not_an_image(tmp_path, fails_in_a_sentence, photo):
    source, out = photo(tmp_path / "a.jpg"), tmp_path / "b.xyz"
    text = fails_in_a_sentence("derain", source, "-o", out)
    assert "b.xyz has the suffix of no image format; choose one of .avif, " in text
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
        (("--overlap", 999), "tiles of 1584 pixels cannot overlap by 1008"),
    ):
        text = fails_in_a_sentence(*arguments, model, *options)
        assert problem in text and "give tiles of at least" in text
    for memory, problem in (
        ("much", "'much' is not an amount of memory; give one such as 1GiB or 800MB."),
        ("1MiB", "a bound of 1 MiB is too small, because "),
    ):
        text = fails(*arguments, model, "--max-memory", memory)
        assert problem in text
    text = fails(*arguments, model, "--max-memory", "1GiB", "--tile", 64, code=2)
    assert "--tile and --max-memory exclude each other" in text
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


def test_any_error_on_a_file_is_reported_and_the_others_go_on(
    tmp_path, model, run, photo, monkeypatch
):
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "in" / name)
    from nerdrain.data import images

    load = images.load_image

    def fail(path):
        if path.name == "b.png":
            raise ZeroDivisionError("division by zero")
        return load(path)

    monkeypatch.setattr(images, "load_image", fail)
    result = run("derain", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    assert result.exit_code == 1 and "Traceback" not in result.output
    text = f"{tmp_path / 'in' / 'b.png'}: unexpected ZeroDivisionError (division by zero); please "
    assert result.stderr.count(text) == 2  # at once, and in the summary
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow fewer names")
def test_odd_names(tmp_path, model, run, photo):
    folder = tmp_path / "in"
    photo(folder / "a.png")
    for name in (b"bad\xff.png", b"esc\x1b[31m.png", b"line\nbreak.png"):
        os.rename(photo(folder / "b.png"), os.path.join(os.fsencode(folder), name))
    (folder / "broken\x1b[0m.png").write_bytes(b"no image")
    (folder / "loop.png").symlink_to("loop.png")
    loop = folder / "loop.png"
    result = run("derain", folder, loop, "-o", tmp_path / "out", "--model", model)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "\x1b" not in result.output and r"broken\x1b[0m.png is not an image" in result.stderr
    assert "loop.png cannot be read (Too many levels of symbolic links)." in result.stderr
    assert ": 4 of 6 (2 failed)" in result.stdout
    assert len(list((tmp_path / "out").iterdir())) == 4
    result = run("derain", folder, "-o", tmp_path / "out", "--dry-run")
    assert result.exit_code == 0 and r"bad\udcff.png" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_paths_that_mean_something_else(tmp_path, model, fails, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    for arguments in (("", "-o", "out"), ("a.png", "-o", "")):
        text = " ".join(fails("derain", *arguments, code=2).split())
        assert "the path is empty" in text
    os.mkfifo("pipe.png")
    text = fails("derain", "pipe.png", "-o", "b.png", "--model", model)
    assert "pipe.png is a pipe or a device; give a file, or - for standard input." in text
    text = fails("derain", ".", "-o", "-", "--model", model)
    assert "- is one file, and a folder is needed" in text
    assert not Path("-").exists()
    (tmp_path / "-").touch()
    assert plan_outputs([parse_path("./-")], Path("out")) == {Path("out/-"): tmp_path / "-"}


def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path, model, run, fails, photo, monkeypatch
):
    import nerdrain.inference.derain as module

    source, out = photo(tmp_path / "a.png"), tmp_path / "b.png"
    derain_image = module.derain

    def other_process(*arguments, **options):
        out.write_bytes(b"another's result")
        return derain_image(*arguments, **options)

    monkeypatch.setattr(module, "derain", other_process)
    arguments = ("derain", source, "-o", out, "--model", model)
    assert "b.png exists; give --overwrite to replace it." in fails(*arguments)
    assert out.read_bytes() == b"another's result"
    out.unlink()
    result = run(*arguments, "--skip-existing")
    assert result.exit_code == 0 and result.stdout.endswith(": 0 of 1 (1 skipped).\n")
    assert out.read_bytes() == b"another's result"


def test_skip_existing(tmp_path, model, succeeds, fails, photo):
    for name in ("a.png", "b.png"):
        photo(tmp_path / "in" / name)
    out = tmp_path / "out"
    arguments = ("derain", tmp_path / "in", "-o", out, "--model", model, "--skip-existing")
    succeeds(*arguments)
    expected = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "b.png").unlink()
    (out / "a.png").write_bytes(b"kept")
    (out / ".nerdrain-0.part").write_bytes(b"left by a killed process")
    assert succeeds(*arguments).endswith(f": 1 of 2 (1 skipped), in {out}.\n")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected | {"a.png": b"kept"}
    (out / ".nerdrain-0.part").write_bytes(b"left by a killed process")
    text = succeeds(*arguments[:-2], "no such model", "--skip-existing")  # it is not needed
    assert text == "Derained with no such model: 0 of 2 (2 skipped).\n"
    assert len(list(out.iterdir())) == 2
    text = " ".join(fails(*arguments, "--overwrite", code=2).split())
    assert "--overwrite and --skip-existing exclude each other" in text


def test_ctrl_c_says_how_to_go_on(tmp_path, model, fails, photo, stop_with):
    for name in ("a.png", "b.png"):
        photo(tmp_path / "in" / name)
    stop_with("nerdrain.inference.derain.derain", KeyboardInterrupt())
    arguments = ("derain", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    text = fails(*arguments, code=130)
    assert text == "nerdrain: interrupted: 0 of 2 done; give --skip-existing to go on.\n"


def test_recursive(tmp_path, model, succeeds, run, fails_in_a_sentence, photo):
    folder = tmp_path / "in"
    for name in ("a.png", "one/a.png", "one/two/b.jpg", ".hidden/c.png", "empty/notes.txt"):
        photo((folder / name).with_suffix(".png")).rename(folder / name)
    out = folder / "dry"  # it is not searched
    arguments = ("derain", folder, "-o", out, "--model", model, "-r")
    result = run(*arguments)
    assert result.exit_code == 0
    assert result.stderr == "note: not read: 1 file of unknown kind (notes.txt).\n"
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == ["a.png", "one/a.png", "one/two/b.jpg"]
    assert ": 0 of 3 (3 skipped)" in succeeds(*arguments, "--skip-existing")
    (tmp_path / "none").mkdir()
    text = fails_in_a_sentence("derain", tmp_path / "none", "-o", out, "-r")
    assert "none and its subfolders hold no image" in text


def test_format_and_quality(tmp_path, model, succeeds, fails, fails_in_a_sentence, photo):
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "b.jpeg")
    arguments = ("derain", tmp_path / "in", "--model", model)
    sizes = []
    for quality in (5, 100):
        out = tmp_path / str(quality)
        succeeds(*arguments, "-o", out, "--format", "jpg", "--quality", quality)
        assert [path.name for path in sorted(out.iterdir())] == ["a.jpg", "b.jpeg"]
        assert Image.open(out / "a.jpg").format == "JPEG"
        sizes.append((out / "a.jpg").stat().st_size)
    assert sizes[0] < sizes[1]
    assert plan_outputs([tmp_path / "c.HEIC"], tmp_path) == {
        tmp_path / "c.jpg": tmp_path / "c.HEIC"
    }
    text = fails_in_a_sentence(*arguments[:1], "a.png", "-o", "b.png", "--format", "jpg")
    assert text == "nerdrain: b.png is not a jpg file; leave out --format.\n"
    assert "there is no format 'xyz'" in fails(*arguments, "-o", out, "--format", "xyz", code=2)
    for quality in (0, 101):
        assert "--quality" in fails(*arguments, "-o", out, "--quality", quality, code=2)
    text = fails_in_a_sentence("derain", "a.png", "-o", "b.png", "--quality", 80)
    assert text.startswith("nerdrain: --quality is for jpg, webp and avif, and no result has such")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_standard_input_and_output(tmp_path, model, kind, photo):
    source = photo(tmp_path / "a.png")
    buffer = io.BytesIO()
    Image.open(source).save(buffer, kind)
    command = ("derain", "-", "-o", "-", "--model", str(model))
    result = CliRunner().invoke(app, command, input=buffer.getvalue())
    assert result.exit_code == 0, result.stderr
    image = Image.open(io.BytesIO(result.stdout_bytes))
    assert (image.format, image.size) == (kind.upper(), (24, 20))
    assert re.fullmatch(r"Derained with .*: 1 of 1\.\n", result.stderr)
    result = CliRunner().invoke(app, (*command, "--format", "tif", "-q"), input=buffer.getvalue())
    assert Image.open(io.BytesIO(result.stdout_bytes)).format == "TIFF" and result.stderr == ""
    if kind == "png":
        expected = derain(np.asarray(Image.open(source)), load_model(model))
        np.testing.assert_array_equal(np.asarray(image), expected)
    result = CliRunner().invoke(app, command, input=b"no image")
    assert result.exit_code == 1
    assert "standard input is not an image" in result.stderr and not result.stdout_bytes


def test_standard_streams_that_do_not_fit(tmp_path, fails_in_a_sentence, photo):
    text = fails_in_a_sentence("derain", "-", "-o", tmp_path)
    assert text == "nerdrain: for a photograph from standard input, give -o a file or -.\n"
    for option in ("--json", "--dry-run"):
        text = fails_in_a_sentence("derain", photo(tmp_path / "a.png"), "-o", "-", option)
        assert "standard output takes only the image here; give -o a file." in text


def test_strength(tmp_path, model, succeeds, fails, photo, pixels):
    source = photo(tmp_path / "a.png")
    arguments = ("derain", source, "--model", model, "-o")
    succeeds(*arguments, tmp_path / "0.png", "--strength", 0)
    np.testing.assert_array_equal(pixels(tmp_path / "0.png"), pixels(source))
    succeeds(*arguments, tmp_path / "half.png", "--strength", 0.5)
    expected = derain(pixels(source), load_model(model), strength=0.5)
    np.testing.assert_array_equal(pixels(tmp_path / "half.png"), expected)
    assert "--strength" in fails(*arguments, tmp_path / "2.png", "--strength", 2, code=2)


def test_quiet(tmp_path, model, run, photo):
    folder = photo(tmp_path / "in" / "a.png").parent
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    first.save(folder / "b.gif", save_all=True, append_images=[second])
    (folder / "notes.txt").write_text("nothing")
    arguments = ("derain", folder, "-o", tmp_path / "out", "--model", model, "-q")
    assert run(*arguments).output == ""
    result = run(*arguments)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.count("exists; give --overwrite") == 4


def test_verbose(tmp_path, model, run, photo, fails):
    photo(tmp_path / "in" / "a.png", 90, 70)
    photo(tmp_path / "in" / "b.png", 40, 30)
    (tmp_path / "in" / "c.png").write_bytes(b"no image")
    photo(tmp_path / "in" / "d.png")
    photo(tmp_path / "out" / "d.png")
    arguments = ("derain", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    arguments += ("--tile", 64, "--overlap", 16, "--device", "cpu", "-v")
    lines = run(*arguments, "--skip-existing").stderr.splitlines()
    assert re.fullmatch(r"\S*a\.png: 70x90, 4 tiles, [\d.]+ s on cpu", lines[0])
    assert re.fullmatch(r"\S*b\.png: 30x40, whole, [\d.]+ s on cpu", lines[1])
    assert "c.png is not an image" in lines[2]
    assert lines[3].endswith("d.png: skipped")
    assert "--quiet and --verbose exclude" in fails(*arguments, "-q", code=2)


class Engine(nn.Module):
    """A stand-in: like the real one it leaves the first image of each size to the network."""

    name = "OpenVINO 1.2"

    def __init__(self, network):
        super().__init__()
        self.network, self.config, self.seen, self.compiled = network, network.config, set(), {}

    def forward(self, x):
        if x.shape in self.seen:
            self.compiled[x.shape] = True
        self.seen.add(x.shape)
        return self.network(x)


def test_the_summary_names_the_engine_that_computed(tmp_path, model, succeeds, photo, monkeypatch):
    monkeypatch.setattr(
        "nerdrain.inference.engine.find_engine", lambda network, path: Engine(network)
    )
    folder = tmp_path / "in"
    for name in ("a.png", "b.png"):
        photo(folder / name)
    arguments = ("derain", folder, "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert " on cpu with OpenVINO 1.2 in " in succeeds(*arguments)
    assert " on cpu in " in succeeds(*arguments, "--overwrite", "--engine", "torch")
    assert " on cpu in " in succeeds(*arguments, "--overwrite", "--max-memory", "8GiB")
    single = ("derain", folder / "a.png", "-o", tmp_path / "c.png", "--model", model)
    assert " on cpu in " in succeeds(*single, "--device", "cpu")


def test_an_exported_file_of_another_network_is_left_alone(tmp_path, model, run, photo):
    pytest.importorskip("openvino")
    own = tmp_path / "m.safetensors"
    own.write_bytes(model.read_bytes())
    own.with_suffix(".onnx").write_bytes(b"no graph")
    source = photo(tmp_path / "wet.png")
    result = run("derain", source, "-o", tmp_path / "dry.png", "--model", own, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "note: the exported file is damaged" in result.stderr
    assert "Until then PyTorch computes." in result.stderr


class Recorder:
    """Records when photographs are read, derained and written, and by which thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.threads: dict[str, set[int]] = {}
        self.reading = {name: threading.Event() for name in "abcd"}
        self.writing = {name: threading.Event() for name in "abcd"}
        self.wrap(monkeypatch, "nerdrain.data.images.load_image", self.reading)
        self.wrap(monkeypatch, "nerdrain.data.images.save_image", self.writing)

    def wrap(self, monkeypatch, target: str, done: dict[str, threading.Event]) -> None:
        module, _, function = target.rpartition(".")
        original = getattr(importlib.import_module(module), function)

        def record(*arguments, **options):
            try:
                return original(*arguments, **options)
            finally:
                path = next(a for a in arguments if isinstance(a, Path))
                self.threads.setdefault(function, set()).add(threading.get_ident())
                self.events.append(f"{function[:4]} {path.stem}")
                done[path.stem].set()

        monkeypatch.setattr(target, record)


def test_files_are_read_and_written_while_the_network_computes(
    tmp_path, model, run, photo, monkeypatch
):
    for name in "abcd":
        photo(tmp_path / "in" / f"{name}.png")
    recorder = Recorder(monkeypatch)
    from nerdrain.inference import derain as module

    derain_image, names = module.derain, iter("abcd")

    def compute(image, *arguments, **options):
        name = next(names)
        if name != "d":
            assert recorder.reading[chr(ord(name) + 1)].wait(60), "the next is not read"
        if name != "a":
            assert recorder.writing[chr(ord(name) - 1)].wait(60), "the last is not written"
        recorder.events.append(f"net {name}")
        return derain_image(image, *arguments, **options)

    monkeypatch.setattr(module, "derain", compute)
    result = run("derain", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "-v")
    assert result.exit_code == 0, result.output
    assert recorder.events == [
        *("load a", "load b", "net a", "save a", "load c", "net b"),
        *("save b", "load d", "net c", "save c", "net d", "save d"),
    ]
    assert recorder.threads["load_image"] == recorder.threads["save_image"]
    assert len(recorder.threads["load_image"] | {threading.get_ident()}) == 2
    assert re.findall(r"(\w)\.png: 24x20", result.stderr) == list("abcd")


def test_with_a_bound_only_one_photograph_is_in_memory(tmp_path, model, run, photo, monkeypatch):
    for name in "ab":
        photo(tmp_path / "in" / f"{name}.png")
    recorder = Recorder(monkeypatch)
    arguments = ("derain", tmp_path / "in", "-o", tmp_path / "out", "--model", model)
    result = run(*arguments, "--device", "cpu", "--max-memory", "8GiB")
    assert result.exit_code == 0, result.output
    assert recorder.events == ["load a", "save a", "load b", "save b"]
    assert recorder.threads["load_image"] == {threading.get_ident()}


def test_messages_of_a_folder_are_in_order(tmp_path, model, run):
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "aceg":
        first.save(folder / f"{name}.gif", save_all=True, append_images=[second], comment=b"x")
    for name in "bdf":
        (folder / f"{name}.png").write_bytes(b"no image")
    arguments = ("derain", folder, "-o", tmp_path / "out", "--model", model, "--format", "bmp")
    result = run(*arguments)
    assert re.findall(r"^n\w+: \S*(\w)\.\w+ (\w+)", result.stderr, re.MULTILINE)[:11] == [
        *(("a", "holds"), ("a", "loses"), ("b", "is")),
        *(("c", "holds"), ("c", "loses"), ("d", "is")),
        *(("e", "holds"), ("e", "loses"), ("f", "is")),
        *(("g", "holds"), ("g", "loses")),
    ]


def test_ctrl_c_in_a_folder_finishes_the_last_result(tmp_path, model, fails, photo, monkeypatch):
    for name in "abc":
        photo(tmp_path / "in" / f"{name}.png")
    from nerdrain.inference import derain as module

    derain_image, count = module.derain, iter(range(3))

    def compute(*arguments, **options):
        if next(count) == 1:
            raise KeyboardInterrupt
        return derain_image(*arguments, **options)

    monkeypatch.setattr(module, "derain", compute)
    out = tmp_path / "out"
    text = fails("derain", tmp_path / "in", "-o", out, "--model", model, code=130)
    assert text == "nerdrain: interrupted: 1 of 3 done; give --skip-existing to go on.\n"
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_json(tmp_path, model, run, photo):
    folder = photo(tmp_path / "in" / "a.png").parent
    (folder / "b.png").write_bytes(b"no image")
    photo(folder / "c.png")
    photo(tmp_path / "out" / "c.png")
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    first.save(folder / "d.gif", save_all=True, append_images=[second])
    arguments = ("derain", folder, "-o", tmp_path / "out", "--model", model, "--skip-existing")
    plan = json.loads(run(*arguments, "--dry-run", "--json").stdout)
    assert [file["status"] for file in plan["files"]] == ["new", "new", "exists", "new"]
    result = run(*arguments, "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert [summary[key] for key in ("done", "skipped", "failed")] == [2, 1, 1]
    assert summary["device"] == "cpu" and summary["seconds"] > 0
    files = summary["files"]
    assert [file["status"] for file in files] == ["done", "failed", "skipped", "done"]
    assert [len(file["notes"]) for file in files] == [0, 0, 0, 1]
    assert "holds 2 frames" in files[3]["notes"][0] and result.stderr.count("frames") == 0
    assert files[0]["input"] == str(folder / "a.png")
    assert files[0]["output"] == str(tmp_path / "out" / "a.png")
    assert files[0]["error"] is None and "is not an image" in files[1]["error"]


def test_dry_run(tmp_path, succeeds, photo):
    folder = photo(tmp_path / "in" / "a.png").parent
    out = tmp_path / "out"
    text = succeeds("derain", folder, "-o", out, "--dry-run", "--model", "none")
    assert text == f"{folder / 'a.png'} -> {out / 'a.png'}\n"
    assert not out.exists()
    photo(out / "a.png")
    assert succeeds("derain", folder, "-o", out, "--dry-run").endswith("a.png (exists)\n")


def test_lost_metadata_is_noted(tmp_path, model, run):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg", comment=b"a comment")
    result = run("derain", tmp_path / "a.jpg", "-o", tmp_path / "a.webp", "--model", model)
    assert re.search(r"note: \S*a\.webp loses the comment, because WEBP cannot", result.stderr)


def test_help_fits_on_a_screen(monkeypatch, succeeds):
    monkeypatch.setenv("COLUMNS", "100")
    text = succeeds("derain", "--help")
    assert len(text.splitlines()) <= 48
    assert all(f"─ {panel} ─" in text for panel in ("Network", "Files", "Report"))
    for kept in ("EXIF", "XMP", "colour profile"):
        assert kept in text
