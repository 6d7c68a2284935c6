"""The `deploy` command: finds the command's module, prints errors for people, gives the exit code."""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module
from importlib.metadata import version
from types import FrameType
from typing import Any

import click

from deploy_core.errors import DeployError, further
from deploy_toolkit.output import tell

COMMANDS = (
    "export",
    "serve",
    "predict",
    "check",
    "bench",
    "package",
    "gate",
    "image",
    "migrate",
    "ps",
    "logs",
    "stop",
    "store",
    "formats",
    "servers",
    "doctor",
    "demo",
)


class Commands(click.Group):
    """Loads a command's module when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of the road: export, serve, ask, check."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of that command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"deploy_toolkit.commands.{cmd_name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("deploy-toolkit"), prog_name="deploy")
def deploy() -> None:
    """Whatever you deploy predicts what you trained, and here is the proof.

    \b
    Example:
      deploy export examples/simplenet.py:torch_net --to onnx,tflite --name simplenet
      deploy serve simplenet --http-port 8501 --grpc-port 8500
      deploy check simplenet
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; ends the process with DESIGN's exit codes."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    arguments = sys.argv[1:] if args is None else args
    sys.exit(_exit_code(arguments, debug="--debug" in arguments))


def _interrupt(number: int, frame: FrameType | None) -> None:
    # SIGTERM and a closed terminal unwind like Ctrl-C, so that children and half-written files go.
    raise KeyboardInterrupt


def _exit_code(arguments: list[str], *, debug: bool) -> int:
    try:
        return int(deploy.main(arguments, prog_name="deploy", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return 130
    except DeployError as error:
        _say_error(error, debug=debug)
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        _say(f"error: unexpected {type(error).__name__}: {error}")
        _say(" hint: run it again with --debug to see where, and tell us")
        return 1


def _say_error(error: DeployError, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    _say(f"error: {error}")
    for note in further(error):
        _say(note)
    if error.hint:
        _say(f" hint: {error.hint}")


def _say(text: Any) -> None:
    tell(str(text))


if __name__ == "__main__":
    main()
