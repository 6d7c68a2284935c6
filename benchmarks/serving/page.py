"""The page: a table for each model and way of asking, a plot, and how it was measured."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.serving.measuring import OPEN, OURS
from benchmarks.serving.peers import WAYS, Peer
from benchmarks.serving.records import Records
from benchmarks.serving.tools import TOOLS

COMMAND = "python -m benchmarks.serving --environments /tmp/serving --write docs/serving.md"
_LIMITED = "ᵍ"
_TITLES = {
    "simplenet": "SimpleNet: Linear(6, 3) – ReLU – Linear(3, 1)",
    "cnn": "A residual network, 3×64×64, 0.6 M weights",
}
_BINARY = (
    "Tensors as raw bytes behind a short JSON head: the binary extension of the Open Inference Protocol, which is the "
    "embedded server's own fast form over HTTP. Triton is the only other one here that has it, so this table is apart."
)


def page(records: Records, peers: Sequence[Peer]) -> str:
    """Give the whole page."""
    settings, machine = records.lines[0], records.of(kind="machine")[0]
    lines = [
        "# Servers beside each other",
        "",
        "How fast the embedded server is beside others, behind the same models under the same load. Written by",
        f"`{COMMAND}`",
        "(all that it needs comes from the package registry; wrk and h2load are Debian's `wrk` and `nghttp2-client`) on",
        f"{machine['date']}, {machine['cores']} cores of {machine['processor'] or 'an unnamed processor'}, "
        f"{machine['memory'] / 2**30:.0f} GiB, {machine['system']}, load average before: {machine['load_average']}.",
        "",
        "![requests a second and CPU a request](serving.svg)",
        "",
    ]
    for model in settings["models"]:
        lines += [f"## {_TITLES.get(model, model)}", ""]
        for way in WAYS:
            lines += _section(records, [peer for peer in peers if way in peer.ways], model, way, settings)
        lines += _starts(records, peers, model)
    return "\n".join([*lines, *_method(settings, peers, machine), ""])


def bad(records: Records) -> list[str]:
    """Say who gave wrong answers, failed, or never started."""
    wrong = [
        f"{one['peer']} {one['model']} {one['way']} by {one['tool']}: {one.get('why') or 'requests failed'}"
        for one in records.of(kind="run")
        if one["failed"] or one.get("wrong")
    ]
    unstarted = [f"{one['peer']}: {one['error']}" for one in records.of(kind="start") if one.get("error")]
    return list(dict.fromkeys(unstarted + wrong))


def _section(records: Records, peers: Sequence[Peer], model: str, way: str, settings: dict[str, Any]) -> list[str]:
    if not peers:
        return []
    sizes = settings["concurrencies"]
    tool = TOOLS["grpc" if way == "gRPC" else "rest"]
    speed = records.of(kind="speed", model=model)
    open_title = f"open loop, {speed[0]['rate']:g}/s: p50, p99 ms" if speed else "open loop"
    head = ["server"]
    head += [f"{size} at a time: req/s" for size in sizes] + [f"{sizes[-1]}: p50, p99 ms", open_title]
    head += ["CPU µs/request"] + [f"{tool}, {size}: req/s" for size in sizes] + ["checked, wrong, failed"]
    rows = [_row(records, peer, model, way, sizes, tool) for peer in peers]
    note = [_BINARY, ""] if way.startswith("REST, binary") else []
    return [f"### {way}", "", *note, *_table(head, rows), ""]


def _row(records: Records, peer: Peer, model: str, way: str, sizes: Sequence[int], tool: str) -> list[str]:
    def runs(by: str, size: int) -> list[dict[str, Any]]:
        return records.of(kind="run", model=model, peer=peer.name, way=way, tool=by, concurrency=size)

    largest, paced = runs(OURS, sizes[-1]), runs(OURS, OPEN)
    mine = records.of(kind="run", model=model, peer=peer.name, way=way)
    middle = sizes[len(sizes) // 2]
    checked = sum(one.get("checked", 0) for one in mine)
    wrong, failed = (sum(one.get(name) or 0 for one in mine) for name in ("wrong", "failed"))
    return [
        peer.name,
        *(_of(runs(OURS, size), "rate", 1.0, ",.0f") for size in sizes),
        f"{_of(largest, 'p50', 1e3, '.3g')}, {_of(largest, 'p99', 1e3, '.3g')}",
        f"{_of(paced, 'p50', 1e3, '.3g')}, {_of(paced, 'p99', 1e3, '.3g')}",
        _of([{**one, "limited": ""} for one in runs(OURS, middle) + runs(tool, middle)], "server_cpu", 1e6, ",.0f"),
        *(_of(runs(tool, size), "rate", 1.0, ",.0f") for size in sizes),
        f"{checked:,}, {wrong}, {failed}",
    ]


def _of(runs: Iterable[dict[str, Any]], name: str, scale: float, form: str) -> str:
    """Give the median, and the range; a mark if the generator limited any of them."""
    found = list(runs)
    values = [one[name] * scale for one in found if one.get(name) is not None]
    if not values:
        return "–"
    mark = _LIMITED if any(one.get("limited") for one in found) else ""
    middle, low, high = (format(value, form) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle}{mark}" if low == high else f"{middle}{mark} ({low} – {high})"


def _starts(records: Records, peers: Sequence[Peer], model: str) -> list[str]:
    rows = []
    for peer in peers:
        starts = records.of(kind="start", model=model, peer=peer.name)
        memory = [one["memory"] / 2**20 for one in records.of(kind="run", model=model, peer=peer.name)]
        errors = [one["error"] for one in starts if one.get("error")]
        told = errors[0].replace("|", "\\|") if errors else _of(starts, "seconds", 1.0, ".1f")
        rows.append([peer.name, told, f"{max(memory):,.0f}" if memory else "–"])
    head = ["server", "start to the first right answer, s", "most memory, MiB"]
    return ["### Starting, and memory", "", *_table(head, rows), ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _method(settings: dict[str, Any], peers: Sequence[Peer], machine: dict[str, Any]) -> list[str]:
    absent = [name for name, there in machine["tools"].items() if not there]
    missing = [f"- {' and '.join(absent)} was not installed: its columns are empty."] if absent else []
    return [
        "## How it was measured",
        "",
        f"- Each figure is the median of {settings['rounds']} rounds of {settings['seconds']} s, with the least and the most in "
        "brackets. All servers run all the time; in each round every server has a turn in every way, under every load and by "
        "every tool, in an order that is drawn anew. Nobody is measured an hour after somebody else.",
        f"- **Generator and server share the {machine['cores']} cores.** The more a server answers, the more the generator takes "
        "from it: figures of fast servers are lower bounds, and ratios between a fast and a slow one are too small.",
        f"- {_LIMITED} marks figures that the generator limited in at least one round: it used more than 85 % of a core, or "
        "requests left late. They say what the generator can do, not the server.",
        "- Requests carry one row. Closed loop: so many at any time, each on a connection of its own. Open loop: arrivals of "
        "independent users at half of what the slowest answered at 8; latency counts from the intended sending.",
        "- A sample of the answers to our generator is compared with the stored golden outputs, by the tolerance stored with "
        "them. wrk looks only at the HTTP status, and h2load does not look at the status of gRPC at all.",
        "- CPU is that of all processes of the server, in user and system mode, by our generator and the other tool at "
        f"{settings['concurrencies'][len(settings['concurrencies']) // 2]} at a time. Memory is what those processes have "
        "for themselves, mapped files apart.",
        "- TorchServe and Triton run from the toolkit's own environment, the others each in one of its own. The first right "
        "answer is judged by golden outputs at all endpoints of those that `deploy serve` starts, by one REST answer of the rest.",
        "- gRPC tensors are raw bytes. One prediction uses one thread; otherwise the servers are as they come:",
        *(f"  - {peer.name}: {peer.told}." for peer in peers),
        *missing,
    ]


def plot(records: Records, peers: Sequence[Peer]) -> bytes:
    """Draw requests a second and CPU a request of every server, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "serving"
    from matplotlib import pyplot

    models = records.lines[0]["models"]
    figure, axes = pyplot.subplots(len(models), 2, figsize=(10, 3.2 * len(models)), squeeze=False)
    for row, model in zip(axes, models, strict=True):
        _bars(row[0], records, peers, model, "rate", f"{model}: requests a second", 1.0)
        _bars(row[1], records, peers, model, "server_cpu", f"{model}: CPU µs a request", 1e6)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=len(WAYS), fontsize=8)
    figure.tight_layout(rect=(0, 0.08 / len(models), 1, 1))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return drawn.getvalue()


def _bars(axis: Any, records: Records, peers: Sequence[Peer], model: str, name: str, title: str, scale: float) -> None:
    """Draw medians of our generator's runs at the middle concurrency, from the power of ten below the least of them."""
    everything: list[float] = []
    sizes = records.lines[0]["concurrencies"]
    size = sizes[len(sizes) // 2]
    for offset, way in enumerate(WAYS):
        at, heights = [], []
        for place, peer in enumerate(peers):
            runs = records.of(kind="run", model=model, peer=peer.name, way=way, tool=OURS, concurrency=size)
            if values := [one[name] * scale for one in runs if one.get(name)]:
                at.append(place + 0.27 * (offset - 1))
                heights.append(statistics.median(values))
        everything += heights
        axis.bar(at, heights, 0.25, label=way)
    axis.set_yscale("log")
    if everything:
        axis.set_ylim(bottom=10 ** math.floor(math.log10(min(everything) * 0.9)))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_minor_formatter("")
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    axis.set_title(f"{title}, {size} at a time", fontsize=9)
    axis.set_xticks(range(len(peers)), [peer.name for peer in peers], fontsize=8)
