"""The input on which two predictors differ most, looked for."""

from deploy_agreement.worst.bounds import Bounds
from deploy_agreement.worst.search import Progress, search

__all__ = ["Bounds", "Progress", "search"]
