"""`deploy check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy_toolkit.commands import tensor_files, writing
from deploy_toolkit.commands.reaching import line, reaching
from deploy_toolkit.output import Output, common
from deploy_toolkit.reports.check.legend import lines

if TYPE_CHECKING:
    from deploy_toolkit.flows.access import Access

_PATH = click.Path(path_type=Path)


class _Check(click.Command):
    """One that needs a subject, wherever it is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; what is missing is said of the argument."""
        rest = super().parse_args(ctx, args)
        if not (ctx.params["subjects"] or ctx.params["endpoints"] or ctx.resilient_parsing):
            raise click.MissingParameter(ctx=ctx, param=next(one for one in self.params if one.name == "subjects"))
        return rest


@click.command("check", cls=_Check, epilog=f"\b\nWhat each check asks:\n{lines()}")
@click.argument("subjects", nargs=-1, metavar="NAME[@…][/ARTIFACT]|FILE|ENDPOINT...")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL", help="A live endpoint to check, too.")
@click.option("--server", "servers", multiple=True, metavar="S", help="Start this server and check its endpoints, too.")
@click.option("--against", metavar="NAME[@…]|SOURCE", help="Whose answers are wanted; default: the first NAME.")
@click.option("--inputs", type=_PATH, metavar="FILE.npz|FOLDER", help="Inputs of yours, beside the golden ones.")
@click.option("--atol", type=click.FloatRange(min=0), help="Absolute tolerance instead of the derived one.")
@click.option("--rtol", type=click.FloatRange(min=0), help="Relative tolerance instead of the derived one.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all random inputs.")
@click.option(
    "--search",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Look for the worst input, so long for each subject.",
)
@click.option("--localise", is_flag=True, help="Of two that disagree: find the first layer that does.")
@click.option("--raw", type=_PATH, multiple=True, metavar="FILE", help="Raw bytes for the model's preprocessing.")
@click.option("--preprocess", default="", metavar="FILE.py:FUNCTION", help="What training used to prepare raw bytes.")
@click.option(
    "--found",
    type=_PATH,
    default="deploy-check",
    show_default=True,
    metavar="DIR",
    help="Where worst inputs and single operators are saved.",
)
@click.option("--html", type=_PATH, metavar="FILE", help="A page of its own with plots.")
@click.option("--junit", type=_PATH, metavar="FILE", help="Every subject and check as a test case.")
@click.option("--tensorboard", type=_PATH, metavar="DIR", help="Figures as event files.")
@click.option("--trust", is_flag=True, help="Open files that may run code of their own.")
@reaching
@common
def command(output: Output, subjects: tuple[str, ...], access: Access, **given: Any) -> int:
    """Prove that artifacts and endpoints predict what was trained; exit code 4 if one does not.

    The golden outputs of the first NAME are wanted of everything else that is named; without a NAME, the answers of
    the first FILE or ENDPOINT. Where there is both a stored NAME and a file, ./NAME is the file.

    NAME/ARTIFACT is one artifact, e.g. net/onnx-dynamic-int8: servers are started with it, and endpoints are held to what
    was measured of it if it is named first. Where --set artifact=… started the server of an endpoint, that is known.

    Beside golden inputs all are asked random ones in the range of these, and those at the edges of each dtype, which the
    reference of the NAME answers, too; the same again and in another order; endpoints also by many at once, over fresh
    connections, and one transport or dialect against the other.

    \b
    Example:
      deploy check simplenet
      deploy check simplenet --server embedded --inputs mine --html check.html
      deploy check simplenet model.onnx --endpoint tfserving+rest://127.0.0.1:8501/simplenet
      deploy check model.onnx model.tflite --inputs x.npz
      deploy check simplenet/tflite-int8 oip+grpc://127.0.0.1:8500/simplenet
      deploy check simplecnn --raw cat.jpg --preprocess train.py:prepare --server embedded
      deploy check simplenet --endpoint oip+grpcs://models.example:443/simplenet --ca ca.pem --token-file token
    """
    from deploy_toolkit.flows import check as flow
    from deploy_toolkit.reports.check import terminal, words
    from deploy_toolkit.reports.writing import require_folder

    command_line = line(sys.argv[1:])
    request = flow.Request(
        subjects=(*subjects, *given["endpoints"]),
        servers=given["servers"],
        against=given["against"],
        inputs=tensor_files.read_all(given["inputs"]) if given["inputs"] else {},
        atol=given["atol"],
        rtol=given["rtol"],
        trust=given["trust"],
        access=access,
        search=given["search"],
        localise=given["localise"],
        raw=given["raw"],
        seed=given["seed"],
        found=given["found"],
        preprocess=given["preprocess"],
    )
    writers = writing.writers(
        "deploy_toolkit.reports.check", ("html", "junit", "tensorboard"), given, command=command_line
    )
    if given["search"] or given["localise"]:
        require_folder(given["found"])
    with output.progress() as on_event:
        report = flow.check(request, store=output.store, on_event=on_event)
    for write in writers:
        write(report)
    output.show(report.to_json(), terminal.agreement(report))
    # Said and not shown: a command that is broken into lines is none any more.
    for step in words.next_steps(report, command_line):
        output.say(f"next: {step}")
    return report.exit_code
