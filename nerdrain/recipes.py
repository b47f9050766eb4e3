"""Training recipes: one YAML file says everything about a run, and nothing it says is ignored."""

from __future__ import annotations

import difflib
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
        if not 0 <= self.average < 1 or self.rate <= 0 or self.clip < 0:
            raise NerdrainError("average must be in [0, 1), rate above 0, and clip 0 or more.")
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
        NerdrainError: No such file, not YAML, or a key that is not there (the nearest one is named)
            or a value that cannot be.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise NerdrainError(f"{path}: the recipe cannot be read ({error}).") from error
    except yaml.YAMLError as error:
        problem = str(error).split("\n")[0]
        raise NerdrainError(f"{path}: not YAML of `key: value` lines ({problem}).") from error
    if not isinstance(values, dict):
        raise NerdrainError(f"{path}: a recipe is a YAML file of `key: value` lines.")
    for key, text in (overrides or {}).items():
        head, _, inner = key.partition(".")
        if inner:
            values[head] = {**(values.get(head) or {}), inner: yaml.safe_load(text)}
        else:
            values[head] = yaml.safe_load(text)
    try:
        return _recipe(values)
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from error


def _recipe(values: Mapping[str, Any]) -> Recipe:
    defaults = {f.name: getattr(Recipe(), f.name) for f in fields(Recipe)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in defaults:
            near = difflib.get_close_matches(str(key), defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(defaults)}."
            raise NerdrainError(f"there is no setting {key}; {hint}")
        checked[key] = _as_type_of(key, value, defaults[key])
    recipe = Recipe(**checked)
    _ = recipe.config  # says now, not after an hour, that a change is not possible
    return recipe


def _as_type_of(key: str, value: Any, default: Any) -> Any:
    """`value` as the setting's type; YAML reads 1e-4 as text, so numbers are read again."""
    try:
        if isinstance(default, float) and not isinstance(value, bool):
            return float(value)
        if isinstance(default, int):
            if isinstance(value, bool) or int(value) != float(value):
                raise ValueError
            return int(value)
        if isinstance(default, dict):
            return dict(value)
    except (TypeError, ValueError) as error:
        kind = {float: "a number", int: "a whole number", dict: "a mapping"}[type(default)]
        raise NerdrainError(f"{key}: {value!r} should be {kind}.") from error
    return value if value is None else str(value)
