"""`deploy export`."""

from __future__ import annotations

from pathlib import Path

import click

from deploy_toolkit.commands import options, tensor_files
from deploy_toolkit.output import Output, common


@click.command("export")
@click.argument("source")
@click.option(
    "--to",
    "formats",
    required=True,
    metavar="FORMAT[,…]",
    help="torchscript, mar, onnx, savedmodel, tflite, pt2, openvino, executorch, coreml.",
)
@click.option("--name", help="The name in the store; default: the name of the file.")
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME:DTYPE[DIM,…]", help="An input, e.g. x:float32[batch,6]."
)
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="The name of an output, in the model's order.")
@click.option("--example", type=click.Path(path_type=Path), metavar="FILE.npz", help="Example inputs by name.")
@click.option("--set", "sets", multiple=True, metavar="FORMAT.OPTION=V", help="An option of a format.")
@click.option("--handler", metavar="FILE.py", help="A TorchServe handler of your own: --set mar.handler=….")
@click.option("--extra-files", metavar="FILE[,…]", help="Files to lie beside it in the .mar.")
@click.option("--requirements", metavar="FILE.txt", help="Packages that TorchServe is to install for it.")
@click.option("--quantize", metavar="MODE[,…]", help="Write variants too: float16, dynamic-int8, int8.")
@click.option(
    "--calibration", type=click.Path(path_type=Path), metavar="FILE.npz", help="Rows of real inputs for int8."
)
@click.option("--max-degradation", metavar="P%", help="Refuse a variant that is further off, e.g. 1%.")
@click.option(
    "--range", "ranges", multiple=True, metavar="SYMBOL=LEAST..GREATEST", help="Sizes of a dynamic dimension."
)
@click.option("--static", is_flag=True, help="Fix every dimension to the example's.")
@click.option("--signature", default="", metavar="NAME", help="The signature of a SavedModel; else serving_default.")
@click.option("--trust", is_flag=True, help="Open files that may run code of their own.")
@click.option(
    "--preprocess",
    "preprocess",
    multiple=True,
    metavar="FILE.toml|FILE.py:ATTR",
    help="How raw bytes become the input: declared steps; the function that training used.",
)
@click.option("--labels", default="", metavar="[OUTPUT=]FILE", help="One label a line, for the last axis of an output.")
@click.option(
    "--raw",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Raw bytes to keep with what training makes of them.",
)
@click.option(
    "--step-seconds", type=click.FloatRange(min=1), default=600, metavar="S", help="CPU seconds that a step may use."
)
@click.option(
    "--step-memory", type=click.FloatRange(min=0.1), metavar="GB", help="Memory that a step may use; else 80% of all."
)
@common
def command(
    output: Output,
    source: str,
    formats: str,
    name: str | None,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    example: Path | None,
    sets: tuple[str, ...],
    handler: str | None,
    extra_files: str | None,
    requirements: str | None,
    quantize: str | None,
    calibration: Path | None,
    max_degradation: str | None,
    ranges: tuple[str, ...],
    static: bool,
    signature: str,
    trust: bool,
    preprocess: tuple[str, ...],
    labels: str,
    raw: tuple[Path, ...],
    step_seconds: float,
    step_memory: float | None,
) -> int:
    """Write a trained model in other formats, prove each file, and store them as one version.

    SOURCE is a file (.pt2, TorchScript .pt, .keras, .onnx, .tflite, .mar) or the folder of a SavedModel; or
    `module:attribute` / `file.py:attribute`: a model, or a function that returns one, optionally with example inputs; or
    NAME[@VERSION] in the store, whose next version gets the formats, too. Where there is both, ./NAME is the file.

    \b
    Example:
      deploy export examples/simplenet.py:torch_net --to onnx,savedmodel,tflite --name simplenet
    """
    from deploy_core.signature import TensorSpec
    from deploy_toolkit.flows import export as flow
    from deploy_toolkit.flows.raw import Given
    from deploy_toolkit.reports import terminal

    request = flow.Request(
        source=source,
        formats=options.names(formats),
        name=name,
        example=tensor_files.read(example) if example else None,
        inputs=tuple(TensorSpec.parse(text) for text in inputs),
        outputs=outputs,
        options=options.format_settings((*sets, *options.archive_settings(handler, extra_files, requirements))),
        quantize=options.names(quantize),
        calibration=tensor_files.read(calibration) if calibration else None,
        max_degradation=options.share(max_degradation) if max_degradation else None,
        ranges=options.ranges(ranges),
        static=static,
        trust=trust,
        signature=signature,
        step_seconds=step_seconds,
        step_memory=step_memory,
        raw=Given(preprocess, labels, raw),
    )
    with output.progress() as on_event:
        exported = flow.export(request, store=output.store, on_event=on_event)
    for notice in exported.notices:
        output.say(notice)
    output.show(exported.to_json(), terminal.exported(exported))
    return 0  # what disagrees was not stored; a row that nothing here can ask says so
