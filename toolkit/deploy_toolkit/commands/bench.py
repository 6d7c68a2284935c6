"""`deploy bench`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy_core.errors import UsageError
from deploy_toolkit.commands import options, tensor_files, writing
from deploy_toolkit.commands.reaching import line, reaching
from deploy_toolkit.output import Output, common

if TYPE_CHECKING:
    from deploy_latency.load import Load
    from deploy_latency.schedules import Schedule
    from deploy_toolkit.flows.access import Access


_SECONDS = 10.0


@click.command("bench")
@click.argument("subjects", nargs=-1, required=True, metavar="NAME[@…]|ENDPOINT...")
@click.option("--server", "servers", metavar="S,…", help="Serve each NAME by each of these (default: embedded).")
@click.option("--runtime", "runtimes", metavar="FORMAT,…", help="Run these files of each NAME without a server, too.")
@click.option("--transport", "transports", metavar="T,…", default="rest", show_default=True, help="rest, grpc or both.")
@click.option("--dialect", "dialects", metavar="D,…", help="tfserving, oip, torchserve (default: the server's first).")
@click.option("--binary", is_flag=True, help="Tensors as raw bytes where the dialect has the choice.")
@click.option("--batch", "batches", metavar="N,…", default="1", show_default=True, help="Rows in each request.")
@click.option("--threads", metavar="N,…", default="1", show_default=True, help="Threads of each runtime.")
@click.option("--set", "settings", multiple=True, metavar="OPTION=V", help="An option of the server.")
@click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE.npz", help="Ask for these, not golden inputs.")
@click.option("--rate", type=float, metavar="R", help="Open loop: R requests a second, whatever the server does.")
@click.option(
    "--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", show_default=True, help="Of --rate."
)
@click.option("--ramp", metavar="A..B", help="Open loop: from A to B requests a second.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="FILE", help="Open loop: the arrivals of a trace.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Of --replay: 2 is twice as fast.")
@click.option("--loop", is_flag=True, help="Of --replay: begin it again at its end.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="C", help="Closed loop: C requests at any time.")
@click.option("--duration", metavar="S", help="How long each is measured (default: 10s, or as long as the trace).")
@click.option("--warmup", default="1s", show_default=True, metavar="S", help="Of each round, not measured.")
@click.option(
    "--connections", type=click.IntRange(min=0), default=0, help="At most, of all workers (default: as it takes)."
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that send (default: as it takes).")
@click.option(
    "--rounds", type=click.IntRange(min=0), default=0, help="Interleaved turns of each (default: as it takes)."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of arrivals and of the order of rounds.")
@click.option("--find-max", is_flag=True, help="Find the highest rate that holds --slo.")
@click.option("--max-rate", type=float, default=100_000.0, show_default=True, help="Where --find-max ends.")
@click.option("--slo", default="", metavar="LIMITS", help="What has to hold, e.g. 'p99<20ms,errors<0.1%'; else exit 5.")
@click.option("--baseline", type=click.Path(path_type=Path), metavar="FILE", help="--json of an earlier run.")
@click.option("--gate", default="", metavar="LIMITS", help="Against --baseline, e.g. 'p99<=1.05x'; else exit 5.")
@click.option("--claim", default="", metavar="FIGURES", help="Figures that must be sure, e.g. p99.9; else exit 7.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="A page of its own with plots.")
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="One line for each subject.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Limits as test cases.")
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Figures as event files.")
@reaching
@common
def command(output: Output, subjects: tuple[str, ...], access: Access, **given: Any) -> int:
    """Measure latency and throughput of served models: honest percentiles, checked answers.

    Latency counts from the time at which a request should have been sent. Each answer's status is checked, and a sample
    of the values against the golden outputs.

    \b
    Example:
      deploy bench simplenet --server embedded,torchserve --rate 200 --duration 20s --html bench.html
      deploy bench simplenet --find-max --slo 'p99<20ms,errors<0.1%'
      deploy bench tfserving+rest://127.0.0.1:8501/simplenet --concurrency 8
      deploy bench simplenet --runtime onnx,torchscript --batch 1,8,32
    """
    from deploy_toolkit.flows.bench import flow, judging
    from deploy_toolkit.flows.bench.request import Request
    from deploy_toolkit.reports.bench import document, live, terminal

    request = Request(
        subjects=subjects,
        load=_load(given, access.timeout),
        servers=options.names(given["servers"]),
        runtimes=options.names(given["runtimes"]),
        transports=options.names(given["transports"]),
        dialects=options.names(given["dialects"]),
        binary=given["binary"],
        batches=options.numbers("--batch", given["batches"]),
        threads=options.numbers("--threads", given["threads"]),
        options=options.settings(given["settings"]),
        inputs=tensor_files.read(given["inputs"]) if given["inputs"] else None,
        access=access,
        rounds=given["rounds"],
        find_max=given["find_max"],
        max_rate=given["max_rate"],
        slo=given["slo"],
        gate=given["gate"],
        claim=given["claim"],
        baseline=given["baseline"],
        command=line(sys.argv[1:]),
    )
    writers = writing.writers("deploy_toolkit.reports.bench", ("html", "csv", "junit", "tensorboard"), given)
    with live.live(output) as on_progress:
        report = flow.bench(request, store=output.store, on_event=output.say, on_progress=on_progress)
    for write in writers:
        write(report)
    output.show(document.to_json(report), terminal.bench(report))
    return judging.exit_code(report)


def _load(given: Mapping[str, Any], timeout: float) -> Load:
    from deploy_latency.load import Load

    schedule = _schedule(given)
    return Load(
        schedule=schedule,
        concurrency=0 if schedule else given["concurrency"],
        seconds=_seconds(given["duration"], schedule),
        warmup=options.duration("--warmup", given["warmup"]),
        timeout=timeout,
        connections=given["connections"],
        workers=given["workers"],
        seed=given["seed"],
    )


def _seconds(given: str | None, schedule: Schedule | None) -> float:
    from deploy_latency.schedules import Replay

    if given is not None:
        return options.duration("--duration", given)
    return schedule.seconds if isinstance(schedule, Replay) else _SECONDS


def _schedule(given: Mapping[str, Any]) -> Schedule | None:
    """Give the arrivals of an open loop, None for a closed one. Raises UsageError for two loads at once."""
    from deploy_latency import schedules, traces
    from deploy_toolkit.flows.bench.request import RATE

    named = [name for name in ("rate", "ramp", "replay", "concurrency") if given[name] is not None]
    if len(named) > 1:
        raise UsageError(f"--{named[0]} and --{named[1]} are two loads", hint="give one of them")
    if named and given["find_max"]:
        raise UsageError(f"--{named[0]} is one load, and --find-max tries many", hint="leave it away; see --max-rate")
    if given["concurrency"]:
        return None
    if given["ramp"]:
        return schedules.Ramp(*_rates(given["ramp"]))
    if given["replay"]:
        return traces.replay(given["replay"], speed=given["speed"], looped=given["loop"])
    kind = schedules.Constant if given["arrivals"] == "constant" else schedules.Poisson
    return kind(RATE if given["rate"] is None else given["rate"])


def _rates(text: str) -> tuple[float, float]:
    begin, dots, end = text.partition("..")
    try:
        return float(begin), float(end if dots else "")
    except ValueError:
        raise UsageError(f"--ramp {text!r} are no two rates", hint="write --ramp 10..500") from None
