"""Small stanzas as bytes, and errors read back: what several rooms of this package need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from event_pusher.intake import Refusal
from event_pusher.xmpp import names

if TYPE_CHECKING:
    from lxml import etree

_ERRORS: Final = f"{{{names.STANZA_ERRORS}}}"
_ESCAPES: Final = {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("'"): "&apos;",
    ord('"'): "&quot;",
    ord("\t"): "&#9;",
    ord("\n"): "&#10;",
    ord("\r"): "&#13;",
    # XML 1.0 has no place for these, escaped or not; U+FFFD is what shows that something was there.
    **dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd"),
}


def escape(text: str) -> str:
    """Make `text` fit for an attribute value or a text node."""
    return text if text.isalnum() else text.translate(_ESCAPES)


def attributes(**values: str | int | None) -> str:
    """Write attributes, each with a blank before it; None is left out, ``from_`` means ``from``."""
    return "".join(f" {key.rstrip('_')}='{escape(str(value))}'" for key, value in values.items() if value is not None)


def iq_result(iq: etree._Element, payload: str = "") -> bytes:
    """Answer `iq` with a result; `payload` is ready XML."""
    return f"<iq type='result'{_mirrored(iq)}>{payload}</iq>".encode()


def iq_error(iq: etree._Element, refusal: Refusal) -> bytes:
    """Answer `iq` with an error (RFC 6120 8.3)."""
    return f"<iq type='error'{_mirrored(iq)}>{error_xml(refusal)}</iq>".encode()


def error_xml(refusal: Refusal) -> str:
    """Write the ``<error/>`` itself."""
    return (
        f"<error{attributes(type=refusal.error_type)}><{refusal.condition} xmlns='{names.STANZA_ERRORS}'/>"
        f"<text xmlns='{names.STANZA_ERRORS}' xml:lang='en'>{escape(refusal.text)}</text></error>"
    )


def read_error(iq: etree._Element) -> tuple[str, str, str, str]:
    """Give (condition, type, text, by) of an error stanza; ``undefined-condition`` and "" where it does not say."""
    error = next((child for child in iq if str(child.tag).endswith("}error")), None)
    if error is None:
        return "undefined-condition", "", "", ""
    condition, text = "undefined-condition", ""
    for child in error:
        tag = str(child.tag)
        if tag == f"{_ERRORS}text":
            text = (child.text or "")[:500]
        elif tag.startswith(_ERRORS):
            condition = tag[len(_ERRORS) :]
    return condition, error.get("type") or "", text, error.get("by") or ""


def _mirrored(iq: etree._Element) -> str:
    return attributes(id=iq.get("id"), from_=iq.get("to"), to=iq.get("from"))
