"""Training recipes: one YAML file says everything about a run, and nothing it says is ignored."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from nerdrain.config import PRESETS, NeRDRainConfig
from nerdrain.errors import NerdrainError


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's result, apart from the machine.

    Attributes:
        model: A preset's name.
        changes: Configuration fields to change in it.
        photos: Folder of clean photographs to rain on; None takes the repository's own, by their
            split. Or, for real pairs, see `pairs`.
        pairs: A benchmark's folder, with `layout`; None trains on synthetic rain.
        layout: How `pairs` is laid out, a name of `nerdrain.datasets.LAYOUTS`.
        style: Style of the synthetic rain: "light", "heavy" or "mixed".
        mode: How synthetic rain is put on: "additive", "screen", "veil" or "mixed".
        dry: Share of synthetic training pairs without rain.
        patch: Pixels a side of a training crop (section 4.1: 256).
        batch: Crops a step (section 4.1: 1).
        steps: Optimiser steps.
        warmup: Steps of linear warm-up from 0.
        rate: Highest learning rate of Adam (section 4.1: 1e-4).
        final_rate: Where the cosine ends (section 4.1: 1e-6).
        clip: Largest norm of the gradient; 0 does not clip.
        average: Decay of the weights' exponential moving average, which is what is saved; 0 saves
            the last weights.
        seed: Of weights, crops and rain.
        validate_every: Steps between two looks at the validation photographs.
    """

    model: str = "nerd-rain-tiny"
    changes: dict[str, Any] = field(default_factory=dict)
    photos: str | None = None
    pairs: str | None = None
    layout: str = "nerdrain"
    style: str = "mixed"
    mode: str = "additive"
    dry: float = 0.0
    patch: int = 256
    batch: int = 1
    steps: int = 1000
    warmup: int = 0
    rate: float = 1e-4
    final_rate: float = 1e-6
    clip: float = 0.0
    average: float = 0.0
    seed: int = 0
    validate_every: int = 500

    def __post_init__(self) -> None:
        if self.model not in PRESETS:
            raise NerdrainError(f"model: {self.model}: choose one of {', '.join(PRESETS)}.")
        if min(self.patch, self.batch, self.steps, self.validate_every) < 1:
            raise NerdrainError("patch, batch, steps and validate_every must be 1 or more.")
        if not 0 <= self.average < 1 or self.rate <= 0:
            raise NerdrainError("average must be in [0, 1), and rate above 0.")
        if min(self.clip, self.warmup, self.final_rate, self.seed) < 0:
            raise NerdrainError("clip, warmup, final_rate and seed must be 0 or more.")
        if not 0 <= self.dry <= 1:
            raise NerdrainError("dry is a share: give a number in [0, 1].")

    @property
    def config(self) -> NeRDRainConfig:
        """The network that the recipe trains."""
        return PRESETS[self.model].with_changes(**self.changes)

    def to_yaml(self) -> str:
        """The recipe as a file that `read_recipe` reads back."""
        return yaml.safe_dump(asdict(self), sort_keys=False)


def read_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """A recipe from a YAML file, some of its values replaced.

    Args:
        path: The file; missing keys keep the defaults of `Recipe`.
        overrides: Values as text, read as YAML, e.g. ``{"rate": "2e-4"}``. A dot reaches inside:
            ``"changes.fidelity"``.

    Raises:
        NerdrainError: No such file, not a recipe, or a key that is not there (the nearest one is
            named) or a value that cannot be.
    """
    path = Path(path)
    if not path.is_file():
        raise NerdrainError(f"{path}: no such recipe; `recipes/` holds some to start from.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        values = None
    if not isinstance(values, dict) or not values:
        raise NerdrainError(f"{path}: not a recipe; write `key: value` lines, as in `recipes/`.")
    try:
        return _recipe(_overridden(values, overrides or {}))
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from None


def _overridden(values: dict[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """The recipe's values with those of `--set` in their place."""
    for key, text in overrides.items():
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise NerdrainError(f"--set {key}={text}: the value is not YAML; quote it.") from None
        head, _, inner = key.partition(".")
        if not inner:
            values = {**values, head: value}
        elif isinstance(values.get(head, {}), dict):
            values = {**values, head: {**values.get(head, {}), inner: value}}
        else:
            raise NerdrainError(f"--set {key}: {head} is one value, with nothing inside.")
    return values


def _recipe(values: Mapping[str, Any]) -> Recipe:
    defaults = {f.name: getattr(Recipe(), f.name) for f in fields(Recipe)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in defaults:
            near = difflib.get_close_matches(str(key), defaults, n=1)
            hint = f"did you mean {near[0]}" if near else f"known are {', '.join(defaults)}"
            raise NerdrainError(f"there is no setting {key}; {hint}.")
        checked[key] = _as_type_of(key, value, defaults[key])
    recipe = Recipe(**checked)
    _ = recipe.config  # says now, not after an hour, that a change is not possible
    return recipe


def _as_type_of(key: str, value: Any, default: Any) -> Any:
    """`value` as the setting's type; YAML reads 1e-4 as text, so numbers are read again."""
    try:
        if isinstance(default, float):
            if isinstance(value, bool) or not math.isfinite(float(value)):
                raise ValueError
            return float(value)
        if isinstance(default, int):
            if isinstance(value, bool) or int(value) != float(value):
                raise ValueError
            return int(value)
        if isinstance(default, dict):
            return dict(value)
    except (TypeError, ValueError, OverflowError):
        kind = {float: "a number", int: "a whole number", dict: "a mapping"}[type(default)]
        raise NerdrainError(f"{key}: {value!r} should be {kind}.") from None
    return value if value is None else str(value)
