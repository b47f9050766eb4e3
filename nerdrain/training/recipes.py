"""Training recipes: one YAML file says everything about a run, and nothing it says is ignored."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from nerdrain.errors import NerdrainError
from nerdrain.files import shipped_folder
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.training._strict_yaml import read_mapping, read_yaml
from nerdrain.training.losses import LossWeights

PRECISIONS = ("fp32", "bf16", "fp16")
RATE_SCALINGS = ("none", "sqrt", "linear")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's result, apart from the machine.

    Attributes:
        model: A preset's name.
        changes: Configuration fields to change in it.
        init: A shipped model or a file to start from; None draws weights.
        photos: Folder of clean photographs to rain on; None takes the repository's, by their split.
        pairs: A benchmark's folder, with `layout`; None trains on synthetic rain.
        layout: How `pairs` is laid out, a name of `nerdrain.data.datasets.LAYOUTS`.
        held_back: Of the training photographs or backgrounds, every so-many-th is validated on and
            not trained on. The repository's own photographs have a split, which holds instead.
        style: Synthetic rain: "light", "heavy" or "mixed", or shares of these.
        mode: How synthetic rain is put on: "additive", "screen", "veil" or "mixed".
        dry: Share of synthetic training pairs without rain.
        patch: Pixels a side of a training crop (section 4.1: 256).
        batch: Crops a step, over all processes together (section 4.1: 1).
        progressive: Parts of the run with a patch and batch of their own, in order, each
            ``{share: of the steps, patch: pixels, batch: crops}``; empty for `patch` and `batch`
            throughout. The shares sum to 1.
        epochs: Passes over the data (section 4.1: 10, 200 or 600), where `steps` is 0. The rate
            then changes from epoch to epoch, as in the released training.
        steps: Optimiser steps, where `epochs` is 0. The rate then changes from step to step.
        warmup: Epochs or steps of linear warm-up from 0 (released: 3 epochs).
        rate: Highest learning rate of Adam (section 4.1: 1e-4, and 2e-4 on Rain200H).
        final_rate: Where the cosine ends (section 4.1: 1e-6).
        scale_rate: What the batch multiplies `rate` by: "none", its square root or its size.
        weights: Of the loss terms `freq`, `edge` and `inr` (equation 6: 0.01, 0.05 and 0.1).
        clip: Largest norm of the gradient; 0 does not clip.
        jump: A step whose loss is so many times the median of the last ones is skipped; 0 takes it.
        average: Decay of the weights' moving average, which is validated and saved; 0 for none.
        precision: "fp32", or "bf16" or "fp16" autocast.
        channels_last: Whether tensors hold their channels innermost.
        compile: Whether `torch.compile` compiles the blocks.
        checkpointing: Whether blocks are computed again in the backward pass, to save memory.
        workers: Processes that load data; 0 loads in the training process.
        seed: Of weights, order, crops and rain.
        validate_every: Steps between two validations.
        log_every: Steps between two lines of the log.
        save_minutes: Minutes between two checkpoints that a killed run can go on from.
        keep: How many are kept.
    """

    model: str = "nerd-rain-tiny"
    changes: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    photos: str | None = None
    pairs: str | None = None
    layout: str = "nerdrain"
    held_back: int = 8
    style: str | dict[str, float] = "mixed"
    mode: str = "additive"
    dry: float = 0.0
    patch: int = 256
    batch: int = 1
    progressive: list[dict[str, Any]] = field(default_factory=list)
    epochs: int = 0
    steps: int = 0
    warmup: int = 0
    rate: float = 1e-4
    final_rate: float = 1e-6
    scale_rate: str = "none"
    weights: dict[str, Any] = field(default_factory=lambda: asdict(LossWeights()))
    clip: float = 0.0
    jump: float = 0.0
    average: float = 0.0
    precision: str = "fp32"
    channels_last: bool = False
    compile: bool = False
    checkpointing: bool = False
    workers: int = 0
    seed: int = 0
    validate_every: int = 500
    log_every: int = 50
    save_minutes: float = 10.0
    keep: int = 2

    def __post_init__(self) -> None:
        for name in ("patch", "batch", "validate_every", "log_every", "keep"):
            if getattr(self, name) < 1:
                raise NerdrainError(f"{name} must be 1 or more.")
        if self.held_back < 2:
            raise NerdrainError("held_back must be 2 or more, or nothing is left to train on.")
        for name in ("clip", "jump", "warmup", "final_rate", "seed", "workers", "save_minutes"):
            if getattr(self, name) < 0:
                raise NerdrainError(f"{name} must be 0 or more.")
        if min(self.epochs, self.steps) < 0 or (self.epochs > 0) == (self.steps > 0):
            raise NerdrainError("give either epochs or steps, 1 or more, and leave the other at 0.")
        if not 0 <= self.average < 1 or self.rate <= 0:
            raise NerdrainError("average must be in [0, 1), and rate above 0.")
        if max(self.rate, self.final_rate) > 1e6 or self.seed >= 2**32:
            raise NerdrainError("rate and final_rate must be 1e6 or less, and seed below 2**32.")
        if not 0 <= self.dry <= 1:
            raise NerdrainError("dry is a share: give a number in [0, 1].")
        choices = {"model": PRESETS, "precision": PRECISIONS, "scale_rate": RATE_SCALINGS}
        for name, known in choices.items():
            if (value := getattr(self, name)) not in known:
                raise NerdrainError(f"{name}: {value}: choose one of {', '.join(known)}.")
        for name in self.weights:
            _known(name, asdict(LossWeights()), "weights: there is no loss term")
        for name in self.changes:
            _known(name, PRESETS[self.model].model_dump(), "No such configuration field:")
        self._check_progressive()

    def _check_progressive(self) -> None:
        kinds = {"share": (int, float), "patch": (int,), "batch": (int,)}
        for part in self.progressive:
            numbers = all(type(v) in kinds.get(k, ()) and v > 0 for k, v in part.items())
            if part.keys() != kinds.keys() or not numbers:
                form = "{share: 0.5, patch: 64, batch: 4}"
                raise NerdrainError(f"progressive: {part}: write each part as {form}.")
        total = sum(part["share"] for part in self.progressive)
        if self.progressive and not math.isclose(total, 1, abs_tol=1e-6):
            raise NerdrainError(f"progressive: the shares sum to {total:g}; make it 1.")
        if self.progressive and self.epochs:
            raise NerdrainError("progressive goes with steps, not with epochs.")

    @property
    def config(self) -> NeRDRainConfig:
        """The network that the recipe trains."""
        return PRESETS[self.model].with_changes(**self.changes)

    def to_yaml(self) -> str:
        """The recipe as a file that `read_recipe` reads back."""
        return yaml.safe_dump(asdict(self), sort_keys=False)


