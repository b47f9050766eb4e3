"""What the training commands do, once `nerdrain.cli.training_cli` has read their options."""

from collections.abc import Mapping
from pathlib import Path

import typer
from rich.console import Console

from nerdrain.cli.commands import print_table
from nerdrain.devices import describe_device
from nerdrain.training.ablation import plan_ablation, run_ablation, table_rows
from nerdrain.training.planning import plan_run
from nerdrain.training.recipes import read_recipe


def duration(hours: float) -> str:
    """A time that a person can grasp."""
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"


def print_plan(recipe_file: Path, settings: Mapping[str, str], device: str | None) -> None:
    """Print what a run would take on this device."""
    recipe = read_recipe(recipe_file, settings)
    with Console(stderr=True).status("measuring a few steps"):
        plan = plan_run(recipe, device)
    typer.echo(f"{recipe_file}: {recipe.model}, {plan.parameters:,} parameters")
    typer.echo(f"on {describe_device(plan.device)}\n")
    header = ("patch", "batch", "steps", "crops", "seconds a step", "time")
    rows = [
        (
            f"{part.patch}",
            f"{part.batch}",
            f"{part.steps:,}",
            f"{part.steps * part.batch:,}",
            f"{part.seconds:.3g}",
            duration(part.hours),
        )
        for part in plan.parts
    ]
    print_table(header, rows, numbers=0)
    epochs = sum(part.steps * part.batch for part in plan.parts) / plan.items
    typer.echo(
        f"\n{plan.items:,} images an epoch, {epochs:,.1f} epochs; about {duration(plan.hours)} "
        f"without validation; peak memory {plan.memory:,.0f} MiB"
    )


def print_ablation(
    table: int, recipe: Path, seeds: int, out: Path, jobs: int, device: str | None
) -> None:
    """Run an ablation and print its table as Markdown."""
    runs = plan_ablation(table, recipe, seeds)
    typer.echo(f"{len(runs)} runs of {runs[0].recipe.steps} steps, into {out}", err=True)
    results = []
    for result in run_ablation(runs, out, jobs, device):
        results.append(result)
        typer.echo(
            f"{len(results)} of {len(runs)}: {result.row}, {result.fidelity}, seed {result.seed}: "
            f"{result.psnr:.2f} dB in {result.minutes:.1f} minutes",
            err=True,
        )
    heading, *lines = table_rows(results, table)
    for cells in (heading, ["---"] * len(heading), *lines):
        typer.echo(f"| {' | '.join(cells)} |")
    typer.echo(
        f"\nPSNR (MATLAB's Y, dB), mean ± standard deviation over {seeds} seed(s); in brackets the "
        "difference from the whole method, seed by seed, with its 95 % interval. Small networks, "
        "short runs and synthetic rain: not the paper's figures, and no test of them."
    )
