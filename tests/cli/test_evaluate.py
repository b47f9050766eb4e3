"""`nerdrain evaluate`: the table, the CSV file and the notes."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from nerdrain.data.images import save_image
from nerdrain.evaluation.metrics import METRICS


@pytest.fixture
def folders(tmp_path: Path, photo) -> tuple[Path, Path]:
    for name in ("a", "a photograph with a very long name, longer than a terminal is wide " * 2):
        for folder in ("restored", "target"):
            photo(tmp_path / folder / f"{name}.png")
    return tmp_path / "restored", tmp_path / "target"


def test_each_image_and_the_mean(folders, succeeds, pixels):
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


def test_all_metrics_as_csv(folders, tmp_path, succeeds, fails_in_a_sentence, pixels):
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
    assert "exists; give --overwrite" in fails_in_a_sentence(*arguments)
    succeeds(*arguments, "--overwrite")


def test_bad_input(folders, tmp_path, fails_in_a_sentence):
    restored, target = folders
    arguments = ("evaluate", "--restored", restored, "--target", target)
    text = fails_in_a_sentence(*arguments, "--metric", "y")
    assert "choose one of matlab-y, rgb, full-y, all." in text
    text = fails_in_a_sentence(*arguments, "--csv", tmp_path)
    assert text == f"nerdrain: {tmp_path} is a folder; name a file.\n"
    before = (target / "a.png").read_bytes()
    text = fails_in_a_sentence(*arguments, "--csv", target / "a.png", "--overwrite")
    assert "is an input and is not overwritten" in text
    assert (target / "a.png").read_bytes() == before
    (target / "a.png").unlink()
    assert "has no target for a." in fails_in_a_sentence(*arguments)
    assert "no folder" in fails_in_a_sentence(
        "evaluate", "--restored", tmp_path / "x", "--target", target
    )


def test_a_csv_that_appears_meanwhile_stays(folders, tmp_path, monkeypatch, fails_in_a_sentence):
    restored, target = folders
    file = tmp_path / "scores.csv"
    monkeypatch.setattr(
        "nerdrain.cli.evaluate.print_table", lambda *_, **__: file.write_text("precious")
    )
    arguments = ("evaluate", "--restored", restored, "--target", target, "--csv", file)
    assert "exists; give --overwrite" in fails_in_a_sentence(*arguments)
    assert file.read_text() == "precious"


def test_gifs_are_measured(tmp_path, succeeds):
    """GIF holds 256 colours, so an image of fewer colours is restored exactly."""
    clean = np.random.default_rng(0).choice([0, 80, 255], (20, 24, 1)).astype(np.uint8).repeat(3, 2)
    save_image(clean, tmp_path / "target" / "a.png")
    save_image(clean, tmp_path / "restored" / "a.gif")
    folders = ("--restored", tmp_path / "restored", "--target", tmp_path / "target")
    lines = succeeds("evaluate", "--metric", "rgb", *folders).splitlines()
    assert lines[1].split() == ["a", "rgb", "inf", "1.000000"]


def test_an_image_that_fails_does_not_stop_the_others(folders, tmp_path, run, photo, monkeypatch):
    restored, target = folders
    photo(restored / "b.png"), photo(target / "b.png")
    photo(restored / "c.png")
    (target / "c.png").write_bytes(b"no image")
    (restored / "b.png").write_bytes((target / "b.png").read_bytes()[:90])
    csv_file = tmp_path / "scores.csv"
    arguments = ("--restored", restored, "--target", target, "--csv", csv_file)
    result = run("evaluate", *arguments)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert result.stdout.count("matlab-y") == 2 and "mean" not in result.stdout
    assert "nerdrain: 2 of 4 images failed, so there is no mean:\n" in result.stderr
    assert result.stderr.count(f"{restored / 'b.png'} is damaged") == 2
    assert result.stderr.count(f"{target / 'c.png'} is not an image") == 2
    assert "mean" not in csv_file.read_text()

    def fail(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("nerdrain.evaluation.folders.read_image", fail)
    result = run("evaluate", *arguments, "--overwrite")
    assert result.exit_code == 1
    assert result.stderr.count("unexpected ZeroDivisionError (a bug); please report") == 8


def test_identical_images(folders, run):
    restored, target = folders
    arguments = ("evaluate", "--metric", "all", "--target", target, "--restored")
    assert run(*arguments, restored).stderr == ""
    (restored / "a.png").write_bytes((target / "a.png").read_bytes())
    note = "note: {} identical to the target, so the PSNR is infinite.\n"
    assert run(*arguments, restored).stderr == note.format("1 image is")
    result = run(*arguments, target)
    assert (result.exit_code, result.stderr) == (0, note.format("2 images are"))
