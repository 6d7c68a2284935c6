"""The input on which two predictors differ most, looked for."""

from deploy_agreement.worst.search import Progress, search
from deploy_agreement.worst.terms import Terms

__all__ = ["Progress", "Terms", "search"]
