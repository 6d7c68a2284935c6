"""What models, versions and aliases may be called."""

from __future__ import annotations

import re

from deploy_core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,127}")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def check_name(name: str) -> str:
    """Give the name of a model back. Raises UsageError unless it is safe as a folder and in a URL."""
    if not is_name(name):
        raise UsageError(
            f"{name!r} is no name for a model",
            hint="use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128, no '..'",
        )
    return name


def is_name(text: str) -> bool:
    """Tell whether the text is a name for a model."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def check_alias(alias: str) -> str:
    """Give the alias back. Raises UsageError unless it begins with a letter: an alias is never taken for a version."""
    if not _ALIAS.fullmatch(alias) or ".." in alias:
        raise UsageError(
            f"{alias!r} is no alias",
            hint="begin with a letter, then letters, digits, '.', '_' and '-', at most 128, no '..', e.g. stable",
        )
    return alias


def is_number(text: str) -> bool:
    """Tell whether the text is a version: a positive integer as it is written, without sign, space or leading zero."""
    return _NUMBER.fullmatch(text) is not None


def split_reference(text: str) -> tuple[str, str | None]:
    """Split `NAME`, `NAME@3` or `NAME@ALIAS`. Raises UsageError."""
    name, at, version = text.partition("@")
    check_name(name)
    if at and not is_number(version):
        check_alias(version)
    return name, version if at else None
