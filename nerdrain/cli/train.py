"""`nerdrain train`: train a network from a recipe, or plan the training run."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nerdrain.cli.console import Device, print_table
from nerdrain.errors import NerdrainError


def print_schema(wanted: bool) -> None:
    """Print the JSON Schema of a recipe and stop."""
    if wanted:
        from nerdrain.training.recipes import Recipe

        typer.echo(json.dumps(Recipe.model_json_schema(), indent=2))
        raise typer.Exit


SchemaFlag = typer.Option(
    "--schema", callback=print_schema, is_eager=True, help="Print a recipe's JSON Schema and stop."
)


def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A YAML file, or a name such as rain200l.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting; can be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; by default runs/RECIPE.")
    ] = None,
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run, if any.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only estimate time and memory.")] = False,
    schema: Annotated[bool, SchemaFlag] = False,
) -> None:
    """Train a network from a recipe.

    Ctrl-C and SIGTERM save before they stop. The same command with `--resume` then continues as if
    the run had not stopped. For several GPUs use `accelerate launch -m nerdrain train RECIPE` or
    torchrun; the GPUs share each batch.

    Examples:
    - `nerdrain train recipes/nerd-rain-tiny-1.yaml --set max_steps=2000 -o runs/short`
    - `nerdrain train rain200l --set pairs=/data/Rain200L --plan`
    - `nerdrain train --schema > recipe.schema.json`
    """
    settings = {}
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not (key and equals):
            raise NerdrainError(
                f"--set {override} has no key or no value; write KEY=VALUE, e.g. max_steps=2000."
            )
        settings[key] = value
    if plan:
        print_plan(recipe, settings, device)
        return
    from nerdrain.training.loop import train as train_network

    folder = train_network(recipe, settings, out, device, resume=resume)
    if os.environ.get("RANK", "0") == "0":  # only one of several processes prints
        typer.echo(f"The run is in {folder}.")


def print_plan(recipe_file: Path, settings: Mapping[str, str], device: str | None) -> None:
    """Measure a few training steps, and print the time and memory that the whole run needs."""
    from nerdrain.devices import describe_device
    from nerdrain.training.planning import plan_run
    from nerdrain.training.recipes import read_recipe

    recipe = read_recipe(recipe_file, settings)
    with Console(stderr=True).status("measuring a few steps"):
        plan = plan_run(recipe, device)
    typer.echo(f"{recipe_file}: {recipe.model}, {plan.parameters:,} parameters")
    typer.echo(f"on {describe_device(plan.device)}\n")
    header = ("patch size", "batch size", "steps", "crops", "seconds a step", "time")
    crops = [stage.steps * stage.batch_size for stage in plan.stages]
    rows = []
    for stage, count in zip(plan.stages, crops, strict=True):
        sizes = (f"{stage.patch_size}", f"{stage.batch_size}", f"{stage.steps:,}", f"{count:,}")
        rows.append((*sizes, f"{stage.seconds:.3g}", format_duration(stage.hours)))
    print_table(header, rows, numbers=0)
    epochs = sum(crops) / plan.items
    typer.echo(
        f"\n{plan.items:,} images an epoch, {epochs:,.1f} epochs; about "
        f"{format_duration(plan.hours)} without validation; peak memory {plan.memory:,.0f} MiB"
    )


def format_duration(hours: float) -> str:
    """A time in minutes, hours or days, whichever is easiest to read."""
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
