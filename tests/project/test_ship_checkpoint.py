"""The tool that puts a trained model where load_model finds it."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import load
from training_help import make_photos, recipe_file

import nerdrain
from nerdrain.checkpoints import weights as checkpoints
from nerdrain.training.loop import train

TOOL = Path(__file__).parents[2] / "tools" / "ship_checkpoint.py"


def test_a_run_is_shipped_with_its_recipes_logs_and_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("ship_checkpoint", TOOL)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    file = recipe_file(tmp_path, make_photos(tmp_path / "photos"), max_steps=1)
    runs = [train(file, {}, tmp_path / f"new-model-{leg}", "cpu") for leg in (1, 2)]
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(tool, "models_folder", lambda: shipped)
    monkeypatch.setattr(checkpoints, "models_folder", lambda: shipped)
    folder = tool.ship("new-model", runs)
    assert {path.name for path in folder.iterdir()} == {
        *("model.safetensors", "config.json"),
        *("recipe-1.yaml", "log-1.csv", "recipe-2.yaml", "log-2.csv"),
    }
    content = (folder / "model.safetensors").read_bytes()
    trained = nerdrain.load_model(runs[1] / "model.safetensors").state_dict()
    for name, tensor in load(content).items():
        assert torch.equal(tensor, trained[name].half())
    line = f"{hashlib.sha256(content).hexdigest()}  new-model/model.safetensors\n"
    assert (shipped / "SHA256SUMS").read_text(encoding="utf-8") == line
    assert nerdrain.load_model("new-model").config.width == 4
    assert nerdrain.NeRDRain.from_pretrained(folder).config.width == 4
    monkeypatch.setattr(tool, "LARGEST", 100)
    with pytest.raises(SystemExit, match="bytes, over 100"):
        tool.ship("new-model", runs)
