"""The samples of a run: each once an epoch, none twice, the same however many processes read."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from training_help import make_photos, small_recipe

from nerdrain.data.datasets import PairedFolder
from nerdrain.data.synthetic import SyntheticRain, TrainingCrops
from nerdrain.errors import NerdrainError
from nerdrain.training.batches import (
    MOST_VALIDATED,
    StageSteps,
    Stream,
    TrainingData,
    middle,
    split_pairs,
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos")


def stream(items: int, seed: int = 0) -> Stream:
    photos = [np.full((20, 20, 3), n, np.uint8) for n in range(items)]
    rain = SyntheticRain(photos, "light", dry=1.0, seed=seed)
    return Stream(TrainingCrops(rain, 8, augment=False, seed=seed), seed)


@given(st.integers(1, 40), st.integers(0, 5))
def test_an_epoch_has_every_item_once(items: int, seed: int) -> None:
    samples = stream(items, seed)
    for epoch in range(3):
        places = [samples.place(epoch * items + n) for n in range(items)]
        assert {e for e, _ in places} == {epoch}
        assert sorted(index for _, index in places) == list(range(items))


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides() -> None:
    first = [stream(30).place(n)[1] for n in range(60)]
    assert first[:30] != first[30:]
    assert first == [stream(30).place(n)[1] for n in range(60)]
    assert first != [stream(30, seed=1).place(n)[1] for n in range(60)]


def test_a_sample_is_the_item_of_its_place() -> None:
    samples = stream(5)
    for n in (0, 3, 7):
        epoch, index = samples.place(n)
        rainy, clean = samples[n]
        torch.testing.assert_close(rainy, clean)  # dry
        assert (clean * 255).round().unique().tolist() == [index]
        torch.testing.assert_close(samples.crops.item(epoch, index)[0], rainy)
    again = pickle.loads(pickle.dumps(samples))
    torch.testing.assert_close(again[7][0], samples[7][0], rtol=0, atol=0)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 6))
def test_processes_share_a_batch_without_rest(processes: int, each: int, step: int) -> None:
    stage = StageSteps(2, 20, sample=11, patch_size=8, batch_size=processes * each)
    shares = [stage.samples(2 + step, rank, processes) for rank in range(processes)]
    assert {len(share) for share in shares} == {each}
    assert sorted(n for share in shares for n in share) == stage.samples(2 + step)
    assert stage.samples(2 + step)[0] == 11 + step * stage.batch_size


def test_batches_are_the_same_from_any_step_and_with_workers(photos: Path) -> None:
    recipe = small_recipe(photos=str(photos), patch_size=16, batch_size=4, max_steps=5)
    whole = list(TrainingData(recipe).batches())
    assert len(whole) == 5
    later = list(TrainingData(recipe).batches(3))
    worked = list(TrainingData(recipe.with_changes(num_workers=2)).batches(3))
    for some in (later, worked):
        assert len(some) == 2
        for got, expected in zip(some, whole[3:], strict=True):
            torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_two_processes_read_one_batch(photos: Path) -> None:
    data = TrainingData(small_recipe(photos=str(photos), patch_size=16, batch_size=4))
    (whole, *_), (a, *_), (b, *_) = (
        list(data.batches(rank=r, processes=n)) for r, n in ((0, 1), (0, 2), (1, 2))
    )
    torch.testing.assert_close(torch.stack([a[0], b[0]], 1).flatten(0, 1), whole[0])
    with pytest.raises(
        NerdrainError, match="3 processes cannot share a batch of 4: set batch_size"
    ):
        next(data.batches(processes=3))


def test_progressive_parts_follow_each_other(photos: Path) -> None:
    stages = [
        {"fraction": 0.5, "patch_size": 8, "batch_size": 4},
        {"fraction": 0.5, "patch_size": 16, "batch_size": 2},
    ]
    data = TrainingData(small_recipe(photos=str(photos), max_steps=5, progressive=stages))
    assert data.stages == [StageSteps(0, 2, 0, 8, 4), StageSteps(2, 5, 8, 16, 2)]
    shapes = [tuple(rainy.shape) for rainy, _ in data.batches()]
    assert shapes == [(4, 3, 8, 8)] * 2 + [(2, 3, 16, 16)] * 3
    assert [data.epoch(step) for step in range(5)] == [0, 0, 1, 1, 1]  # 7 photographs
    assert data.batches(3) is not None
    assert len(list(data.batches(3))) == 2


def test_epochs_are_counted_in_steps(photos: Path) -> None:
    data = TrainingData(small_recipe(photos=str(photos), epochs=3, batch_size=2, patch_size=8))
    assert (data.size, data.steps) == (7, 11)  # 21 samples in pairs; the last is shared with more
    assert [data.epoch(step) for step in range(11)] == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_validation_photographs_are_never_trained_on(photos: Path) -> None:
    data = TrainingData(small_recipe(photos=str(photos)))
    pairs = data.validation()
    assert {kind: len(some) for kind, some in pairs.items()} == {"light": 2, "heavy": 2}
    for rainy, clean in pairs["heavy"]:
        assert rainy.shape == clean.shape == (40, 48, 3)
        assert (rainy >= clean - 1e-6).all()  # rain only adds
        assert not any(np.array_equal(np.rint(clean * 255), photo) for photo in data.photos)


def test_the_repositorys_photographs_keep_their_split() -> None:
    data = TrainingData(small_recipe())
    assert data.size == 60
    assert {kind: len(some) for kind, some in data.validation().items()} == {"light": 8, "heavy": 8}
    wild = TrainingData(small_recipe(rain_style={"mixed": 1, "wild": 1}))
    assert list(wild.validation()) == ["light", "heavy", "wild"]


def test_the_variety_of_a_recipe_reaches_its_crops() -> None:
    options = {"rain_style": "wild", "clean_fraction": 1.0, "patch_size": 16}
    same, varied = (
        TrainingData(small_recipe(**options, variety=variety)).stream(16)[0][1]
        for variety in (0.0, 1.0)
    )
    assert same.shape == varied.shape == (3, 16, 16)
    assert not np.array_equal(same, varied)


def test_one_photograph_is_not_enough(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "one", 1)
    with pytest.raises(NerdrainError, match="one image is not enough"):
        TrainingData(small_recipe(photos=str(folder)))


def make_set(root: Path, layout: str, backgrounds: int, versions: int) -> Path:
    picture = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    for i in range(1, backgrounds + 1):
        if layout == "ddn":
            files = [f"rainy_image/{i}_{j}.jpg" for j in range(1, versions + 1)]
            files += [f"ground_truth/{i}.jpg"]
        elif layout == "did":
            levels = ("Heavy", "Medium", "Light")
            files = [f"Rain_{level}/train2018new/{i}.jpg" for level in levels]
        else:
            files = [f"train/{side}/{i}.png" for side in ("input", "target")]
        for file in files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            picture.save(root / file)
    return root


@pytest.mark.parametrize(
    ("layout", "split", "each"), [("ddn", "train", 3), ("did", "", 3), ("nerdrain", "train", 1)]
)
def test_no_background_is_trained_and_validated_on(
    tmp_path: Path, layout: str, split: str, each: int
) -> None:
    folder = PairedFolder(make_set(tmp_path, layout, 6, 3), layout, split)
    training, validation = split_pairs(folder, 3)
    names = [
        {folder.names[i].split("/")[-1].split("_")[0] for i in some.indices}
        for some in (training, validation)
    ]
    assert not names[0] & names[1]
    assert (len(training), len(validation)) == (4 * each, 2 * each)


def test_real_pairs_are_validated_on_a_few_of_those_held_back(tmp_path: Path) -> None:
    root = make_set(tmp_path, "nerdrain", 2 * MOST_VALIDATED + 8, 1)
    data = TrainingData(small_recipe(pairs=str(root), holdout_every=2, patch_size=8))
    assert data.size == MOST_VALIDATED + 4
    pairs = data.validation()
    assert list(pairs) == ["pairs"]
    assert len(pairs["pairs"]) == MOST_VALIDATED
    assert next(data.batches())[0].shape == (2, 3, 8, 8)
    with pytest.raises(NerdrainError, match="one background cannot be divided"):
        split_pairs(PairedFolder(make_set(tmp_path / "one", "nerdrain", 1, 1)), 2)


def test_the_middle_of_an_image() -> None:
    image = np.arange(300 * 260 * 3).reshape(300, 260, 3)
    np.testing.assert_array_equal(middle(image), image[22:278, 2:258])
    assert middle(image[:40, :50]).shape == (40, 50, 3)
