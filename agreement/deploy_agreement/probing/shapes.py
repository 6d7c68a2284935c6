"""Other sizes than the example's: which of them the source model takes, and whether a file answers them as it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from deploy_agreement.comparing.comparison import compare
from deploy_agreement.probing.probes import Probe
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import Agreement
from deploy_agreement.rows import batch_symbol
from deploy_agreement.tolerances.rounding import Noise, times_more
from deploy_agreement.tolerances.terms import DERIVED, Terms
from deploy_core.errors import DeployError, UsageError
from deploy_core.predictor import Predictor
from deploy_core.ranges import Ranges, range_of, require_known
from deploy_core.signature import Signature, Tensors

SIZES = (1, 2, 3, 13)
ROWS = 3
_ENOUGH = 2
_MULTIPLES = (2, 3, 4)
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Refused:
    """A size that the source model itself does not take, so that nobody promises it."""

    symbol: str
    size: int
    why: str

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {"symbol": self.symbol, "size": self.size, "why": self.why}


@dataclass(frozen=True)
class Promise:
    """The sizes that a model's files must take, and those that the model itself refuses.

    `golden` are the sizes of the golden inputs, `ranges` what the user asked for.
    """

    sized: tuple[Probe, ...] = ()
    refused: tuple[Refused, ...] = ()
    ranges: Ranges = field(default_factory=dict)
    golden: Sizes = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give what is needed to ask for the same sizes again, beside the golden inputs."""
        return {
            "golden": dict(self.golden),
            "sizes": [
                {"sizes": dict(one.sizes), "noise": one.noise.greatest(), "times": dict(one.times)}
                for one in self.sized
            ],
            "refused": [one.to_json() for one in self.refused],
            "ranges": {symbol: list(ends) for symbol, ends in self.ranges.items()},
        }


def promise(source: Predictor, golden: Tensors, measured: Noise, *, ranges: Ranges | None = None) -> Promise:
    """Ask the source model at sizes 1, 2, 3, 13 and the greatest of every symbol but the batch, and at all together.

    The inputs are rows of the golden ones, repeated or cut. `ranges` gives the least and the greatest size of a symbol;
    without it they are 1, and twice the example's but at least 64. Where the source takes hardly any of these, as a
    model that halves its image four times does, multiples of the example's size take their place.
    Raises UsageError for an unknown symbol, and for a range whose ends the source does not take.
    """
    asking = _Asking(source, golden, measured, dict(ranges or {}))
    for symbol in asking.symbols:
        asking.vary(symbol)
    asking.vary_all()
    asking.fill_batch()
    return Promise(tuple(asking.sized), tuple(asking.refused), asking.ranges, asking.own)


def again(reference: Predictor, golden: Tensors, measured: Noise, promised: Mapping[str, Any]) -> Iterator[Probe]:
    """Ask the reference for the sizes that `Promise.to_json` tells."""
    for one in promised.get("sizes", ()):
        inputs = sized_inputs(reference.signature, golden, one["sizes"])
        sizes = one["sizes"]
        yield Probe(told(sizes), inputs, reference.predict(inputs), _noise_at(one, measured), sizes)


def _noise_at(one: Mapping[str, Any], measured: Noise) -> Noise:
    """Give the noise as it was measured at a size; of what a former release promised, as one number for an output."""
    if "times" in one:
        return measured.times(one["times"], one["noise"])
    greatest = {name: max(value, one["noise"].get(name, 0.0)) for name, value in measured.greatest().items()}
    return Noise(greatest, measured.origin)


def sized_inputs(signature: Signature, golden: Tensors, sizes: Sizes) -> Tensors:
    """Give a few golden rows in these sizes."""
    batch = batch_symbol(signature.inputs)
    return signature.sized(golden, ({batch: ROWS} if batch else {}) | dict(sizes))


def compare_sizes(
    row: Agreement,
    predictor: Predictor,
    sized: Iterable[Probe],
    terms: Terms = DERIVED,
) -> Agreement:
    """Ask a predictor that answered the golden inputs at other sizes, too; give its row with what is wrong there."""
    if row.error:
        return row
    found: list[Problem] = []
    kept: list[Sizes] = []
    for one in sized:
        problems = list(_problems(predictor, one, terms))
        found += problems
        kept += [] if problems else [one.sizes]
    return replace(row, problems=(*row.problems, *_first_of_each(found)), sizes=tuple(kept))


