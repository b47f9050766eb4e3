"""The command line, end to end: what it writes, what it says, and how it ends."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import DIM8, difference
from PIL import Image
from typer.testing import CliRunner, Result

import nerdrain
from nerdrain import NeRDRain, NeRDRainConfig, load_model
from nerdrain.checkpoints.weights import save_checkpoint
from nerdrain.cli import app, commands
from nerdrain.cli.console import Job, plan, sentence
from nerdrain.data.datasets import PairedFolder
from nerdrain.data.rain import add_rain
from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import METRICS
from nerdrain.inference.derain import derain
from nerdrain.inference.tiling import spans

RNG = np.random.default_rng(4)
SMALL = NeRDRainConfig(width=4, blocks=(1, 1, 1), inr_hidden=8)
COMMANDS = ["derain", "evaluate", "rain", "info", "convert", "train", "plot", "ablate"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeeds(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stdout


def fails(*arguments: object, code: int = 1) -> str:
    """What the command says on stderr; never a traceback."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result.stderr


def fails_in_a_sentence(*arguments: object) -> str:
    text = fails(*arguments)
    assert re.fullmatch(r"nerdrain: [^\n]+\.\n", text), text
    return text


def photo(path: Path, height: int = 20, width: int = 24) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_checkpoint(NeRDRain(SMALL), tmp_path_factory.mktemp("model") / "m.safetensors")


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    text = succeeds(command, "--help")
    assert f"nerdrain {command} " in text.split("Example")[1]
    assert run(command, "-h").stdout == text


def test_overview_and_version():
    text = succeeds("--help")
    assert all(command in text for command in COMMANDS)
    assert succeeds("--version") == f"nerdrain {nerdrain.__version__}\n"
    assert run().exit_code == 2  # without arguments: the help, and no success


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom nerdrain.cli import app\n"
        "try: app(['derain', '--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_module_is_the_command():
    command = [sys.executable, "-m", "nerdrain", "--version"]
    assert subprocess.run(command, check=True, capture_output=True).stdout.startswith(b"nerdrain ")


def test_completion_offers_public_names_and_modules():
    offered = dir(nerdrain)
    assert {"derain", "load_model", "__version__", "rain", "metrics", "cli"} <= set(offered)
    assert not {"Any", "TYPE_CHECKING", "find_spec", "import_module", "iter_modules"} & set(offered)
    modules = {path.stem for path in Path(nerdrain.__file__).parent.glob("[!_]*.py")}
    assert set(offered) == modules | set(nerdrain.__all__)


