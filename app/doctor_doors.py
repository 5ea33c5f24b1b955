"""What `clicktrace doctor` says of the doors that face the Internet: webhooks and postbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.auth import KeyRing
from app.finding import Finding
from app.run_state import RunState
from app.settings import Settings
from collectors.hooks.base import HookConnection, read_secrets
from collectors.hooks.registry import HOOKS
from core.control.engine import open_control
from core.errors import Refusal

#: A shorter secret can be guessed by whoever has seen one signature.
MIN_SECRET_BYTES: Final = 16
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def doors(settings: Settings, _state: RunState | None) -> list[Finding]:
    """Secrets, keys, and whether senders reach us and are told apart; nobody is called."""
    hooks = list(_hooks(settings))
    found = [finding for hook in hooks for finding in _secret(hook)]
    found += _senders(settings)
    if hooks or settings.collectors.postback.senders:
        found += [*_reach(settings), *_addresses(settings)]
    if hooks and not found:
        names = ", ".join(hook.name for hook in hooks)
        return [Finding(check="webhooks", state="ok", text=f"{names}: each has its secret")]
    return found


def _hooks(settings: Settings) -> Iterator[HookConnection]:
    for kind in HOOKS:
        section = getattr(settings.collectors, kind)
        if section.enabled:
            yield from (each for each in section.connections if each.webhook_secret_file)


def _secret(hook: HookConnection) -> list[Finding]:
    check, path = f"webhook {hook.name}", hook.webhook_secret_file
    try:
        secrets = read_secrets(path)
    except Refusal:
        mend = "put the sender's secret there, readable by this user; until then its calls are answered with 503"
        return [Finding(check=check, state="problem", text=f"{path} cannot be read or is empty", mend=mend)]
    if any(len(secret) < MIN_SECRET_BYTES for secret in secrets):
        text = f"{path} holds a secret of fewer than {MIN_SECRET_BYTES} characters"
        return [Finding(check=check, state="warning", text=text, mend="make one with: openssl rand -hex 32")]
    return []


def _senders(settings: Settings) -> list[Finding]:
    """Senders whose settings hold for nobody, because there is no such key."""
    senders = settings.collectors.postback.senders
    if not senders:
        return []
    engine = open_control(settings.control.url, settings.data_dir, migrate=False)
    try:
        keys = {sender.key: KeyRing(engine).principal(sender.key) for sender in senders}
    except SQLAlchemyError:
        return []  # no database yet, or none that answers: the check of the control database says which
    finally:
        engine.dispose()
    found = []
    for name, key in keys.items():
        if key is None or not key.scopes & {"postback", "ingest", "admin"}:
            text = "there is no active key of this name that may send postbacks: its settings hold for nobody"
            mend = f"clicktrace keys add {name} --scope postback, or take the sender out of the settings"
            found.append(Finding(check=f"postbacks {name}", state="problem", text=text, mend=mend))
    return found


def _reach(settings: Settings) -> list[Finding]:
    """Whether anybody outside can call, and knows under which address."""
    monitor = settings.monitor
    found = []
    if monitor.public_port is None and monitor.host in _LOOPBACK:
        mend = "set monitor.public_port, or let a proxy pass /api/v1/hooks/ and /api/v1/postback on"
        text = "webhooks or postbacks are set, and the API listens on loopback only"
        found.append(Finding(check="public listener", state="warning", text=text, mend=mend))
    if not settings.public_url.startswith("https://"):
        mend = "set public_url to the https address that senders call; some sign the address"
        text = f"public_url is {settings.public_url or 'not set'}: keys and facts would travel in clear text"
        found.append(Finding(check="public listener", state="warning", text=text, mend=mend))
    return found


def _addresses(settings: Settings) -> list[Finding]:
    """Lists of addresses see the proxy's where a proxy stands before us and nobody said so."""
    listed = [sender.key for sender in settings.collectors.postback.senders if sender.networks]
    monitor = settings.monitor
    host = monitor.host if monitor.public_port is None else monitor.public_host
    if not listed or settings.collectors.door.trusted_proxies or host not in _LOOPBACK:
        return []
    text = f"senders with a list of networks ({', '.join(listed)}), behind a proxy that is not trusted: all are refused"
    mend = "name the proxy's networks in collectors.door.trusted_proxies"
    return [Finding(check="postbacks", state="problem", text=text, mend=mend)]