def told(sizes: Sizes) -> str:
    """Give sizes for a message: `height = 13, width = 13`."""
    return ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())


def _problems(predictor: Predictor, one: Probe, terms: Terms) -> Iterator[Problem]:
    row = compare(one.name, one.outputs, predictor, one.inputs, noise=one.noise, terms=terms, batches=())
    if row.error:
        yield Problem("frozen-dimension", f"frozen dimension: it does not answer {one.name}: {row.error}")
    for name, output in ((output.name, output) for output in row.outputs if not output.ok and output.compared):
        yield Problem("size", f"at {one.name}, {output.beyond}", name)
    for problem in row.problems:
        if problem.kind in ("shape", "frozen-batch"):
            yield Problem("frozen-dimension", f"frozen dimension: at {one.name}, {problem.message}", problem.output)
        elif problem.kind not in ("empty", "batch-size"):
            yield Problem(problem.kind, f"at {one.name}, {problem.message}", problem.output)


def _first_of_each(problems: Sequence[Problem]) -> list[Problem]:
    """The first of each kind and output: what is frozen is so at every size."""
    found: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.kind, problem.output), problem)
    return list(found.values())


@dataclass
class _Asking:
    """What the source model has said so far."""

    source: Predictor
    golden: Tensors
    measured: Noise
    ranges: Ranges
    sized: list[Probe] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    taken: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        signature = self.source.signature
        self.own = signature.sizes(self.golden)
        self.symbols = tuple(s for s in signature.symbols if s != batch_symbol(signature.inputs))
        require_known(self.ranges, signature.symbols)

    def vary(self, symbol: str) -> None:
        """Ask for every size of one symbol; for multiples of its own, if hardly any is taken."""
        least, greatest = range_of(symbol, self.own[symbol], self.ranges)
        wanted = dict.fromkeys((least, *SIZES, greatest))
        sizes = [size for size in wanted if least <= size <= greatest and size != self.own[symbol]]
        taken = self.taken[symbol] = [size for size in sizes if self._takes(symbol, size)]
        for size in (factor * self.own[symbol] for factor in _MULTIPLES):
            fits = size not in sizes and (symbol not in self.ranges or size <= greatest)
            if len(taken) < _ENOUGH and fits and self._takes(symbol, size):
                taken.append(size)

    def vary_all(self) -> None:
        """Ask for another size of all symbols together: of each another one, else the same of all."""
        sizes = {symbol: taken[:-1] or taken for symbol, taken in self.taken.items() if taken}
        if len(sizes) < _ENOUGH:
            return
        apart = {symbol: few[-1 - number % len(few)] for number, (symbol, few) in enumerate(sizes.items())}
        for together in (apart, {symbol: few[-1] for symbol, few in sizes.items()}):
            answered = self._ask(together)
            if isinstance(answered, Probe):
                self.sized.append(answered)
                return

    def fill_batch(self) -> None:
        """Ask for the greatest batch, if that is more than there are golden rows."""
        batch = batch_symbol(self.source.signature.inputs) or ""
        if batch in self.ranges and self.ranges[batch][1] > self.own[batch]:
            self._takes(batch, self.ranges[batch][1])

    def _takes(self, symbol: str, size: int) -> bool:
        answered = self._ask({symbol: size})
        if isinstance(answered, Probe):
            self.sized.append(answered)
            return True
        if size in self.ranges.get(symbol, ()):
            raise UsageError(
                f"the range of {symbol} ends at {size}, which the source model itself does not take: {answered}",
                hint="give the least and the greatest size that it takes",
            )
        self.refused.append(Refused(symbol, size, answered))
        return False

    def _ask(self, sizes: Sizes) -> Probe | str:
        """Give the answers, or why there are none that a file could be held to."""
        inputs = sized_inputs(self.source.signature, self.golden, sizes)
        try:
            outputs = self.source.predict(inputs)
            times, own = times_more(self.measured, self.source, inputs)
        except DeployError as error:
            return str(error).partition("\n")[0].removeprefix("predict failed: ")[:200]
        return Probe(told(sizes), inputs, outputs, self.measured.times(times, own), sizes, times)