def test_a_module_that_needs_what_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "nerdrain.plotting.figures", raising=False)
    monkeypatch.delitem(vars(nerdrain), "plotting", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(AttributeError, match=r"plotting needs matplotlib\S*, which is not"):
        nerdrain.plotting.figures  # noqa: B018


# derain


def test_one_file(tmp_path, model):
    source = photo(tmp_path / "wet.png")
    text = succeeds("derain", source, "-o", tmp_path / "new" / "dry.png", "--model", model)
    expected = derain(pixels(source), load_model(model))
    np.testing.assert_array_equal(pixels(tmp_path / "new" / "dry.png"), expected)
    told = r"Derained with .*m\.safetensors on cpu in [\d.]+ s: 1 of 1, in \S*dry\.png\.\n"
    assert re.fullmatch(told, text)


@pytest.mark.parametrize(("tile", "side"), [("whole", None), ("64", 64), ("auto", "auto")])
def test_tiles(tmp_path, model, tile, side):
    source = photo(tmp_path / "wet.png", 90, 70)
    succeeds(
        *("derain", source, "-o", tmp_path / "dry.png", "--model", model),
        *("--tile", tile, "--overlap", 16, "--device", "cpu"),
    )
    expected = derain(pixels(source), load_model(model), tile=side, overlap=16)
    np.testing.assert_array_equal(pixels(tmp_path / "dry.png"), expected)


def test_a_bad_file_does_not_stop_the_others(tmp_path, model):
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
    assert re.search(r"nerdrain: \S*gone\.png does not exist\.", result.stderr)
    assert result.stdout.endswith(f": 3 of 5 (2 failed), in {out}.\n")
    assert "Traceback" not in result.output


def test_existing_files_are_replaced_only_when_asked(tmp_path, model):
    source, out = photo(tmp_path / "a.png"), tmp_path / "out"
    existing = photo(out / "a.png")
    before = existing.read_bytes()
    text = fails("derain", source, "-o", out, "--model", model)
    assert "exists: give --overwrite to replace it." in text
    assert existing.read_bytes() == before
    succeeds("derain", source, "-o", out, "--model", model, "--overwrite")
    assert existing.read_bytes() != before


def test_nothing_derained(tmp_path, model):
    result = run("derain", tmp_path / "gone.png", "-o", tmp_path / "b.png", "--model", model)
    assert result.exit_code == 1
    assert result.stdout == "No photograph was derained: 1 failed.\n"


def test_what_folders_hold_beside_photographs(tmp_path, model):
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


def test_an_input_is_never_replaced(tmp_path, model):
    source = photo(tmp_path / "a.png")
    before = source.read_bytes()
    (tmp_path / "b.png").hardlink_to(source)
    for out in (source, tmp_path, tmp_path / "x" / "..", tmp_path / "b.png"):
        text = fails_in_a_sentence("derain", source, "-o", out, "--model", model, "--overwrite")
        assert "is an input and is not overwritten" in text
    assert source.read_bytes() == before


def test_what_each_photograph_becomes(tmp_path):
    a, b = photo(tmp_path / "one" / "a.jpg"), photo(tmp_path / "two" / "a.jpg")
    out = tmp_path / "out"
    assert plan([a], tmp_path / "b.PNG") == [Job(a, tmp_path / "b.PNG")]
    assert plan([a], out) == plan([a.parent], out) == [Job(a, out / "a.jpg")]
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert plan([a], folder) == [Job(a, folder / "a.jpg")]
    for inputs in ([a, b], [a.parent]):
        with pytest.raises(NerdrainError, match="a folder is needed"):
            plan(inputs, tmp_path / "b.png")
    with pytest.raises(NerdrainError, match="would both become"):
        plan([a, b], out)
    with pytest.raises(NerdrainError, match=r"folder\.png holds no photograph \(bmp, gif"):
        plan([folder], out)


def test_an_output_of_no_image_format(tmp_path):
    source, out = photo(tmp_path / "a.jpg"), tmp_path / "b.heic"
    text = fails_in_a_sentence("derain", source, "-o", out)
    assert "b.heic: no image format has that suffix; choose one of .bmp, " in text
    assert not out.exists()
    assert plan([source, photo(tmp_path / "c.jpg")], out)[0].target == out / "a.jpg"
    out.mkdir()
    assert plan([source], out) == [Job(source, out / "a.jpg")]


def test_notes_are_said(tmp_path, model):
    first, second = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    result = run("derain", tmp_path / "a.gif", "-o", tmp_path / "b.gif", "--model", model)
    assert result.exit_code == 0
    assert re.search(r"note: \S*a\.gif holds 2 frames, of which the first is read\.", result.stderr)


def test_bad_options(tmp_path, model):
    source, out = photo(tmp_path / "a.png"), tmp_path / "b.png"
    assert "neither auto, whole nor a number" in fails(
        "derain", source, "-o", out, "--tile", "big", code=2
    )
    assert "--output" in fails("derain", source, code=2)
    arguments = ("derain", source, "-o", out, "--model")
    for tile, said in ((7, "--tile 7 is too small"), (32, "--tile 32 is too small for --overlap")):
        text = fails_in_a_sentence(*arguments, "x", "--tile", tile)  # before the model is sought
        assert said in text and "--overlap" in text and "--tile whole" in text
    assert "--tile auto, here 1440, is too small for --overlap 999" in fails_in_a_sentence(
        *arguments, model, "--overlap", 999
    )
    assert "no such model file" in fails_in_a_sentence("derain", source, "-o", out, "--model", "x")
    assert "is no device" in fails_in_a_sentence("derain", source, "-o", out, "--device", "gpuu")
    assert not out.exists()


def test_tiles_are_refused_exactly_where_they_cannot_be_cut():
    for tile in range(1, 140):
        for overlap in range(70):
            try:
                commands.check_tiles("--tile", tile, overlap)
            except NerdrainError as error:
                if tile < 16:
                    continue  # which `tile_size` refuses
                most, least = map(
                    int, re.findall(r"give --overlap (\d+) .*--tile (\d+)", str(error))[0]
                )
                spans(500, tile, most), spans(500, least, overlap)
                with pytest.raises(NerdrainError):
                    spans(500, tile, overlap)
            else:
                assert tile >= 16
                spans(500, tile, overlap)


def stop_with(error):
    def stop(*args, **kwargs):
        raise error

    return stop


def test_ctrl_c(tmp_path, model, monkeypatch):
    monkeypatch.setattr(commands, "derain", stop_with(KeyboardInterrupt()))
    source = photo(tmp_path / "a.png")
    text = fails("derain", source, "-o", tmp_path / "b.png", "--model", model, code=130)
    assert text.endswith("nerdrain: interrupted: 0 of 1 done.\n")
    assert not (tmp_path / "b.png").exists()
    monkeypatch.setattr(commands, "measure", stop_with(KeyboardInterrupt()))
    text = fails("evaluate", "--restored", tmp_path, "--target", tmp_path, code=130)
    assert text == "nerdrain: interrupted.\n"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")]
)
def test_too_little_memory(tmp_path, model, monkeypatch, error):
    monkeypatch.setattr(commands, "derain", stop_with(error))
    text = fails("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", model)
    assert re.search(r"a\.png: there is not enough memory for this: give smaller tiles", text)


