"""The Python code of a page runs: the loader of the authors' checkpoint."""

import re
from pathlib import Path

import pytest
import torch
from golden_recipe import DIM8, difference

from nerdrain.checkpoints.released import released_name

PAGE = Path(__file__).resolve().parents[2] / "book" / "released-checkpoints.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_loader_of_the_page_gives_the_golden_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    DIM8.write_pth(tmp_path / "model_best.pth", prefix=prefix)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
    names: dict[str, object] = {}
    exec(code, names)
    model, io = names["model"], DIM8.io()
    assert isinstance(model, torch.nn.Module)
    with torch.no_grad():
        assert difference(model(io["input"]).full, io["output.full"]) < 2e-5


def test_the_names_in_the_table_belong_together() -> None:
    rows = [re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| `.*$", TEXT, flags=re.M)]
    pairs = [
        pair
        for row in rows
        for pair in zip(row[: len(row) // 2], row[len(row) // 2 :], strict=True)
    ]
    assert len(pairs) == 12
    parameters = list(DIM8.model().state_dict())
    for released, ours in pairs:
        names = [name for name in parameters if name.startswith(f"{ours}.")]
        assert names, ours
        assert all(released_name(name).startswith(f"{released}.") for name in names), released
