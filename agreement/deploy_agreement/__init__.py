"""Whether two predictors predict the same: inputs, noise, tolerance, comparison."""

from deploy_agreement.comparison import BATCHES, compare
from deploy_agreement.inputs import enough_rows, golden_inputs, same_inputs
from deploy_agreement.limits import Tolerance, tolerance
from deploy_agreement.report import Agreement, OutputAgreement, Problem, Report, failed
from deploy_agreement.rounding import Noise, noise, require_numbers

__all__ = [
    "BATCHES",
    "Agreement",
    "Noise",
    "OutputAgreement",
    "Problem",
    "Report",
    "Tolerance",
    "compare",
    "enough_rows",
    "failed",
    "golden_inputs",
    "noise",
    "require_numbers",
    "same_inputs",
    "tolerance",
]