def test_errors_as_sentences():
    assert sentence(NerdrainError("two\n lines")) == "two lines."
    assert sentence(PermissionError(13, "Permission denied", "x")) == "x: Permission denied."
    assert sentence(OSError("odd.")) == "odd."
    with pytest.raises(RuntimeError, match="a fault"):  # which a person must see whole
        sentence(RuntimeError("a fault of ours"))
    with pytest.raises(KeyError):
        sentence(KeyError("x"))


def test_errors_of_the_system(tmp_path, monkeypatch):
    error = PermissionError(13, "Permission denied", "photos")
    monkeypatch.setattr(commands, "images_in", stop_with(error))
    text = fails_in_a_sentence("rain", tmp_path, "-o", tmp_path)
    assert text == "nerdrain: photos: Permission denied.\n"


# evaluate


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("a", "a photograph with a very long name, longer than a terminal is wide " * 2):
        for folder in ("restored", "target"):
            photo(tmp_path / folder / f"{name}.png")
    return tmp_path / "restored", tmp_path / "target"


def test_each_image_and_the_mean(folders):
    restored, target = folders
    lines = succeeds("evaluate", "--restored", restored, "--target", target).splitlines()
    assert lines[0].split() == ["image", "metric", "PSNR", "(dB)", "SSIM"]
    files = sorted(restored.iterdir(), key=lambda file: file.stem)
    values = [
        [f(pixels(file), pixels(target / file.name)) for f in METRICS["matlab-y"]] for file in files
    ]
    for line, file, (psnr, ssim) in zip(lines[1:3], files, values, strict=True):
        assert re.split(r"\s{2,}", line.strip()) == [
            file.stem.strip(),
            "matlab-y",
            f"{psnr:.4f}",
            f"{ssim:.6f}",
        ]
    mean = np.mean(values, axis=0)
    assert lines[-1].split() == ["mean", "matlab-y", f"{mean[0]:.4f}", f"{mean[1]:.6f}"]


def test_all_metrics_as_csv(folders, tmp_path):
    restored, target = folders
    file = tmp_path / "scores.csv"
    arguments = ("evaluate", "--restored", restored, "--target", target, "--csv", file)
    succeeds(*arguments, "--metric", "all")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["metric"] for row in rows] == list(METRICS) * 3
    assert [row["image"] for row in rows[-3:]] == ["mean"] * 3
    psnr, _ = METRICS["rgb"]
    assert float(rows[1]["PSNR (dB)"]) == pytest.approx(
        psnr(pixels(restored / "a.png"), pixels(target / "a.png")), abs=1e-4
    )
    assert "exists: give --overwrite" in fails_in_a_sentence(*arguments)
    succeeds(*arguments, "--overwrite")


