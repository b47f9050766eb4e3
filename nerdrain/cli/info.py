"""`nerdrain info`: a network's size and cost, and the list of the networks that have a name."""

from typing import Annotated

import typer

from nerdrain.cli.console import print_table


def info(
    model: Annotated[
        str | None, typer.Argument(help="A name or a file; without it, all names are listed.")
    ] = None,
    size: Annotated[int, typer.Option(min=1, max=2**16, help="Side of the image.")] = 256,
) -> None:
    """List the models, or print a network's parameters and multiply-adds beside the paper's.

    The released code evaluates its INR four times and multiplies by zeros. The row "as released"
    counts these operations, as the paper's Table 2 does. The row "needed" leaves them out, because
    the result is the same without them.

    Examples:
    - `nerdrain info`
    - `nerdrain info nerd-rain-s --size 256`
    """
    from nerdrain.checkpoints.weights import load_model
    from nerdrain.evaluation.complexity import PAPER_TABLE_2, complexity
    from nerdrain.model.config import PRESETS

    if model is None:
        list_models(size)
        return
    config = PRESETS[model] if model in PRESETS else load_model(model).config
    cost = complexity(config, size)
    row = next((PAPER_TABLE_2[n] for n in PAPER_TABLE_2 if PRESETS[n] == config), None)
    paper = (f"{row[0]:.2f} M", f"{row[1]:.1f} G at 256x256") if row else ("not listed", "")
    typer.echo(
        f"{model}: width {config.width}, blocks {config.blocks}, UNets {config.unets}, "
        f"fidelity {config.fidelity}"
    )
    at = f"multiply-adds at {size}x{size}"
    rows = [
        ("parameters", f"{cost.parameters:,}", paper[0]),
        (f"{at}, as released", f"{cost.released_macs / 1e9:.4g} G", paper[1]),
        (f"{at}, needed", f"{cost.macs / 1e9:.4g} G", ""),
    ]
    if config.fidelity == "paper":
        del rows[1]  # such a network was never released
    print_table(("", "this network", "paper, Table 2"), rows, numbers=1)


def list_models(size: int) -> None:
    """Print every name that a command accepts for a model, its cost, and whether it has weights."""
    from nerdrain.checkpoints.weights import load_model, shipped_models
    from nerdrain.evaluation.complexity import complexity
    from nerdrain.model.config import PRESETS

    shipped, rows = shipped_models(), []
    for name in sorted({*PRESETS, *shipped}):
        cost = complexity(PRESETS[name] if name in PRESETS else load_model(name).config, size)
        weights = "shipped" if name in shipped else "not shipped"
        rows.append((name, weights, f"{cost.parameters:,}", f"{cost.macs / 1e9:.4g} G"))
    header = ("model", "weights", "parameters", f"multiply-adds at {size}x{size}")
    print_table(header, rows, numbers=2)
    typer.echo("\nFor a model without weights, give `nerdrain derain --model` the authors' file.")
