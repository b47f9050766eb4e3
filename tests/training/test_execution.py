"""The memory that a training step needs, before it is allocated."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_help import SMALL, make_photos, recipe_file, small_recipe

from nerdrain.errors import NerdrainError
from nerdrain.model.network import NeRDRain
from nerdrain.training import execution
from nerdrain.training.execution import check_memory, estimate_memory
from nerdrain.training.loop import train
from nerdrain.training.planning import plan_run

CPU = torch.device("cpu")
WIDE = SMALL | {"width": 2**14}
MEASURE = """
import sys
import psutil, torch
from nerdrain.model.network import NeRDRain
from nerdrain.training.recipes import read_recipe
model, x = NeRDRain(read_recipe(sys.argv[1]).config), torch.rand(2, 3, 192, 192)
model(x[..., :16, :16])
before = psutil.Process().memory_info().rss
output = model(x)
print(psutil.Process().memory_info().rss - before)
"""


def test_the_estimate_is_a_close_lower_bound(tmp_path: Path) -> None:
    """After a forward pass, memory holds what is estimated, and little else."""
    recipe = small_recipe()
    weights = 4 * sum(p.numel() for p in NeRDRain(recipe.config).parameters())
    kept = estimate_memory(recipe, 192, 2) - 5 * weights
    command = [sys.executable, "-c", MEASURE, str(recipe_file(tmp_path, None))]
    measured = int(subprocess.run(command, capture_output=True, check=True).stdout)
    assert 0.98 < measured / kept < 1.3


def test_the_estimate_knows_the_options() -> None:
    plain = estimate_memory(small_recipe(), 64, 2)
    assert estimate_memory(small_recipe(), 64, 4) > 1.8 * plain
    assert estimate_memory(small_recipe(), 128, 2) > 3.6 * plain
    layers = estimate_memory(small_recipe(grad_checkpointing="feed_forward"), 64, 2)
    assert estimate_memory(small_recipe(grad_checkpointing="blocks"), 64, 2) < 0.5 * plain
    assert 0.4 * plain < layers < 0.7 * plain
    assert estimate_memory(small_recipe(precision="bf16"), 64, 2) < 0.6 * plain
    assert estimate_memory(small_recipe(overrides=WIDE), 2**16, 2**16) == float("inf")


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 2**16, "patch_size": 256},
        {"patch_size": 2**16},
        {"overrides": WIDE},
        {"progressive": [
            {"fraction": 0.5, "patch_size": 32, "batch_size": 1},
            {"fraction": 0.5, "patch_size": 4096, "batch_size": 1024},
        ]},
    ],
)  # fmt: skip
def test_a_run_that_cannot_fit_is_refused_before_it_allocates(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = recipe_file(tmp_path, make_photos(tmp_path / "photos"), **changes)
    sentence = (
        r"a step with \d+ crops of \d+ pixels needs at least [\d,]+\.\d GiB of memory, and "
        r"[\d,]+\.\d GiB are free \(cpu\): lower batch_size or patch_size, or set .*\."
    )
    with pytest.raises(NerdrainError) as caught:
        train(file, {}, tmp_path / "run", "cpu")
    assert re.fullmatch(sentence, str(caught.value))
    with pytest.raises(NerdrainError) as caught:
        plan_run(small_recipe(**changes), "cpu")
    assert re.fullmatch(sentence, str(caught.value))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB on Linux
    assert not (tmp_path / "run").exists()


def test_each_place_is_compared_with_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made in the machine's memory, also for a GPU; processes share a batch."""
    recipe = small_recipe(batch_size=8, patch_size=64)
    images = 2 * 8 * 3 * 64 * 64 * 4
    step = int(estimate_memory(recipe, 64, 8))
    free = {"cpu": images, "cuda": step + 1}
    monkeypatch.setattr(execution, "free_memory", lambda device: free[device.type])
    gpu = torch.device("cuda")
    check_memory(recipe, gpu)
    free["cuda"] = step - 1
    with pytest.raises(NerdrainError, match=r"with 8 crops of 64 pixels .* free \(cuda\)"):
        check_memory(recipe, gpu)
    check_memory(recipe, gpu, processes=2)
    free.update(cpu=images - 1, cuda=step + 1)
    with pytest.raises(NerdrainError, match=r"free \(cpu\)"):
        check_memory(recipe, gpu)
