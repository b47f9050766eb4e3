"""`nerdrain export`: a network as an ONNX file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nerdrain.cli.console import Overwrite, check_free, protect_inputs
from nerdrain.errors import NerdrainError


def export(
    model: Annotated[str, typer.Argument(help="A shipped model, or a model's file.")],
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The .onnx file to write; default: beside the model."),
    ] = None,
    outputs: Annotated[
        Literal["full", "all"],
        typer.Option(help="Only the derained image, or also the images of the coarse scales."),
    ] = "full",
    feedback: Annotated[
        bool, typer.Option("--feedback/--no-feedback", help="With or without the feedback units.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Export a network to an ONNX file, for the browser and for fast deraining on a CPU.

    The file takes an image of any size, (1, 3, height, width) in [0, 1]. Its weights are float16,
    and it computes in float32. It is compared with PyTorch before it is written. `nerdrain derain`
    uses a file that lies beside its model. Needs `pip install nerdrain[fast]`.

    Examples:
    - `nerdrain export nerd-rain-tiny -o model.onnx`
    - `nerdrain export trained.safetensors`
    """
    from nerdrain.checkpoints.weights import find_weights, load_model
    from nerdrain.files import write_atomically
    from nerdrain.inference.engine import exported_path
    from nerdrain.inference.export import to_onnx, without_feedback

    if out is None and (outputs != "full" or not feedback):
        raise NerdrainError("give -o a file; beside the model lies only the unchanged network.")
    source = find_weights(model)
    target = out or exported_path(source)
    if target.suffix != ".onnx":
        raise NerdrainError(f"{target}: give the output a name that ends in .onnx.")
    protect_inputs([source], [target])
    check_free(target, overwrite)
    network = load_model(source)
    if not feedback:
        network = without_feedback(network)
    content = to_onnx(network, every_output=outputs == "all")
    write_atomically(target, content, overwrite=overwrite)
    typer.echo(f"{target}: {len(content) / 1e6:.1f} MB, computes the same as {model}.")
