"""`nerdrain ablate`: a table of the paper at a small scale."""

from training_help import SMALL, recipe_file

from nerdrain.training import ablation


def test_an_ablation_prints_its_table(tmp_path, monkeypatch, succeeds, fails_in_a_sentence):
    monkeypatch.setattr(ablation, "photo_names", lambda split: ["kingfisher"])
    monkeypatch.setattr("nerdrain.training.batches.photo_names", lambda split: ["cat", "dog"])
    file = recipe_file(tmp_path, None, max_steps=1, patch_size=16, batch_size=1, overrides=SMALL)
    out = tmp_path / "out"
    text = succeeds("ablate", 6, "--recipe", file, "--seeds", 1, "-o", out, "--device", "cpu")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0].startswith("| row | what it changes | paper, Rain200L |")
    assert table[-1].startswith("| cnn | NeRD-Rain with a CNN's UNet | 41.34 | ")
    assert "over 1 seed(s)" in text and "do not test the paper's" in text
    assert (out / "results.csv").is_file()
    assert "no ablation table 1" in fails_in_a_sentence("ablate", 1)
