"""XEP-0004 forms as clients send them in ``<enable/>``: read strictly, so that what is stored can be published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from event_pusher.xmpp import names

if TYPE_CHECKING:
    from lxml import etree

    from event_pusher.registration import PublishOptions

#: What one registration may keep.
MAX_FIELDS: Final = 32
MAX_BYTES: Final = 8192
_FORM: Final = f"{{{names.DATA_FORMS}}}x"
_FIELD: Final = f"{{{names.DATA_FORMS}}}field"
_VALUE: Final = f"{{{names.DATA_FORMS}}}value"


class BadForm(ValueError):  # noqa: N818 - reads as what it is
    """A form that cannot be kept; the text says exactly what is wrong, without any value."""


def read_publish_options(parent: etree._Element) -> PublishOptions:
    """
    Read the publish-options form among the children of `parent`; without one, ().

    The form must be of type ``submit`` with FORM_TYPE ``…pubsub#publish-options``; each field with a ``var`` has
    exactly one ``<value/>``; of two with the same ``var`` the last counts. Raises `BadForm`.
    """
    form = parent.find(_FORM)
    if form is None:
        return ()
    if form.get("type") != "submit":
        raise BadForm("the form's type must be 'submit'")
    kinds: list[str] = []
    options: dict[str, str] = {}
    for field in form.iterfind(_FIELD):
        var = field.get("var")
        if not var:
            continue
        values = [value.text or "" for value in field.iterfind(_VALUE)]
        if len(values) != 1:
            raise BadForm(f"the form's field {var[:60]!r} must have exactly one value, it has {len(values)}")
        if var == "FORM_TYPE":
            kinds.append(values[0].strip())
        else:
            options.pop(var, None)
            options[var] = values[0]
    _check_kind(kinds)
    _check_size(options)
    return tuple(options.items())


def _check_kind(kinds: list[str]) -> None:
    if not kinds:
        raise BadForm("the form has no FORM_TYPE")
    if len(kinds) > 1:
        raise BadForm("the form has more than one FORM_TYPE")
    if kinds[0] != names.PUBLISH_OPTIONS:
        raise BadForm(f"the form's FORM_TYPE must be {names.PUBLISH_OPTIONS}")


def _check_size(options: dict[str, str]) -> None:
    if len(options) > MAX_FIELDS:
        raise BadForm(f"the form has {len(options)} fields, at most {MAX_FIELDS} are kept")
    size = sum(len(var.encode()) + len(value.encode()) for var, value in options.items())
    if size > MAX_BYTES:
        raise BadForm(f"the form has {size} bytes, at most {MAX_BYTES} are kept")
