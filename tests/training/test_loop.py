"""The training loop: schedule, optimizer, guards, what a run writes, and that it learns."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from training_help import SMALL, make_photos, recipe_file, small_recipe

import nerdrain
from nerdrain.checkpoints.weights import save_checkpoint
from nerdrain.errors import NerdrainError
from nerdrain.files import part_names
from nerdrain.model.network import NeRDRain
from nerdrain.model.transformer import TransformerBlock
from nerdrain.training import loop as training
from nerdrain.training.batches import TrainingData, explain_worker_errors
from nerdrain.training.execution import make_accelerator, with_options
from nerdrain.training.loop import EMA, Trainer, learning_rate, set_lr, train
from nerdrain.training.recipes import Recipe, read_recipe
from nerdrain.training.runs import RunFolder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_learning_rate_is_the_closed_form() -> None:
    recipe = small_recipe(max_steps=101, warmup=10, lr=1e-4, min_lr=1e-6)
    assert learning_rate(0, 101, recipe) == 0
    assert learning_rate(5, 101, recipe) == pytest.approx(5e-5)
    assert learning_rate(10, 101, recipe) == pytest.approx(1e-4)
    middle = 1e-6 + (1e-4 - 1e-6) * (1 + math.cos(math.pi / 2)) / 2
    assert learning_rate(55, 101, recipe) == pytest.approx(middle)
    assert learning_rate(100, 101, recipe) == pytest.approx(1e-6)


SCHEDULES = json.loads(
    (Path(__file__).parents[1] / "golden" / "schedule.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", ["spa", "did", "ddn", "rain200l", "rain200h"])
def test_the_papers_recipes_set_the_rates_of_the_released_training(name: str) -> None:
    recipe = read_recipe(name)
    (golden,) = (
        s["rates"]
        for s in SCHEDULES["schedules"]
        if (s["epochs"], s["lr"]) == (recipe.epochs, recipe.lr)
    )
    rates = [learning_rate(epoch, recipe.epochs, recipe) for epoch in range(recipe.epochs)]
    np.testing.assert_allclose(rates, golden, rtol=1e-9)


def test_a_released_schedule_of_few_epochs_has_rates() -> None:
    for epochs in (1, 3, 4, 5):
        recipe = small_recipe(max_steps=0, epochs=epochs, warmup=3, lr_schedule="released")
        rates = [learning_rate(epoch, epochs, recipe) for epoch in range(epochs)]
        assert rates[:1] == [0] and np.isfinite(rates).all()


def test_a_rate_holds_for_an_epoch_or_a_step(photos: Path) -> None:
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    data = TrainingData(small_recipe(photos=str(photos), epochs=4, warmup=2, batch_size=1, lr=1.0))
    rates = [set_lr(optimizer, step, data) for step in range(data.steps)]
    assert rates == pytest.approx([0] * 7 + [0.5] * 7 + [1.0] * 7 + [1e-6] * 7)
    assert optimizer.param_groups[0]["lr"] == rates[-1]
    for scaling, factor in (("none", 1), ("sqrt", 2), ("linear", 4)):
        recipe = small_recipe(photos=str(photos), batch_size=4, lr=0.1, lr_scaling=scaling)
        assert set_lr(optimizer, 0, TrainingData(recipe)) == pytest.approx(0.1 * factor)


def test_the_average_follows_a_constant_and_decay_0_copies() -> None:
    model = NeRDRain(small_recipe().config)
    average, copied = EMA(model, 0.9), EMA(model, 0.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    copied.update(model)
    for _ in range(200):
        average.update(model)
    for a, c, p in zip(
        average.model.parameters(), copied.model.parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(c, p)
        torch.testing.assert_close(a, p, atol=1e-5, rtol=1e-5)


def test_the_average_is_the_closed_form() -> None:
    """Two updates towards 1 from 0 with decay 0.5: 1 - d1 d2, d the early decays 1/11 and 2/12."""
    model = NeRDRain(small_recipe().config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    average = EMA(model, 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    average.update(model)
    average.update(model)
    value = next(average.model.parameters()).flatten()[0].item()
    assert value == pytest.approx(1 - 1 / 11 * 2 / 12, rel=1e-5)


def test_a_run_writes_what_its_module_lists(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {"seed": "3"}, tmp_path / "run", "cpu")
    assert read_recipe(run / "recipe.yaml").seed == 3
    rows = log_of(run)
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[0]["total"]) > 0
    assert float(rows[1]["psnr_mean"]) == pytest.approx(
        (float(rows[1]["psnr_light"]) + float(rows[1]["psnr_heavy"])) / 2, abs=2e-3
    )
    assert nerdrain.load_model(run / "model.safetensors").config.width == 4
    assert [path.name for path in sorted((run / "samples").iterdir())] == [
        "step-000000002.jpg",
        "step-000000004.jpg",
    ]
    with Image.open(run / "samples" / "step-000000004.jpg") as sheet:
        assert sheet.size == (3 * 48, 4 * 40)  # two photographs of each style, three images a row
    with pytest.raises(NerdrainError, match="already holds a run; resume it with --resume"):
        train(file, {}, tmp_path / "run", "cpu")


def test_it_learns_on_the_repositorys_photographs(tmp_path: Path) -> None:
    """60 steps on data/photos with seed 0 gain 3.0 dB on heavy rain over a rate of 0.

    Two are asked for: a processor that rounds in another order takes another path.
    """
    settings = {
        "max_steps": 60, "patch_size": 48, "batch_size": 2, "lr": 4e-3, "warmup": 5,
        "grad_clip": 1.0, "ema_decay": 0.9, "val_every": 60,
    }  # fmt: skip
    file = recipe_file(tmp_path, None, **settings)
    untrained = train(file, {"lr": "1e-30", "min_lr": "0", "max_steps": "1"}, tmp_path / "a", "cpu")
    trained = train(file, {}, tmp_path / "b", "cpu")
    before, after = (float(log_of(run)[-1]["psnr_heavy"]) for run in (untrained, trained))
    assert after - before > 2.0, (before, after)


def test_real_pairs_train_too(tmp_path: Path, photos: Path) -> None:
    for side in ("input", "target"):
        folder = tmp_path / "set" / "train" / side
        folder.mkdir(parents=True)
        for path in photos.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    file = recipe_file(tmp_path, None, pairs=str(tmp_path / "set"), epochs=1, batch_size=7)
    run = train(file, run_dir=tmp_path / "run", device="cpu")
    (row,) = log_of(run)
    assert (row["step"], row["psnr_pairs"]) == ("1", row["psnr_mean"])


def test_options_compute_the_same(tmp_path: Path, photos: Path) -> None:
    """Recomputed blocks change no result beyond rounding; bfloat16 hardly."""
    file = recipe_file(tmp_path, photos, lr=1e-4, ema_decay=0.5)
    plain = float(log_of(train(file, {}, tmp_path / "plain", "cpu"))[-1]["total"])
    for option, value, tolerance in (
        ("grad_checkpointing", "feed_forward", 1e-6),
        ("grad_checkpointing", "blocks", 1e-6),
        ("precision", "bf16", 3e-2),
    ):
        run = train(file, {option: value}, tmp_path / value, "cpu")
        assert float(log_of(run)[-1]["total"]) == pytest.approx(plain, rel=tolerance), option
    with pytest.raises(NerdrainError, match="precision fp16 needs a GPU"):
        train(file, {"precision": "fp16"}, tmp_path / "half", "cpu")


def test_compile_is_asked_for_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(TransformerBlock, "compile", lambda self, **_: compiled.append(self))
    model = NeRDRain(small_recipe().config)
    assert with_options(model, small_recipe(compile=True)) is model
    assert len(compiled) == 2 * 5  # two UNets of one block at each of five places


def test_a_run_starts_from_weights(tmp_path: Path, photos: Path) -> None:
    first = train(recipe_file(tmp_path, photos), {}, tmp_path / "first", "cpu")
    start = first / "model.safetensors"
    recipe = small_recipe(init_from=str(start))
    expected = nerdrain.load_model(start).state_dict()
    for name, value in training.start_network(recipe).state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    other = small_recipe(init_from=str(start), overrides=SMALL | {"width": 6})
    with pytest.raises(NerdrainError, match="is another network than the recipe's"):
        training.start_network(other)


def test_a_run_starts_from_a_network_with_fewer_blocks(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    before = NeRDRain(small_recipe(overrides=SMALL | {"blocks": (1, 2, 1)}).config)
    save_checkpoint(before, start)
    more = small_recipe(init_from=str(start), overrides=SMALL | {"blocks": (3, 2, 2)})
    grown = training.start_network(more)
    assert grown.config == more.config
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    for mine, expected in zip(grown(image), before(image), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)
    fewer = small_recipe(init_from=str(start), overrides=SMALL | {"blocks": (3, 1, 2)})
    with pytest.raises(NerdrainError, match="only blocks may be more"):
        training.start_network(fewer)


def trainer(scaler: object = None, **changes: object) -> Trainer:
    recipe = small_recipe(**changes)
    trainer = Trainer(recipe, make_accelerator(recipe, "cpu"))
    trainer.scaler = scaler
    return trainer


def test_broken_steps_are_counted_and_explained() -> None:
    run = trainer(max_loss_ratio=10)
    assert run.find_fault(1.0, 1.0) == ""
    assert run.find_fault(float("nan"), 1.0) == "its loss is nan"
    assert run.find_fault(1.0, float("inf")) == "the norm of its gradient is inf"
    assert (run.broken, run.skipped) == (2, 2)
    assert run.find_fault(100.0, 1.0) == ""  # too few losses to know the usual loss
    for _ in range(31):
        assert run.find_fault(1.0, 1.0) == ""
    assert run.broken == 0
    assert run.find_fault(10.5, 1.0) == "its loss 10.5 is over 10 times the usual 1"
    any_loss = trainer(max_loss_ratio=0)
    any_loss.recent = run.recent
    assert any_loss.find_fault(10.5, 1.0) == ""


def test_half_precision_leaves_infinite_gradients_to_its_scaler() -> None:
    class Scaler:
        updates = 0

        def update(self) -> None:
            self.updates += 1

    scaler = Scaler()
    run = trainer(scaler)
    assert run.find_fault(1.0, float("inf")) == ""
    assert run.find_fault(float("nan"), 1.0) == "its loss is nan"
    assert scaler.updates == 1


def test_a_loss_that_is_no_number_stops_the_run(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A few broken steps are skipped; ten in a row end it, and what was saved is whole."""
    loss = training.HybridLoss.forward
    calls = iter(range(1000))

    def breaks(self: training.HybridLoss, output, target):  # type: ignore[no-untyped-def]
        terms = loss(self, output, target)
        broken = next(calls) in {1, *range(4, 100)}
        return terms._replace(total=terms.total * math.nan) if broken else terms

    monkeypatch.setattr(training.HybridLoss, "forward", breaks)
    file = recipe_file(tmp_path, photos, max_steps=30)
    with pytest.raises(NerdrainError, match="10 steps in a row were broken; of the last, 13, its"):
        train(file, {}, tmp_path / "run", "cpu")
    assert "step 1 is skipped: its loss is nan" in capsys.readouterr().out
    looks = [path.stem for path in (tmp_path / "run" / "samples").iterdir()]
    assert looks == ["step-000000004"]  # after steps 2, 6, 8, ... it was broken, and waited
    for tensor in nerdrain.load_model(tmp_path / "run" / "model.safetensors").parameters():
        assert torch.isfinite(tensor).all()