def test_evaluation_that_cannot_be(folders, tmp_path):
    restored, target = folders
    arguments = ("evaluate", "--restored", restored, "--target", target)
    text = fails_in_a_sentence(*arguments, "--metric", "y")
    assert "choose one of matlab-y, rgb, full-y, all." in text
    text = fails_in_a_sentence(*arguments, "--csv", tmp_path)
    assert text == f"nerdrain: {tmp_path} is a folder: name a file.\n"
    before = (target / "a.png").read_bytes()
    text = fails_in_a_sentence(*arguments, "--csv", target / "a.png", "--overwrite")
    assert "is an input and is not overwritten" in text
    assert (target / "a.png").read_bytes() == before
    (target / "a.png").unlink()
    assert "lacks a target for a." in fails_in_a_sentence(*arguments)
    assert "no folder" in fails_in_a_sentence(
        "evaluate", "--restored", tmp_path / "x", "--target", target
    )


def test_identical_images(folders):
    restored, target = folders
    arguments = ("evaluate", "--metric", "all", "--target", target, "--restored")
    assert run(*arguments, restored).stderr == ""
    (restored / "a.png").write_bytes((target / "a.png").read_bytes())
    note = "note: {} identical to the target: the PSNR is infinite.\n"
    assert run(*arguments, restored).stderr == note.format("1 image is")
    result = run(*arguments, target)
    assert (result.exit_code, result.stderr) == (0, note.format("2 images are"))


# rain


def test_pairs(tmp_path):
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
    # The rain is the name's: without `a`, `b` gets the same.
    (tmp_path / "clean" / "a.jpg").unlink()
    succeeds(*arguments, "-o", tmp_path / "again")
    np.testing.assert_array_equal(pixels(tmp_path / "again" / "input" / "b.png"), rainy)
    succeeds(*arguments[:-1], 4, "-o", tmp_path / "other")
    assert (pixels(tmp_path / "other" / "input" / "b.png") != rainy).any()


def test_pairs_are_what_the_package_makes(tmp_path):
    photo(tmp_path / "clean" / "a.png", 40, 50)
    succeeds("rain", tmp_path / "clean", "-o", tmp_path / "out")
    rng = np.random.default_rng([0, 3904355907])  # CRC-32 of "a"
    rainy, _ = add_rain(pixels(tmp_path / "clean" / "a.png"), "light", rng, "additive")
    written = pixels(tmp_path / "out" / "input" / "a.png")
    assert np.abs(written - rainy * 255).max() <= 0.501


def test_rain_that_cannot_be(tmp_path):
    folder = photo(tmp_path / "clean" / "a.png").parent
    out = ("-o", tmp_path / "out")
    assert "choose one of light" in fails_in_a_sentence("rain", folder, *out, "--style", "hail")
    assert "choose one of additive" in fails_in_a_sentence("rain", folder, *out, "--mode", "snow")
    text = fails_in_a_sentence("rain", tmp_path / "x", *out)
    assert text == f"nerdrain: no folder {tmp_path / 'x'}: check the path.\n"
    text = fails_in_a_sentence("rain", folder / "a.png", *out)
    assert "a.png is a file: give the folder that holds the images." in text
    (folder / "b.png").write_bytes(b"broken")
    assert re.search(r"b\.png is not an image", fails("rain", folder, *out))
    assert (tmp_path / "out" / "input" / "a.png").exists()
    assert "exists: give --overwrite" in fails("rain", folder, *out)


@pytest.mark.parametrize("side", ["input", "target"])
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_rain_never_falls_on_the_originals(tmp_path, side, name):
    source = photo(tmp_path / side / name)
    before = source.read_bytes()
    for folder, out in ((source.parent, tmp_path), (tmp_path / side / ".." / side, tmp_path)):
        text = fails_in_a_sentence("rain", folder, "-o", out, "--overwrite")
        assert "is an input and is not overwritten: choose another output." in text
    assert source.read_bytes() == before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [source]
    # A link in the other folder leads there as well.
    link = tmp_path / "out" / side / "a.png"
    link.parent.mkdir(parents=True)
    link.symlink_to(source)
    text = fails_in_a_sentence("rain", source.parent, "-o", tmp_path / "out", "--overwrite")
    assert "is an input and is not overwritten" in text
    assert source.read_bytes() == before


