"""A notification: the summary that one publish carries (XEP-0357 section 7, ``urn:xmpp:push:summary``)."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Notification:
    """
    `fields` are the summary form's ``(name, value)`` pairs in wire order; `extra` is ready XML, put beside the form.

    `priority` is for gateways ("high" for what a person should see now, else "normal"). Bodies never show in `repr`.
    """

    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    priority: str = "high"
    extra: bytes = field(default=b"", repr=False)

    def get(self, name: str) -> str | None:
        """The value of the summary field `name`, None without it."""
        return next((value for key, value in self.fields if key == name), None)
