"""`nerdrain convert`: a released checkpoint."""

import torch
from golden_recipe import DIM8, difference

from nerdrain import load_model


def test_a_released_checkpoint(tmp_path, succeeds, fails_in_a_sentence, photo):
    source = DIM8.write_pth(tmp_path / "model_best.pth", prefix="module.")
    out = tmp_path / "converted.safetensors"
    assert "width 8" in succeeds("convert", source, "-o", out)
    golden = DIM8.io()
    with torch.no_grad():
        assert difference(load_model(out)(golden["input"]).full, golden["output.full"]) < 2e-5
    assert "exists; give --overwrite" in fails_in_a_sentence("convert", source, "-o", out)
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