def test_no_rainy_pair(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    result = run("rain", tmp_path, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "No pair was made: 1 failed.\n")
    assert "8-bit RGB" in " ".join(succeeds("rain", "--help").split())


# info, convert, train


def test_table_2():
    # The numbers of both networks are checked in test_complexity.py; here, how they are printed.
    lines = succeeds("info", "nerd-rain-s").splitlines()
    assert lines[0].startswith("nerd-rain-s: width 32, ")
    row = {line.split("  ")[0]: re.split(r"\s{2,}", line.strip())[1:] for line in lines[2:]}
    assert row["parameters"] == ["10,530,314", "10.53 M"]
    ours, theirs = row["multiply-adds at 256x256, as released"]
    assert float(ours.removesuffix(" G")) == pytest.approx(79.3, rel=0.005)
    assert theirs == "79.2 G at 256x256"
    (needed,) = row["multiply-adds at 256x256, needed"]
    assert float(needed.removesuffix(" G")) < float(ours.removesuffix(" G"))


def test_networks_that_the_paper_has_not(model):
    text = succeeds("info", model, "--size", 16)
    parameters = sum(p.numel() for p in load_model(model).parameters())
    assert f"{parameters:,}" in text and "at 16x16" in text and "not in it" in text
    assert "as released" in text
    assert "no such model file" in fails_in_a_sentence("info", "nerd-snow")
    text = succeeds("info", "nerd-rain-tiny", "--size", 16)  # of the paper's fidelity
    assert "as released" not in text and "multiply-adds at 16x16, needed" in text


def test_a_released_checkpoint(tmp_path):
    source = DIM8.write_pth(tmp_path / "model_best.pth", prefix="module.")
    out = tmp_path / "converted.safetensors"
    assert "width 8" in succeeds("convert", source, "-o", out)
    golden = DIM8.io()
    with torch.no_grad():
        assert difference(load_model(out)(golden["input"]).full, golden["output.full"]) < 2e-5
    assert "exists: give --overwrite" in fails_in_a_sentence("convert", source, "-o", out)
    text = fails_in_a_sentence("convert", out, "-o", out, "--overwrite")
    assert "is an input and is not overwritten" in text
    assert "ends in .safetensors" in fails_in_a_sentence(
        "convert", source, "-o", tmp_path / "x.pth"
    )
    (tmp_path / "bad.pth").write_bytes(source.read_bytes()[:5000])
    fails_in_a_sentence("convert", tmp_path / "bad.pth", "-o", tmp_path / "y.safetensors")
    assert not (tmp_path / "y.safetensors").exists()
    # And it derains, without being converted.
    succeeds("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", source)


def test_training_and_deraining_with_the_result(tmp_path):
    for number in range(9):
        photo(tmp_path / "photos" / f"{number}.png", 40, 40)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"photos: {tmp_path / 'photos'}\n"
        "changes: {width: 4, blocks: [1, 1, 1], inr_hidden: 8, unets: [0, 1, 1]}\n"
        "patch: 32\nsteps: 100\n"
    )
    out = tmp_path / "run"
    text = succeeds("train", recipe, "--set", "steps=1", "--set", "style=heavy", "-o", out)
    assert text.rstrip().endswith(f"The run is in {out}.")
    succeeds("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", out)
    assert "it already holds a run" in fails_in_a_sentence("train", recipe, "-o", out)


def test_training_that_cannot_be(tmp_path):
    assert "--set steps: write it as KEY=VALUE" in fails_in_a_sentence(
        "train", tmp_path / "r.yaml", "--set", "steps"
    )
    assert "r.yaml: no such recipe" in fails_in_a_sentence("train", tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text("steps: 3\n")
    assert "no setting step" in fails_in_a_sentence("train", tmp_path / "r.yaml", "--set", "step=1")
