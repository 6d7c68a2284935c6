"""Pages that need nothing else: no script, no request to anywhere."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup

BASE = "base.html.j2"  # what all pages share: colours, both dark and light, tables, alerts


def rendered(package: str, template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """Fill in a template of a package, which extends the page that all share. Every value is escaped but for Markup."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    texts = {BASE: (files(__package__) / BASE).read_text(), template: (files(package) / template).read_text()}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)


def markup(text: str) -> Markup:
    """Give what is markup already, and made of nothing that anybody else wrote."""
    from markupsafe import Markup

    return Markup(text)


def data(kind: str, content: str | bytes) -> str:
    """Give content as a URL that holds it."""
    plain = content.encode("utf-8", "replace") if isinstance(content, str) else content
    charset = ";charset=utf-8" if isinstance(content, str) else ""
    return f"data:{kind}{charset};base64,{base64.b64encode(plain).decode()}"
