"""A certificate authority of the tests' own, by the openssl command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; `ca` is its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own = self._make("ca", ["-x509", "-addext", "keyUsage=critical,keyCertSign"])
        self.ca = self._own.certificate

    def sign(self, name: str, alternative: str) -> Pair:
        """Make a certificate for `alternative` (``DNS:…`` or ``IP:…``)."""
        signing = ["-x509", "-CA", str(self._own.certificate), "-CAkey", str(self._own.key)]
        return self._make(name, [*signing, "-addext", f"subjectAltName={alternative}"])

    def server(self, alternative: str, *, ask_for_certificate: bool = False) -> ssl.SSLContext:
        """Make what a server of that name needs."""
        pair = self.sign(f"server-{alternative.replace(':', '-')}", alternative)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        if ask_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def _make(self, name: str, options: list[str]) -> Pair:
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        new = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
        where = ["-subj", f"/CN={name}", "-days", "2", "-keyout", str(pair.key), "-out", str(pair.certificate)]
        subprocess.run([*new, *options, *where], check=True, capture_output=True)
        return pair
