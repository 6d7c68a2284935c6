"""Whether two predictors predict the same: inputs, noise, tolerance, comparison."""

from deploy_agreement.comparing.comparison import BATCHES, batches_for, compare
from deploy_agreement.comparing.given import Given
from deploy_agreement.probing.inputs import batches_like, enough_rows, golden_inputs, same_inputs
from deploy_agreement.probing.probes import Probe
from deploy_agreement.probing.shapes import Promise, Refused, again, compare_sizes, promise
from deploy_agreement.results.decisions import Decisions
from deploy_agreement.results.degradation import COLLAPSED, DEGRADED, Degradation, OutputDegradation
from deploy_agreement.results.found import Inside, Located, Match, Skew, StepSkew, Worst
from deploy_agreement.results.outputs import Element, OutputAgreement, Points, Problem
from deploy_agreement.results.report import Agreement, Check, ProofError, Report, failed, unproved
from deploy_agreement.tolerances.limits import ANY, Tolerance, tolerance
from deploy_agreement.tolerances.rounding import Noise, noise, require_numbers, times_more
from deploy_agreement.tolerances.terms import DERIVED, Terms
from deploy_agreement.variants.as_published import as_published
from deploy_agreement.variants.quantised import any_numbers, measured, tolerances, unlike, with_degradation

__all__ = [
    "ANY",
    "BATCHES",
    "COLLAPSED",
    "DEGRADED",
    "DERIVED",
    "Agreement",
    "Check",
    "Decisions",
    "Degradation",
    "Element",
    "Given",
    "Inside",
    "Located",
    "Match",
    "Noise",
    "OutputAgreement",
    "OutputDegradation",
    "Points",
    "Probe",
    "Problem",
    "Promise",
    "ProofError",
    "Refused",
    "Report",
    "Skew",
    "StepSkew",
    "Terms",
    "Tolerance",
    "Worst",
    "again",
    "any_numbers",
    "as_published",
    "batches_for",
    "batches_like",
    "compare",
    "compare_sizes",
    "enough_rows",
    "failed",
    "golden_inputs",
    "measured",
    "noise",
    "promise",
    "require_numbers",
    "same_inputs",
    "times_more",
    "tolerance",
    "tolerances",
    "unlike",
    "unproved",
    "with_degradation",
]
