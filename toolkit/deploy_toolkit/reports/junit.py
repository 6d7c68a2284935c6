"""JUnit's test cases, as CI systems read them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

Element = ElementTree.Element
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold
_KINDS = ("failure", "error", "skipped")


def suites(name: str) -> Element:
    """Give the root of a document."""
    return Element("testsuites", name=fit(name))


def suite(root: Element, name: str) -> Element:
    """Add a suite to it."""
    return ElementTree.SubElement(root, "testsuite", name=fit(name))


def case(classname: str, name: str, told: str, *, seconds: float = 0.0) -> Element:
    """Give a case that passed; `told` is shown with it."""
    found = Element("testcase", classname=fit(classname), name=fit(name), time=f"{seconds:.6g}")
    ElementTree.SubElement(found, "system-out").text = fit(told)
    return found


def add(found: Element, kind: str, message: str) -> None:
    """Make it one that did not pass: a `failure`, an `error`, or `skipped`."""
    found.insert(0, Element(kind, message=fit(message)))


def written(root: Element) -> bytes:
    """Count what is in every suite, in the attributes that readers look at, and give the document."""
    for name in ("tests", "failures", "errors", "skipped"):
        root.attrib.pop(name, None)
    for one in root.findall("testsuite"):
        for total in (one, root):
            _count(total, one)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def fit(text: str) -> str:
    """Take out what XML cannot hold."""
    return _UNFIT.sub("\ufffd", text)


def _count(total: Element, one: Element) -> None:
    for kind in ("testcase", *_KINDS):
        name = {"testcase": "tests", "failure": "failures", "error": "errors"}.get(kind, kind)
        before = int(total.get(name, "0")) if total is not one else 0
        total.set(name, str(before + len(one.findall(f".//{kind}"))))
