"""What every gateway owes the push backend: all that a backend owes, and to trust nothing that a client wrote."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import pytest

from event_pusher.abc import (
    Attempt,
    Backend,
    Delivery,
    Gateway,
    GatewaySettings,
    NoSettings,
    Notification,
    PublishOptions,
    Registration,
)
from event_pusher.errors import PublishError
from event_pusher.registry import BACKENDS, GATEWAYS, PLUGINS, Registry
from event_pusher.settings.sections import secrets_in
from event_pusher.testing import factories
from event_pusher.testing.backends import BackendContract
from event_pusher.testing.doubles import InMemoryRegistrations, StubRegistry, make_chain, make_gateway_tools, make_tools
from event_pusher.testing.worlds import World

#: The push service that the gateway is.
SERVICE = "virtual.example.org"
#: Characters up to which an option is a word that may show ("fcm", "prod"), no token.
WORD = 7
#: What a client may write into its publish options.
HOSTILE = (
    "",
    "..",
    "../../admin",
    "a/b?c=d#e",
    "%2e%2e",
    "new\nline: yes",
    "\u202e\U0001f600",
    "x" * 5000,
    "null",
    "-1",
)


@cache
def installed() -> Registry:
    """What is installed, looked at once."""
    return Registry()


class _PushBackend:
    """The push backend, which is asked for by name."""

    def __get__(self, instance: object, owner: type) -> type[Backend[Any]]:
        return installed().backend("push")


class GatewayContract(BackendContract):
    """
    Inherit it in a test class and set `gateway_class`.

    It is tried as it is used, behind the push backend: what `BackendContract` tests holds for it. Hooks:
    `gateway_options` (what stands in its section), `registered` (publish options with which it can publish),
    `make_world` (its destination, whose `received` says how much arrived).
    """

    _is_contract: ClassVar[bool] = True

    gateway_class: ClassVar[type[Gateway[Any]]]
    backend_class: ClassVar[type[Backend[Any]]] = _PushBackend()  # type: ignore[assignment]  # a descriptor gives it
    dropped = {  # noqa: RUF012 - as a stranger writes it
        "test_batches_arrive_in_the_order_in_which_they_were_handed_over": (
            "each registration is a lane of its own, and lanes have no order among them"
        )
    }

    # --- hooks ----------------------------------------------------------------------------------------------------

    def gateway_options(self) -> dict[str, Any]:
        """What stands in ``[gateways.NAME]``, as TOML gives it."""
        return {}

    def registered(self) -> PublishOptions:
        """The publish options of a device that is there."""
        return (("device_id", "device-1"),)

    # --- what the tests use ---------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        return {"virtual_pubsub_hosts": [SERVICE]}

    def older(self) -> list[Delivery]:
        plain = self.registration(())
        return [Delivery(plain.user, "push.example.net", b"<pubsub><item></item></pubsub>", registration=plain.id)]

    def registration(self, options: PublishOptions) -> Registration:
        """Bob's, with these publish options."""
        return Registration(1, factories.BOB, SERVICE, "node-1", options)

    def make_gateway(self, world: World) -> Gateway[Any]:
        """Make a gateway that is not started."""
        tools = make_gateway_tools(clock=world.tools.clock, log=world.tools.log)
        settings: GatewaySettings = self.gateway_class.Settings.model_validate(self.gateway_options())
        return self.gateway_class(settings, tools)

    def make_backend(self, world: World) -> Backend[Any]:
        registrations = InMemoryRegistrations()
        registrations.enable(service=SERVICE, options=self.registered())
        tools = make_tools(
            name="push",
            clock=world.tools.clock,
            registrations=registrations,
            plugins=make_chain((installed().plugin("push", "defaults"), NoSettings())),
            gateways={"contract": self.make_gateway(world)},
        )
        return self.backend_class(self.make_settings(), tools)

    def secrets(self, backend: Backend[Any]) -> list[str]:
        mine = next(iter(backend.tools.gateways.values()))
        return [*super().secrets(backend), *(secret.reveal() for _, secret in secrets_in(mine.settings))]

    def hidden(self, backend: Backend[Any]) -> list[str]:
        return [*super().hidden(backend), *(value for _, value in self.registered() if len(value) > WORD)]

    # --- the duties -----------------------------------------------------------------------------------------------

    def test_the_registry_takes_the_gateway(self) -> None:
        push = {"push": self.backend_class}

        registry = StubRegistry({BACKENDS: push, GATEWAYS: {"contract": self.gateway_class}, f"{PLUGINS}push": {}})

        assert registry.gateway("contract") is self.gateway_class

    def test_its_settings_refuse_an_unknown_key(self) -> None:
        with pytest.raises(ValueError, match="surely_unknown"):
            self.gateway_class.Settings.model_validate({**self.gateway_options(), "surely_unknown": 1})

    @pytest.mark.parametrize("content", ["none", "marker", "sender", "full"])
    def test_whatever_a_notification_may_reveal_is_published(self, content: str, world: World) -> None:
        backend = self.make_backend(world)
        backend.settings = self.backend_class.Settings.model_validate({**self.options(), "content": content})
        backend = self.backend_class(backend.settings, backend.tools)
        backend.start()

        assert self.deliver(backend, self.attempts(backend, 1)[0])
        backend.close(0.1)

    def test_what_a_client_wrote_breaks_nothing(self, world: World) -> None:
        gateway = self.make_gateway(world)
        gateway.start()
        known = self.registered()
        wild = [(), *(tuple((key, text) for key, _ in known) for text in HOSTILE)]
        wild += [(*known[:at], (known[at][0], text), *known[at + 1 :]) for at in range(len(known)) for text in HOSTILE]

        for options in wild:
            self._try(gateway, self.registration(options))

        gateway.publish(self._attempt(gateway), self.registration(known), Notification((("message-count", "1"),)))
        gateway.close(0.1)

    def _try(self, gateway: Gateway[Any], registration: Registration) -> None:
        notification = Notification((("message-count", "many"), ("last-message-body", factories.BODY)))
        try:
            gateway.publish(self._attempt(gateway), registration, notification)
        except PublishError as error:
            assert not [text for _, text in registration.options if len(text) > WORD and text in str(error)]  # noqa: PT017 - it may raise, and it may not

    def _attempt(self, gateway: Gateway[Any]) -> Attempt:
        one = factories.attempt(Delivery(factories.BOB, SERVICE, b""))
        one.deadline = gateway.tools.clock.monotonic() + self.patience
        return one
