"""Training recipes: one YAML file holds every setting of a training run."""

from __future__ import annotations

import io
import json
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from nerdrain.errors import NerdrainError, Settings, shorten, suggest
from nerdrain.files import shipped_folder
from nerdrain.model.config import PRESETS, NeRDRainConfig
from nerdrain.training.losses import LossWeights

EXTENDS = "extends"
"""Key of a file that names the recipe whose values it replaces."""
LARGEST_FILE = 20_000
"""Bytes; a larger file is not a recipe."""
DEEPEST = 20
"""Levels of nesting; a recipe needs three."""

Model = Literal["nerd-rain", "nerd-rain-s", "nerd-rain-tiny"]
Layout = Literal["nerdrain", "rain200", "rain100", "did", "ddn", "spa"]
Tracker = Literal["aim", "clearml", "comet_ml", "dvclive", "mlflow", "tensorboard", "wandb"]

Fraction = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1e6)]
Size = Annotated[int, Field(ge=1, le=2**16)]
Steps = Annotated[int, Field(ge=0, le=10**9 - 1)]  # nine digits, as in the names of checkpoints
Interval = Annotated[int, Field(ge=1, le=10**9)]


class RainStyles(Settings):
    """Shares of the styles of synthetic rain; they need not sum to 1."""

    light: Share = 0.0
    """Share of light rain, like Rain200L."""
    heavy: Share = 0.0
    """Share of heavy rain, like Rain200H."""
    mixed: Share = 0.0
    """Share of mixed rain, from light to heavy."""
    extreme: Share = 0.0
    """Share of rain that is heavier and wider than heavy rain."""
    wild: Share = 0.0
    """Share of soft, wide and dense rain, modelled on photographs of real rain."""
    opaque: Share = 0.0
    """Share of short grey drops that hide what is behind them."""


class Stage(Settings):
    """A part of a progressive run, with its own crops and batches."""

    fraction: Annotated[float, Field(gt=0, le=1)]
    """Fraction of the run's steps; the fractions of all stages sum to 1."""
    patch_size: Size
    """Side of a crop, in pixels."""
    batch_size: Size
    """Crops per step, over all processes together."""