def test_full_memory_names_the_settings(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(training.HybridLoss, "forward", full)
    file = recipe_file(tmp_path, photos)
    with pytest.raises(
        NerdrainError, match="memory is full with 2 crops of 32 pixels: lower batch_size"
    ):
        train(file, {}, tmp_path / "run", "cpu")

    monkeypatch.undo()
    monkeypatch.setattr(torch.Tensor, "backward", full)  # as is more likely
    with pytest.raises(NerdrainError, match="memory is full with 2 crops"):
        train(file, {}, tmp_path / "backward", "cpu")

    monkeypatch.undo()

    def other(*_: object) -> None:
        raise RuntimeError("a fault: an illegal memory access was encountered")

    monkeypatch.setattr(training.HybridLoss, "forward", other)
    with pytest.raises(RuntimeError, match="a fault"):
        train(file, {}, tmp_path / "other", "cpu")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = signal.getsignal(number)
    rate = training.set_lr

    def interrupting(optimizer: object, step: int, data: TrainingData) -> float:
        if step == 1:
            os.kill(os.getpid(), number)
        return rate(optimizer, step, data)

    file = recipe_file(tmp_path, photos, val_every=100)
    with monkeypatch.context() as patched:
        patched.setattr(training, "set_lr", interrupting)
        with pytest.raises(NerdrainError, match="stopped after step 2 of 4, which is saved in"):
            train(file, {}, tmp_path / "run", "cpu")
    assert signal.getsignal(number) is before
    run = train(file, {}, tmp_path / "run", "cpu", resume=True)
    assert [row["step"] for row in log_of(run)] == ["2", "4"]


def test_a_full_disk_leaves_the_last_checkpoint_whole(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe_file(tmp_path, photos, save_every_minutes=0, val_every=100, max_steps=6)
    whole = train(file, {}, tmp_path / "whole", "cpu")
    write, states = os.fsync, iter(range(1, 7))

    def full(descriptor: int) -> None:
        written = os.readlink(f"/proc/self/fd/{descriptor}")
        if "/checkpoints/" in written and next(states) == 4:
            raise OSError(28, "No space left on device")
        write(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("looks at open files as Linux shows them")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(NerdrainError, match=r"step-000000004\.pt: could not be written \(No s"):
            train(file, {}, tmp_path / "run", "cpu")
    names = [path.name for path in sorted((tmp_path / "run" / "checkpoints").iterdir())]
    assert names == ["step-000000002.pt", "step-000000003.pt"]
    train(file, {}, tmp_path / "run", "cpu", resume=True)  # there is space again
    expected, got = (
        torch.load(run / "checkpoints" / "step-000000006.pt", weights_only=True)["model"]
        for run in (whole, tmp_path / "run")
    )
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name


def test_a_resumed_run_is_the_same_recipe(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {}, tmp_path / "run", "cpu", resume=True)  # nothing there: it begins
    again = train(file, {"num_workers": "1", "keep_checkpoints": "5"}, run, "cpu", resume=True)
    assert [row["step"] for row in log_of(again)] == ["2", "4"]  # it was finished
    with pytest.raises(NerdrainError, match="its recipe differs in lr, seed; resume with the"):
        train(file, {"lr": "1", "seed": "4"}, run, "cpu", resume=True)


def test_a_resumed_run_has_the_same_images(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {}, tmp_path / "run", "cpu")
    photos.joinpath("5.png").rename(tmp_path / "5.png")
    with pytest.raises(NerdrainError, match=r"run: the training images have changed.*put the"):
        train(file, {}, run, "cpu", resume=True)
    (tmp_path / "5.png").rename(photos / "5.png")
    train(file, {}, run, "cpu", resume=True)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {}, tmp_path / "run", "cpu")
    saved = sorted((run / "checkpoints").iterdir())
    whole = torch.load(saved[1], weights_only=True)
    content = saved[1].read_bytes()
    weight = whole["model"]["scales.s3.output.weight"].numpy().tobytes()
    place = content.index(weight)  # torch reads a file with a changed weight without complaint
    flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    for damaged in (content[:1000], flipped):
        saved[1].write_bytes(damaged)
        train(file, {}, run, "cpu", resume=True)
        again = torch.load(saved[1], weights_only=True)
        for name, value in whole["ema"].items():
            assert torch.equal(value, again["ema"][name]), name
            assert torch.equal(whole["model"][name], again["model"][name]), name
    for path in saved:
        path.write_bytes(b"nothing")
    with pytest.raises(
        NerdrainError, match=r"no checkpoint can be read \(step-000000004.pt, step-"
    ):
        train(file, {}, run, "cpu", resume=True)


def test_trackers_get_every_step_of_the_log_once(tmp_path: Path, photos: Path) -> None:
    """A run that was killed after it logged more than it saved logs those steps again."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = recipe_file(tmp_path, photos, max_steps=6, log_every=1, log_with=["tensorboard"])
    run = train(file, {}, tmp_path / "run", "cpu")
    (run / "checkpoints" / "step-000000006.pt").unlink()
    train(file, {}, run, "cpu", resume=True)
    events = EventAccumulator(str(run / "logs" / "nerdrain"))
    events.Reload()
    values = {event.step: event.value for event in events.Scalars("total")}
    assert len(events.Scalars("total")) == len(values) == 6
    rows = {int(row["step"]): float(row["total"]) for row in log_of(run)}
    assert values == pytest.approx(rows, rel=1e-6)


def test_a_tracker_that_is_not_installed_is_named(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nerdrain.training.execution.get_available_trackers", list)
    file = recipe_file(tmp_path, photos, log_with=["tensorboard"])
    with pytest.raises(NerdrainError, match="log_with: tensorboard is not installed; install it"):
        train(file, {}, tmp_path / "run", "cpu")


def test_the_default_recipe_needs_a_length() -> None:
    with pytest.raises(NerdrainError, match="either epochs or max_steps"):
        Recipe()


def test_a_state_of_another_network_is_passed_over(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {}, tmp_path / "run", "cpu")
    first, last = sorted((run / "checkpoints").iterdir())
    whole = torch.load(last, weights_only=True)
    torch.save(whole | {"model": {"a": torch.zeros(2)}}, last)
    train(file, {}, run, "cpu", resume=True)
    assert torch.load(last, weights_only=True)["model"].keys() == whole["model"].keys()
    for path in (first, last):
        torch.save([1, 2], path)
    with pytest.raises(NerdrainError, match="no checkpoint can be read"):
        train(file, {}, run, "cpu", resume=True)


@pytest.mark.parametrize("text", ["hello\nworld\n", "step,total\nx,1\n", "step\n1,2\n", "\udcff"])
def test_a_log_that_is_none_is_named(tmp_path: Path, photos: Path, text: str) -> None:
    file = recipe_file(tmp_path, photos)
    run = train(file, {}, tmp_path / "run", "cpu")
    (run / "log.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(NerdrainError, match=r"log\.csv: not the log of a run; put the log back"):
        train(file, {}, run, "cpu", resume=True)


def saving(folder: Path, keep: int = 1) -> RunFolder:
    return RunFolder(folder, small_recipe(keep_checkpoints=keep), resume=True)


def test_a_log_keeps_columns_that_others_added(tmp_path: Path) -> None:
    run = saving(tmp_path)
    run.log = [{"step": "1", "mine": "3"}, {"step": "2", "total": "4"}]
    run.save({"step": 2, "broken": 0})
    text = (tmp_path / "log.csv").read_text(encoding="utf-8")
    assert text == "step,mine,total\n1,3,\n2,,4\n"


def test_good_states_stay_while_steps_are_broken(tmp_path: Path) -> None:
    run = saving(tmp_path)
    for step, broken in ((1, 0), (2, 1), (3, 2)):
        run.save({"step": step, "broken": broken})
    assert [path.stem[-1] for path in run.states()] == ["1", "2", "3"]
    run.save({"step": 4, "broken": 0})
    assert [path.stem[-1] for path in run.states()] == ["4"]


def test_a_later_state_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    run = saving(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-000000009.pt").write_bytes(b"nothing")
    run.save({"step": 7, "broken": 0})
    state = run.load()
    assert state is not None and state["step"] == 7


def test_the_log_is_never_behind_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = saving(tmp_path)
    run.log = [{"step": "1"}]

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nerdrain.training.runs.torch.save", killed)
    with pytest.raises(KeyboardInterrupt):
        run.save({"step": 1, "broken": 0})
    assert (tmp_path / "log.csv").is_file()


def test_a_folder_is_used_by_one_process(tmp_path: Path) -> None:
    run = saving(tmp_path)
    code = (
        "import sys; from pathlib import Path; from nerdrain.training.recipes import read_recipe;"
        "from nerdrain.training.runs import RunFolder; path = Path(sys.argv[1]);"
        "RunFolder(path, read_recipe(path / 'recipe.yaml'), resume=True).claim().__enter__()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with run.claim():
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another process trains in it" in other.stderr
    with saving(tmp_path).claim():  # it was released
        pass


def test_only_leftovers_of_runs_are_removed(tmp_path: Path, photos: Path) -> None:
    """Unfinished files of a killed run have names that no other program uses."""
    folders = [tmp_path / "run" / name for name in ("", "checkpoints", "samples", "mine")]
    for folder in folders:
        folder.mkdir(parents=True)
        for path in (*part_names(folder)[:2], folder / ".log.csv.1.part", folder / "movie.part"):
            path.write_text("precious")
    train(recipe_file(tmp_path, photos), {}, tmp_path / "run", "cpu")
    for folder in folders:
        assert (folder / ".log.csv.1.part").read_text() == "precious"
        assert (folder / "movie.part").read_text() == "precious"
        assert part_names(folder)[0].exists() is (folder.name == "mine")
        assert part_names(folder)[1].exists() is (folder.name == "mine")


def test_a_run_that_failed_at_its_beginning_claims_nothing(tmp_path: Path, photos: Path) -> None:
    file = recipe_file(tmp_path, photos)
    shares = "give shares of 0 or more, at least one of them above 0"
    with pytest.raises(NerdrainError, match=shares):
        train(file, {"rain_style": "{light: 0}"}, tmp_path / "run", "cpu")
    train(file, {}, tmp_path / "run", "cpu")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_bad_image_is_named_by_any_process(tmp_path: Path, photos: Path, workers: str) -> None:
    for side in ("input", "target"):
        shutil.copytree(photos, tmp_path / "set" / "train" / side)
    (tmp_path / "set" / "train" / "input" / "1.png").write_bytes(b"junk")
    file = recipe_file(tmp_path, None, pairs=str(tmp_path / "set"), epochs=1)
    with pytest.raises(NerdrainError) as caught:
        train(file, {"num_workers": workers}, tmp_path / "run", "cpu")
    assert str(caught.value).startswith(str(tmp_path / "set" / "train" / "input" / "1.png"))


def test_a_killed_worker_is_explained() -> None:
    def killed() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        raise RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error.")
        yield

    with pytest.raises(NerdrainError, match="set num_workers lower, or to 0"):
        next(explain_worker_errors(killed()))
