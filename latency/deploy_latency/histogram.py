"""HDR histograms of latencies, which many tools read and which can be merged; 1 µs to 1 h, to three digits.

Values are nanoseconds, right to half a microsecond or 0.1 %. A request without a good answer stands at one hour, the highest value there is.
"""

from __future__ import annotations

import zlib
from binascii import Error as Base64Error
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_core.errors import UsageError
from deploy_core.table import require
from deploy_latency.percentiles import felt
from deploy_latency.samples import Samples

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

_LOWEST, _HIGHEST, _DIGITS = 1_000, 3_600_000_000_000, 3
_KEPT_BITS = 11  # 2048 sub-buckets hold three digits


def of_samples(samples: Samples) -> HdrHistogram:
    """Count what senders felt."""
    nanoseconds = np.rint(np.clip(felt(samples) * 1e9, 0, _HIGHEST)).astype(np.int64)
    histogram = _empty()
    # Values of one bucket are counted at once: recording a million of them singly takes seconds.
    _, bits = np.frexp(nanoseconds.astype(np.float64))
    shift = np.maximum(bits - _KEPT_BITS, histogram.unit_magnitude)
    for value, count in zip(*np.unique(nanoseconds >> shift << shift, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    return histogram


def encode(histogram: HdrHistogram) -> str:
    """Write the compressed V2 form in base64."""
    return str(histogram.encode().decode("ascii"))


def decode(text: str) -> HdrHistogram:
    """Read what `encode` or another tool wrote. Raises UsageError for anything else."""
    require("reading HDR histograms", ("hdrh",), "bench")
    from hdrh.codec import HdrCookieException, HdrLengthException
    from hdrh.histogram import HdrHistogram

    try:
        return HdrHistogram.decode(text)
    except (
        HdrCookieException,
        HdrLengthException,
        Base64Error,
        zlib.error,
        ValueError,
        TypeError,
        IndexError,
    ) as error:
        raise UsageError(
            f"{text[:20]!r} is no HDR histogram: {error or type(error).__name__}",
            hint="take the text as a report of deploy bench has it",
        ) from error


def merge(texts: Iterable[str]) -> str:
    """Add histograms up, all in their encoded form."""
    total = _empty()
    for text in texts:
        total.add(decode(text))
    return encode(total)


def percentile(histogram: HdrHistogram, q: float) -> float:
    """Give seconds, to three digits; infinite where the percentile lies among requests without a good answer."""
    nanoseconds = histogram.get_value_at_percentile(q)
    return float("inf") if nanoseconds >= _HIGHEST else float(nanoseconds) / 1e9


def counts(histogram: HdrHistogram) -> list[tuple[float, int]]:
    """Give every value that was counted, in seconds to three digits and infinite without a good answer, and how often it was."""
    recorded = (
        (item.value_iterated_to, item.count_added_in_this_iter_step) for item in histogram.get_recorded_iterator()
    )
    return [(float("inf") if value >= _HIGHEST else value / 1e9, int(count)) for value, count in recorded]


def _empty() -> Any:
    require("HDR histograms", ("hdrh",), "bench")
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(_LOWEST, _HIGHEST, _DIGITS)