def find_recipe(name: str | Path) -> Path:
    """The file that a path or a shipped name, e.g. "ablations/table-5-none", stands for."""
    for path in (Path(name), shipped_folder("recipes") / f"{name}.yaml"):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in shipped_folder("recipes").glob("*.yaml")))
    raise NerdrainError(f"{name}: no such recipe; give a file, or one of {names}.")


def read_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """A recipe from a YAML file, some of its values replaced.

    Args:
        path: The file, or the name of a shipped one; missing keys keep the defaults of `Recipe`. A
            key ``extends`` names a file beside it whose values it replaces.
        overrides: Values as YAML text; a dot reaches inside, ``{"changes.width": "8"}``.

    Raises:
        NerdrainError: No such file, no recipe, an unknown key (the nearest is named), a bad value.
    """
    path = find_recipe(path)
    try:
        return _recipe(_overridden(_values(path), overrides or {}))
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from None


def _values(path: Path, depth: int = 0) -> dict[str, Any]:
    """What a file and those that it extends say."""
    values = read_mapping(path, f"extends: {path.name}: " * (depth > 0))
    if (base := values.pop("extends", None)) is None:
        return values
    beside = path.parent / str(base)
    if not beside.is_file() or depth > 4:
        raise NerdrainError(f"extends: {base}: there is no such recipe beside it.")
    return _values(beside, depth + 1) | values


def _overridden(values: dict[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """The recipe's values with those of `--set` in their place."""
    for key, text in overrides.items():
        try:
            value = read_yaml(text)
        except ValueError:
            raise NerdrainError(f"--set {key}={text}: the value is not YAML; quote it.") from None
        head, _, inner = key.partition(".")
        if not inner:
            values = {**values, head: value}
            if head in ("steps", "epochs") and value:  # the one replaces the other
                values["epochs" if head == "steps" else "steps"] = 0
        elif isinstance(values.get(head, {}), dict):
            values = {**values, head: {**values.get(head, {}), inner: value}}
        else:
            raise NerdrainError(f"--set {key}: {head} is one value, with nothing inside.")
    return values


def _known(key: object, known: Mapping[str, Any], complaint: str) -> None:
    if key not in known:
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean {near[0]}" if near else f"known are {', '.join(known)}"
        raise NerdrainError(f"{complaint} {key}; {hint}.")


def _recipe(values: Mapping[str, Any]) -> Recipe:
    defaults = {f.name: getattr(Recipe(steps=1), f.name) for f in fields(Recipe)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        _known(key, defaults, "there is no setting")
        checked[key] = _as_type_of(key, value, defaults[key])
    recipe = Recipe(**checked)
    _ = recipe.config  # says now, not after an hour, that a change is not possible
    return recipe


def _number(key: str, value: Any, kind: str, whole: bool = False) -> float:
    """A finite number; YAML reads 1e-4 as text, so it is read again."""
    try:
        number = float(value)
        if isinstance(value, bool) or not math.isfinite(number) or (whole and number % 1):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise NerdrainError(f"{key}: {value!r} should be {kind}.") from None
    return int(number) if whole else number


def _as_type_of(key: str, value: Any, default: Any) -> Any:
    """`value` as the setting's type."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise NerdrainError(f"{key}: {value!r} should be true or false.")
        return value
    if isinstance(default, float):
        return _number(key, value, "a number")
    if isinstance(default, int):
        return _number(key, value, "a whole number", whole=True)
    if isinstance(default, list):
        if isinstance(value, list) and all(isinstance(part, dict) for part in value):
            return value
        raise NerdrainError(f"{key}: {value!r} should be a list of mappings.")
    if isinstance(default, dict) or (key == "style" and isinstance(value, dict)):
        if not isinstance(value, dict):
            raise NerdrainError(f"{key}: {value!r} should be a mapping.")
        numeric = key in ("style", "weights")
        return {k: _number(f"{key}.{k}", v, "a number") if numeric else v for k, v in value.items()}
    if value is None and default is not None:
        raise NerdrainError(f"{key}: it needs a value; leave the line out for {default}.")
    return value if value is None else str(value)
