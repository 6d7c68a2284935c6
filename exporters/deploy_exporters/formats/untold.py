"""What a file of another tool may not say of itself."""

from __future__ import annotations

from deploy_core.errors import UsageError


class UntoldError(UsageError):
    """The file does not tell the names, or the dtypes and shapes, of its tensors: whoever knows them may say so."""
