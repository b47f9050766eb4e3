"""train, plot and ablate from the command line, and what a plan measures."""

import re
import sys
from pathlib import Path

import matplotlib.image
import pytest
from test_cli import fails_in_a_sentence, succeeds
from training_help import SMALL, make_photos, recipe_file, small_recipe

from nerdrain.cli import training_commands
from nerdrain.evaluation.paper import ABLATIONS, DATASETS, TABLE_1, TABLE_2
from nerdrain.model.network import NeRDRain
from nerdrain.training import ablation
from nerdrain.training.curves import draw_curves, read_log
from nerdrain.training.planning import plan_run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


def test_a_run_goes_on_and_is_drawn(tmp_path: Path, photos: Path) -> None:
    file, out = recipe_file(tmp_path, photos), tmp_path / "run"
    assert succeeds("train", file, "-o", out).rstrip().endswith(f"The run is in {out}.")
    assert "go on with it by --resume" in fails_in_a_sentence("train", file, "-o", out)
    succeeds("train", file, "-o", out, "--resume")
    text = succeeds("plot", out)
    assert text == f"The curves are in {out / 'curves.png'}.\n"
    assert matplotlib.image.imread(out / "curves.png").shape[1] == 800
    succeeds("plot", out, "-o", tmp_path / "new" / "c.png")
    assert (tmp_path / "new" / "c.png").is_file()


def test_curves_hold_what_the_log_says(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,total,psnr_mean,rate\n2,0.5,,1e-3\n4,0.25,30.5,1e-4\n")
    curves = read_log(tmp_path)
    assert curves["total"] == [(2, 0.5), (4, 0.25)]
    assert curves["psnr_mean"] == [(4, 30.5)]
    loss, psnr, rate = draw_curves(curves).axes
    assert loss.lines[0].get_xydata().tolist() == [[2, 0.5], [4, 0.25]]
    assert psnr.lines[0].get_xydata().tolist() == [[4, 30.5]]
    assert rate.lines[0].get_xydata().tolist() == [[2, 1e-3], [4, 1e-4]]


def test_logs_that_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such log; give the folder of a training run" in fails_in_a_sentence("plot", tmp_path)
    (tmp_path / "log.csv").write_text("step,total\n")
    assert "is empty: nothing was logged yet" in fails_in_a_sentence("plot", tmp_path)
    (tmp_path / "log.csv").write_text("step,total\n1,x\n")
    assert "line 2: not a line of a log" in fails_in_a_sentence("plot", tmp_path)
    for content in (b"\xff\xfe", b"step,total\n1," + b"9" * 200_000):
        (tmp_path / "log.csv").write_bytes(content)
        assert "line 1: not a line of a log" in fails_in_a_sentence("plot", tmp_path)
    (tmp_path / "log.csv").write_text("step,other\n1,2\n")
    assert "it has no losses" in fails_in_a_sentence("plot", tmp_path)
    (tmp_path / "log.csv").write_text("step,total\n1,2\n")
    for out in (tmp_path, tmp_path / "curves.xyz"):
        sentence = fails_in_a_sentence("plot", tmp_path, "-o", out)
        assert "name a file that ends in .png" in sentence
    monkeypatch.setitem(
        sys.modules, "nerdrain.training.curves", None
    )  # as where matplotlib is missing
    assert 'pip install "nerdrain[book]"' in fails_in_a_sentence("plot", tmp_path)


def test_a_plan_says_what_a_run_takes(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos, steps=700, batch=3)
    text = succeeds("train", file, "--plan", "--device", "cpu")
    parameters = sum(p.numel() for p in NeRDRain(small_recipe().config).parameters())
    assert f"{parameters:,} parameters" in text
    assert re.search(r"\b32 +3 +700 +2,100 ", text), text
    assert "7 images an epoch, 300.0 epochs; about" in text
    assert not (tmp_path / "runs").exists()


def test_a_plan_adds_its_parts(photos: Path) -> None:
    parts = [{"share": 0.25, "patch": 16, "batch": 2}, {"share": 0.75, "patch": 32, "batch": 1}]
    plan = plan_run(small_recipe(photos=str(photos), steps=8, progressive=parts), "cpu", repeat=1)
    assert [(p.patch, p.batch, p.steps) for p in plan.parts] == [(16, 2, 2), (32, 1, 6)]
    assert plan.hours == pytest.approx(sum(p.steps * p.seconds for p in plan.parts) / 3600)
    assert plan.memory > 0


@pytest.mark.parametrize(
    ("hours", "text"), [(0.5, "30.0 minutes"), (1.5, "1.5 hours"), (72, "3.0 days")]
)
def test_a_duration_is_said_in_its_unit(hours: float, text: str) -> None:
    assert training_commands.duration(hours) == text


def test_an_ablation_prints_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "photo_names", lambda split: ["kingfisher"])
    monkeypatch.setattr("nerdrain.training.batches.photo_names", lambda split: ["cat", "dog"])
    file = recipe_file(tmp_path, None, steps=1, patch=16, batch=1, changes=SMALL)
    out = tmp_path / "out"
    text = succeeds("ablate", 6, "--recipe", file, "--seeds", 1, "-o", out, "--device", "cpu")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0].startswith("| row | what it changes | paper, Rain200L |")
    assert table[-1].startswith("| cnn | NeRD-Rain with a CNN's UNet | 41.34 | ")
    assert "over 1 seed(s)" in text and "no test of them" in text
    assert (out / "results.csv").is_file()
    assert "no ablation table 1" in fails_in_a_sentence("ablate", 1)


def test_the_papers_tables_are_whole() -> None:
    assert all(len(row) == len(DATASETS) for row in TABLE_1.values())
    best = [max(row[i] for row in TABLE_1.values()) for i in range(len(DATASETS))]
    assert list(TABLE_1["NeRD-Rain"]) == best  # "achieves higher quantitative results"
    gain = TABLE_1["NeRD-Rain"][4][0] - TABLE_1["DRSformer"][4][0]
    assert gain == pytest.approx(1.04)  # section 4.2
    assert TABLE_2["NeRD-Rain"] == (156.3, 22.89)
    rows = {row.name: row.psnr for row in ABLATIONS[5].rows}
    assert rows["bfpu"] - rows["none"] == pytest.approx(0.10)  # section 5
    ours = [next(r for r in a.rows if r.name == a.ours) for a in ABLATIONS.values()]
    assert (ours[0].psnr, ours[1].psnr) == (TABLE_1["NeRD-Rain"][0][0],) * 2
    assert ours[2].psnr == TABLE_1["NeRD-Rain"][1][0]
