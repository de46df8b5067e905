"""
Who may be connected to when the URL comes from a user (server-side request forgery).

A name is looked up once, every address that comes back is tested, and the connection goes to a tested one: a name that
says something else the next time leads nowhere. Addresses that hold another one (IPv4-mapped and -compatible, 6to4,
Teredo, NAT64) are as good as the one they hold.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from event_pusher.errors import PermanentPublishError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: What `socket.getaddrinfo` gives.
Info = tuple[Any, Any, int, str, Any]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOW_32 = 0xFFFFFFFF
#: Where clouds tell credentials to whoever asks: no list of allowed networks opens these.
_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
#: What not every release of `ipaddress` counts as private or reserved.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "64:ff9b:1::/48", "100::/64", "2001:2::/48", "2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip


class AddressRefused(PermanentPublishError):  # noqa: N818 - a verdict, named like the other outcomes
    """The URL leads to an address that users may not make us ask."""


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks that are allowed though they are private."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_permitted(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether `address` and every address that it holds are public, or one of the `allowed` networks'."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return all(_is_open(one, allowed) for one in (parsed, *_held(parsed)))


def _is_open(address: Address, allowed: Sequence[Network]) -> bool:
    if _in_any(address, _LINK_LOCAL):
        return False
    if _in_any(address, allowed):
        return True
    if any(True for _ in _held(address)):
        return True  # what it holds decides
    if address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return address.is_global and not _in_any(address, _NOT_PUBLIC)


def _in_any(address: Address, some: Sequence[Network]) -> bool:
    return any(address.version == one.version and address in one for one in some)


def _held(address: Address) -> Iterator[Address]:
    """The addresses inside `address`."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        yield ipaddress.IPv4Address(int(address) & _LOW_32)


def resolve(
    host: str,
    port: int,
    allowed: Sequence[Network] = (),
    look_up: Callable[..., Sequence[Info]] | None = None,
) -> list[Info]:
    """
    Look `host` up once and give the addresses to connect to. Raises `AddressRefused`, `OSError`.

    One address that is not permitted refuses them all: an honest name has none.
    """
    found = list((look_up or socket.getaddrinfo)(host, port, type=socket.SOCK_STREAM))
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    if not all(is_permitted(str(info[4][0]), allowed) for info in found):
        raise AddressRefused("the URL leads to an address that is not public; the operator may allow its network")
    return found


def connect(
    infos: Sequence[Info], timeout: float | None, options: Sequence[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """Connect to the first of the tested addresses that takes it. Raises `OSError`."""
    trouble: OSError | None = None
    for family, kind, protocol, _, address in infos:
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(timeout)
            sock.connect(address)
        except OSError as error:
            trouble = error
            sock.close()
        else:
            return sock
    raise trouble or OSError("no address")