def _describe_extends(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema of a recipe the key that only its file has."""
    description = "A recipe beside this file (.yaml); the keys of this file replace its keys."
    schema["properties"][EXTENDS] = {"type": "string", "description": description}


def _describe_overrides(schema: dict[str, Any]) -> None:
    """Give the JSON Schema of `overrides` the fields of a configuration; presets set defaults."""
    fields = NeRDRainConfig.model_json_schema()["properties"]
    schema["properties"] = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in fields.items()
    }
    schema["additionalProperties"] = False


class Recipe(Settings):
    """Everything that determines the result of a training run, apart from the machine.

    Raises:
        NerdrainError: A key is unknown, a value has the wrong type or range, or two values
            contradict each other.
    """

    model_config = ConfigDict(json_schema_extra=_describe_extends)

    model: Model = "nerd-rain-tiny"
    """Preset of the network."""
    overrides: Annotated[
        dict[str, Any],
        Field(json_schema_extra=_describe_overrides),
    ] = Field(default={})
    """Fields of the network's configuration that replace those of the preset."""
    init_from: str | None = None
    """Shipped model or weights file to start from, of a network with at most as many blocks; null
    starts from random weights."""
    photos: str | None = None
    """Folder of clean photographs for synthetic rain; null uses the photographs of the repository
    and their split."""
    pairs: str | None = None
    """Folder of a benchmark, read as `layout` says; null trains on synthetic rain."""
    layout: Layout = "nerdrain"
    """Layout of the folder `pairs`."""
    holdout_every: Annotated[int, Field(ge=2, le=10**9)] = 8
    """Every n-th photograph or background of `photos` or `pairs` is held out for validation."""
    rain_style: Annotated[
        RainStyles,
        BeforeValidator(
            lambda style: {style: 1.0} if isinstance(style, str) else style,
            json_schema_input_type=Literal["light", "heavy", "mixed", "extreme", "wild", "opaque"]
            | RainStyles,
        ),
    ] = RainStyles(mixed=1.0)
    """Style of synthetic rain: one name, or the share of each style."""
    rain_mode: Literal["additive", "screen", "veil", "opaque", "mixed"] = "additive"
    """How synthetic rain is composed with a photograph; the style opaque sets its own mode."""
    clean_fraction: Fraction = 0.0
    """Fraction of synthetic training pairs without rain."""
    variety: Fraction = 0.0
    """Fraction of synthetic training pairs whose photograph, rain and camera vary: zoom, gamma,
    blur and colour of the rain, haze, sensor noise, JPEG."""
    patch_size: Size = 256
    """Side of a training crop, in pixels (section 4.1: 256)."""
    batch_size: Size = 1
    """Crops per step, over all processes together (section 4.1: 1)."""
    progressive: Annotated[tuple[Stage, ...], Field(strict=False)] = ()
    """Stages of the run in order; empty uses `patch_size` and `batch_size` throughout."""
    epochs: Annotated[int, Field(ge=0, le=10**6)] = 0
    """Passes over the data (section 4.1: 10, 200 or 600), if `max_steps` is 0. The learning rate
    then changes per epoch, as in the released code."""
    max_steps: Steps = 0
    """Optimizer steps, if `epochs` is 0. The learning rate then changes per step."""
    warmup: Steps = 0
    """Epochs or steps of linear warm-up from 0 (released code: 3 epochs)."""
    lr: Annotated[float, Field(gt=0, le=1e6)] = 1e-4
    """Highest learning rate of Adam (section 4.1: 1e-4, and 2e-4 on Rain200H)."""
    min_lr: Annotated[float, Field(ge=0, le=1e6)] = 1e-6
    """Learning rate at the end of the cosine (section 4.1: 1e-6)."""
    lr_schedule: Literal["cosine", "released"] = "cosine"
    """Learning rate after the warm-up: a cosine that ends at `min_lr`, or the rates that the
    released code sets (`nerdrain.training.loop.learning_rate`)."""
    lr_scaling: Literal["none", "sqrt", "linear"] = "none"
    """Multiplies `lr` and `min_lr` by the square root of the batch size, by it, or by 1."""
    loss_weights: LossWeights = LossWeights()
    """Weights of the loss terms (equation 6)."""
    grad_clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 does not clip."""
    max_loss_ratio: Annotated[float, Field(ge=0)] = 0.0
    """A step whose loss exceeds this many times the median of the last losses is skipped; 0 skips
    no step for its size."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the moving average of the weights, which is validated and saved; 0 averages
    nothing."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Number format of the forward pass; bf16 and fp16 use autocast."""
    compile: bool = False
    """Whether `torch.compile` compiles the blocks."""
    grad_checkpointing: Literal["none", "feed_forward", "blocks"] = "none"
    """Parts that the backward pass computes again, to save memory. The feed-forward layers save
    about half of it, whole blocks save more and take more time."""
    num_workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Processes that load data; 0 loads in the training process."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of weights, order, crops and rain."""
    val_every: Interval = 500
    """Steps between two validations."""
    log_every: Interval = 50
    """Steps between two lines of the log."""
    log_with: Annotated[tuple[Tracker, ...], Field(strict=False)] = ()
    """Experiment trackers that receive the log too, by their names in Accelerate; each needs its
    package installed."""
    save_every_minutes: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    """Minutes between two checkpoints from which a killed run can resume."""
    keep_checkpoints: Interval = 2
    """Number of checkpoints that are kept."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.epochs > 0) == (self.max_steps > 0):
            raise NerdrainError("give either epochs or max_steps, and leave the other at 0.")
        if self.min_lr > self.lr:
            raise NerdrainError(f"min_lr={self.min_lr} is above lr={self.lr}; make it smaller.")
        if self.pairs is not None and self.photos is not None:
            raise NerdrainError("photos and pairs are both given: set the one to train on.")
        total = sum(stage.fraction for stage in self.progressive)
        if self.progressive and not math.isclose(total, 1, abs_tol=1e-6):
            raise NerdrainError(f"progressive: the fractions sum to {total:g}; make it 1.")
        if self.progressive and self.epochs:
            raise NerdrainError("progressive needs max_steps; it does not work with epochs.")
        try:
            _ = self.config
        except NerdrainError as error:
            raise NerdrainError(f"overrides: {error}") from None
        return self

    @property
    def config(self) -> NeRDRainConfig:
        """The configuration of the network that the recipe trains."""
        return PRESETS[self.model].with_changes(**self.overrides)

    def with_changes(self, **changes: Any) -> Recipe:
        """A copy with some settings changed, checked like a new recipe."""
        return Recipe(**(self.model_dump() | changes))

    def to_yaml(self) -> str:
        """The recipe as the text of a file that `read_recipe` reads."""
        yaml, text = YAML(typ="safe", pure=True), io.StringIO()
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.dump(self.model_dump(mode="json"), text)
        return text.getvalue()


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe, given by its path or its shipped name, e.g. "ablations/table-5-none".

    Raises:
        NerdrainError: There is no such recipe.
    """
    for path in (Path(name), shipped_folder("recipes") / f"{name}.yaml"):
        if path.is_file():
            return path
    names = sorted(path.stem for path in shipped_folder("recipes").glob("*.yaml"))
    hint = suggest(str(name), names) or f"give a file, or one of {', '.join(names)}"
    raise NerdrainError(f"{name}: no such recipe; {hint}.")


def read_recipe(path: str | Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe from a YAML file, and replace some of its values.

    Args:
        path: The file, or the name of a shipped recipe; missing keys keep the defaults of `Recipe`.
            The key ``extends`` names another recipe, relative to the file, whose values the file
            replaces.
        overrides: Values as YAML text; a dot sets one inside another,
            ``{"overrides.width": "8"}``.

    Raises:
        NerdrainError: There is no such file, or it is not a recipe; the sentence names the file.
    """
    path = find_recipe(path)
    try:
        return Recipe(**_override(_read_values(path), overrides or {}))
    except NerdrainError as error:
        raise NerdrainError(f"{path}: {error}") from None


def _read_yaml(content: bytes) -> Any:
    """The plain values of a YAML text in UTF-8: mappings, lists, text, numbers, booleans and null.

    Raises:
        ValueError: It is not YAML, or it has what no recipe needs. The message says where and why,
            and quotes nothing of the text.
    """
    yaml, depth = YAML(typ="safe", pure=True), 0
    try:
        text = content.decode()
        for event in yaml.parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent) or depth > DEEPEST:
                raise MarkedYAMLError(problem_mark=event.start_mark)
        return json.loads(json.dumps(yaml.load(text)))
    except Exception as error:  # damaged text makes the reader fail in many ways
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f"line {mark.line + 1}" if mark else "not YAML"
        twice = ": a key appears twice" if isinstance(error, DuplicateKeyError) else ""
        raise ValueError(where + twice) from None


def _read_values(path: Path, depth: int = 0) -> dict[str, Any]:
    """The values of a file and of the recipes that it extends."""
    values: Any = None
    why = ""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # a system's file may have no end, and size 0
        if len(content) <= LARGEST_FILE:
            values = _read_yaml(content)
    except (OSError, ValueError) as error:
        why = f" ({getattr(error, 'strerror', error)})"
    known = {*Recipe.model_fields, EXTENDS}
    if (
        not isinstance(values, dict)
        or not values
        or (depth and values.keys() - known)  # nothing of another program's file is printed
    ):
        which = f"extends: {path.name}: " if depth else ""
        raise NerdrainError(
            f"{which}not a recipe{why}; write `key: value` lines, as in `recipes/`."
        )
    if (base := values.pop(EXTENDS, None)) is None:
        return values
    beside = path.parent / str(base)
    if len(str(base)) > 200 or not beside.is_file() or depth > 4:
        raise NerdrainError(f"extends: {reprlib.repr(base)}: there is no such recipe beside it.")
    return _read_values(beside, depth + 1) | values


def _override(values: dict[str, Any], overrides: Mapping[str, str]) -> dict[str, Any]:
    """The values of a recipe, some of them replaced by those of `--set`."""
    for key, text in overrides.items():
        try:
            value = _read_yaml(text.encode())
        except ValueError:
            written = shorten(f"{key}={text}")
            raise NerdrainError(f"--set {written}: the value is not YAML; quote it.") from None
        head, _, inner = key.partition(".")
        if not inner:
            values = {**values, head: value}
            if head in ("max_steps", "epochs") and value:  # one replaces the other
                values["epochs" if head == "max_steps" else "max_steps"] = 0
        elif isinstance(values.get(head, {}), dict):
            values = {**values, head: {**values.get(head, {}), inner: value}}
        else:
            raise NerdrainError(f"--set {shorten(key)}: {head} is one value, with nothing inside.")
    return values
