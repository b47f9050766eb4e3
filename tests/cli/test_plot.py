"""`nerdrain plot`: the curves of a run."""

import sys

import matplotlib.image
from training_help import make_photos, recipe_file


def test_a_resumed_run_is_drawn(tmp_path, succeeds, fails_in_a_sentence):
    file = recipe_file(tmp_path, make_photos(tmp_path / "photos"))
    out = tmp_path / "run"
    assert succeeds("train", file, "-o", out).rstrip().endswith(f"The run is in {out}.")
    assert "--resume" in fails_in_a_sentence("train", file, "-o", out)
    succeeds("train", file, "-o", out, "--resume")
    text = succeeds("plot", out)
    assert text == f"The curves are in {out / 'curves.png'}.\n"
    assert matplotlib.image.imread(out / "curves.png").shape[1] == 800
    succeeds("plot", out)  # its own picture is replaced
    mine = tmp_path / "new" / "c.png"
    succeeds("plot", out, "-o", mine)
    mine.write_text("precious")
    assert "exists; give --overwrite" in fails_in_a_sentence("plot", out, "-o", mine)
    assert mine.read_text() == "precious"
    succeeds("plot", out, "-o", mine, "--overwrite")
    assert matplotlib.image.imread(mine).shape[1] == 800


def test_bad_logs(tmp_path, monkeypatch, fails_in_a_sentence):
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
    monkeypatch.setitem(sys.modules, "nerdrain.training.curves", None)  # without matplotlib
    assert 'pip install "nerdrain[book]"' in fails_in_a_sentence("plot", tmp_path)
