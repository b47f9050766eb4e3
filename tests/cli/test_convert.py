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


def test_a_checkpoint_without_a_checksum(tmp_path, run, photo):
    source = DIM8.write_pth(tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    note = f"note: {source}: a file of PyTorch before 1.6 has no checksum, so damage to its "
    for command in (
        ("convert", source, "-o", tmp_path / "a.safetensors"),
        ("derain", photo(tmp_path / "a.png"), "-o", tmp_path / "b.png", "--model", source),
        ("info", source, "--size", "16"),
    ):
        result = run(*command)
        assert result.exit_code == 0
        assert result.stderr.count("note: ") == 1 and note in result.stderr


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path, monkeypatch, fails_in_a_sentence):
    source, out = DIM8.write_pth(tmp_path / "model.pth"), tmp_path / "out.safetensors"
    monkeypatch.setattr("nerdrain.cli.convert.check_free", lambda *_: out.write_bytes(b"other"))
    assert "exists; give --overwrite" in fails_in_a_sentence("convert", source, "-o", out)
    assert out.read_bytes() == b"other"


def test_damaged_weights_are_not_converted(tmp_path, fails_in_a_sentence):
    source, out = tmp_path / "model.pth", tmp_path / "out.safetensors"
    torch.save(DIM8.weights() | {"output_max.weight": torch.full((3, 8, 3, 3), torch.nan)}, source)
    text = fails_in_a_sentence("convert", source, "-o", out)
    assert "its tensor output_max.weight holds NaN or infinity" in text
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]
