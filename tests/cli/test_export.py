"""`nerdrain export`: checked files beside a model or elsewhere."""

import onnx
import pytest
import torch

from nerdrain import NeRDRain, NeRDRainConfig
from nerdrain.checkpoints.weights import save_checkpoint
from nerdrain.errors import NerdrainError


@pytest.fixture
def small(tmp_path):
    torch.manual_seed(0)
    config = NeRDRainConfig(width=4, blocks=(1, 1, 1), unets=(0, 0, 1), feedback="none")
    return save_checkpoint(NeRDRain(config), tmp_path / "small.safetensors")


def test_a_file_beside_the_model(small, succeeds, fails_in_a_sentence):
    text = succeeds("export", small)
    out = small.with_suffix(".onnx")
    assert f"{out}: 0." in text and "MB, computes the same as" in text
    assert [o.name for o in onnx.load(out).graph.output] == ["full"]
    assert "exists; give --overwrite" in fails_in_a_sentence("export", small)


def test_nothing_is_written_if_the_check_fails(small, monkeypatch, fails_in_a_sentence):
    def refuse(*_: object) -> None:
        raise NerdrainError("they differ.")

    monkeypatch.setattr("nerdrain.inference.export._trace", lambda *_: onnx.ModelProto())
    monkeypatch.setattr("nerdrain.inference.export.check_against", refuse)
    assert "they differ" in fails_in_a_sentence("export", small)
    assert [path.name for path in small.parent.iterdir()] == [small.name]


def test_options_reach_the_export(model, tmp_path, monkeypatch, succeeds):
    seen = []

    def record(network, *, every_output):
        seen.append((network.config.feedback, every_output))
        return b"content"

    monkeypatch.setattr("nerdrain.inference.export.to_onnx", record)
    out = tmp_path / "a.onnx"
    succeeds("export", model, "-o", out, "--outputs", "all", "--no-feedback")
    assert out.read_bytes() == b"content"
    assert seen == [("none", True)]


def test_bad_outputs(model, tmp_path, fails_in_a_sentence):
    assert "ends in .onnx" in fails_in_a_sentence("export", model, "-o", tmp_path / "a.pth")
    text = fails_in_a_sentence("export", model, "--outputs", "all")
    assert "give -o a file; beside the model lies only the unchanged network" in text
