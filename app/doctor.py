"""`clicktrace doctor`: what is wrong with this installation, and how to mend each thing. Every check is a function; the list is `CHECKS`.

A check never changes anything and is bounded in time. `ok` means fine, `warning` works but will hurt, `problem` does not work.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx
import maxminddb
from sqlalchemy.exc import SQLAlchemyError

from alerts.rules.load import load_rules
from app import failures
from app.doctor_doors import doors
from app.doctor_erasures import erasures
from app.doctor_matching import matching
from app.doctor_money import rates, worth
from app.doctor_retention import retention
from app.doctor_sources import look_up, sources
from app.finding import Finding
from app.listeners import Address
from app.run_state import RunState, running
from app.settings import Settings
from app.up import addresses
from app.uploading import sandbox_accounts
from collectors.registry import AD_PLATFORMS
from core.control.engine import open_control
from core.errors import ClicktraceError, SettingsError, SourceError
from core.vendors.config import AccountConfig
from core.vendors.registry import open_account
from correlator.traffic_report import ListState, list_states
from redirect.pages import load_pages
from redirect.watch.memory import Memory
from uploads.base import Destination
from uploads.registry import build_destinations

CHECK_TIMEOUT_S = 8.0
LITTLE_DISK_BYTES = 5 * 2**30
NO_DISK_BYTES = 2**30
#: Beyond this a click's time and a deploy's time from elsewhere cannot be put in order.
CLOCK_SKEW_S = 2.0
CERTIFICATE_WARNING_DAYS = 14
FSYNC_SLOW_S = 0.1
DESTINATIONS_SHOWN = 3
#: Addresses move between countries: such files come out weekly or monthly.
OLD_COUNTRIES_DAYS = 120


def examine(settings: Settings) -> list[Finding]:
    """Run every check; a check that itself fails is a finding, too."""
    state = running(settings.data_dir)
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        pending = [(check, pool.submit(check, settings, state)) for check in CHECKS]
        found: list[Finding] = []
        for check, future in pending:
            try:
                found += future.result(timeout=CHECK_TIMEOUT_S * 4)
            except Exception as error:  # noqa: BLE001 - whatever a check stumbles over is what the person wants to read
                found.append(
                    Finding(
                        check=check.__name__.strip("_"), state="problem", text=failures.sentence(error) or _said(error)
                    )
                )
    return found


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ClicktraceError) else repr(error)


def _data_directory(settings: Settings, _state: RunState | None) -> list[Finding]:
    path = settings.data_dir
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".doctor-{os.getpid()}"
        started = time.monotonic()
        with probe.open("wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        took = time.monotonic() - started
        probe.unlink()
    except OSError as error:
        mend = "give this user write access, or set data_dir (CLICKTRACE_DATA_DIR)"
        return [Finding(check="data_dir", state="problem", text=f"{path}: {error.strerror}", mend=mend)]
    if took > FSYNC_SLOW_S:
        text = f"{path} takes {took * 1000:.0f} ms to flush one byte"
        return [Finding(check="data_dir", state="warning", text=text, mend="put the data directory on a local disk")]
    return [Finding(check="data_dir", state="ok", text=f"{path} is writable, flushes in {took * 1000:.0f} ms")]


def _disk(settings: Settings, _state: RunState | None) -> list[Finding]:
    folder = settings.data_dir if settings.data_dir.exists() else settings.data_dir.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free below {folder}"
    mend = "free some space, or lower journal.keep_days"
    if free < NO_DISK_BYTES:
        return [Finding(check="disk", state="problem", text=text, mend=mend)]
    if free < LITTLE_DISK_BYTES:
        return [Finding(check="disk", state="warning", text=text, mend=mend)]
    return [Finding(check="disk", state="ok", text=text)]


def _ports(settings: Settings, state: RunState | None) -> list[Finding]:
    if state is not None:
        ports = ", ".join(f"{name} {port}" for name, port in state.ports.items())
        return [Finding(check="ports", state="ok", text=f"clicktrace runs (pid {state.pid}) on {ports}")]
    return [_port(address) for address in addresses(settings, ["redirect", "monitor"])]


def _port(address: Address) -> Finding:
    where = f"{address.host}:{address.port}"
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address.host, address.port))
    except OSError as error:
        mend = f"stop what listens there, or choose another port with {address.setting}"
        return Finding(check="ports", state="problem", text=f"{where}: {error.strerror or error}", mend=mend)
    return Finding(check="ports", state="ok", text=f"{where} is free ({address.setting})")


def _running_system(settings: Settings, state: RunState | None) -> list[Finding]:
    if state is None or "monitor" not in state.ports:
        return [Finding(check="monitor", state="ok", text="not running; start it with: clicktrace up")]
    scheme = "https" if settings.monitor.tls_cert else "http"
    try:
        # On loopback the certificate's name cannot match; what is asked is only whether it answers.
        url = f"{scheme}://127.0.0.1:{state.ports['monitor']}/readyz"
        answer = httpx.get(url, timeout=CHECK_TIMEOUT_S, verify=False)
    except httpx.HTTPError as error:
        return [Finding(check="monitor", state="problem", text=f"does not answer: {error}", mend="look at its log")]
    bad = [f"{one['name']}: {one['detail'] or one['figures']}" for one in answer.json()["checks"] if not one["ok"]]
    if bad:
        return [Finding(check="monitor", state="problem", text="; ".join(bad), mend="look at its log and at the disk")]
    return [Finding(check="monitor", state="ok", text="ready")]


def _clock(settings: Settings, _state: RunState | None) -> list[Finding]:
    """Compare with the Date header of an outside party that is configured anyway; nobody else is called."""
    urls = [settings.alerts.alertmanager_url, settings.public_url, *_endpoints(settings.accounts)]
    for url in filter(None, urls):
        skew = _skew_s(url)
        if skew is not None and abs(skew) > CLOCK_SKEW_S:
            text = f"this clock and {urlsplit(url).netloc} differ by {skew:+.1f} s"
            return [Finding(check="clock", state="warning", text=text, mend="run chrony or systemd-timesyncd")]
        if skew is not None:
            return [Finding(check="clock", state="ok", text=f"agrees with {urlsplit(url).netloc}")]
    return [Finding(check="clock", state="ok", text="nothing configured to compare with")]


def _skew_s(url: str) -> float | None:
    try:
        answer = httpx.head(url, timeout=CHECK_TIMEOUT_S)
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None
    # The header has whole seconds: half a second is the expected rounding.
    return datetime.now(UTC).timestamp() - theirs.timestamp() - 0.5


def _control(settings: Settings, _state: RunState | None) -> list[Finding]:
    try:
        engine = open_control(settings.control.url, settings.data_dir, migrate=False)
        with engine.connect():
            pass
        engine.dispose()
    except SQLAlchemyError as error:
        mend = "check control.url and that PostgreSQL is reachable" if settings.control.url else ""
        return [Finding(check="control database", state="problem", text=failures.sentence(error), mend=mend)]
    return [Finding(check="control database", state="ok", text=settings.control.url.partition("@")[2] or "SQLite")]


def _engine(settings: Settings, state: RunState | None) -> list[Finding]:
    from app.reading import open_reader  # imported late: the engine costs a second, and the other checks need not wait

    if not settings.store.url and state is None and not (settings.data_dir / "store").exists():
        return [Finding(check="store", state="ok", text="embedded engine; nothing stored yet")]
    try:
        store = open_reader(settings)
        version = store.query("SELECT version()").column(0)[0].as_py()
        store.close()
    except ClicktraceError as error:
        mend = "check store.url and store.password" if settings.store.url else "is another process using this data_dir?"
        return [Finding(check="store", state="problem", text=str(error)[:300], mend=mend)]
    return [Finding(check="store", state="ok", text=f"ClickHouse {version}")]


def _redirect(settings: Settings, _state: RunState | None) -> list[Finding]:
    found: list[Finding] = []
    redirect = settings.redirect
    if not redirect.allowed_destinations:
        mend = "list your shop's hosts in redirect.allowed_destinations"
        text = "no destination is allowed: no link can be created"
        found.append(Finding(check="redirect", state="warning", text=text, mend=mend))
    if redirect.cookie_domain and redirect.sites and not _shares_domain(redirect.cookie_domain, redirect.sites):
        text = f"cookie_domain {redirect.cookie_domain} is no parent of any of redirect.sites: the visitor cookie stays unseen"
        mend = "serve the redirect below the shop's own domain, or leave cookie_domain empty"
        found.append(Finding(check="redirect", state="warning", text=text, mend=mend))
    return found or [Finding(check="redirect", state="ok", text="destinations and sites are set")]


def _refusals(settings: Settings, _state: RunState | None) -> list[Finding]:
    """What visitors meet who are not redirected: the page, and the limits on hits."""
    found: list[Finding] = []
    redirect = settings.redirect
    try:
        load_pages(note=redirect.page_note, path=redirect.page_html)
    except (OSError, UnicodeDecodeError) as error:
        mend = "set redirect.page_html to a readable UTF-8 file, or leave it empty; no worker starts without it"
        found.append(Finding(check="page", state="problem", text=f"{redirect.page_html}: {error}", mend=mend))
    if (redirect.address_hits_per_second or redirect.network_hits_per_second) and not redirect.trusted_proxies:
        text = "hits are limited per address, and no proxy is trusted: behind one, all visitors share its address"
        mend = "name the proxy's networks in redirect.trusted_proxies, unless visitors reach the redirect directly"
        found.append(Finding(check="limits", state="warning", text=text, mend=mend))
    return found


def _country_databases(settings: Settings, _state: RunState | None) -> list[Finding]:
    """The files that conditions of links and figures by country rest on, usually one and the same."""
    used = {
        settings.redirect.country_database: ("redirect", "no condition on a country holds"),
        settings.correlator.country_database: ("correlator", "figures by country are blank"),
    }
    return [found for path, (part, lost) in used.items() if path for found in _country_database(path, part, lost)]


def _country_database(path: str, part: str, lost: str) -> list[Finding]:
    try:
        with maxminddb.open_database(path) as reader:
            kind, age_days = reader.metadata().database_type, (time.time() - reader.metadata().build_epoch) / 86_400
    except (OSError, ValueError, RuntimeError) as error:
        mend = f"set {part}.country_database to a readable .mmdb file; until then {lost}"
        return [Finding(check="countries", state="problem", text=f"{path}: {error}", mend=mend)]
    text = f"{kind}, built {age_days:.0f} days ago"
    if age_days > OLD_COUNTRIES_DAYS:
        mend = "get a newer file and put it in place by renaming; it is noticed"
        return [Finding(check="countries", state="warning", text=text, mend=mend)]
    return [Finding(check="countries", state="ok", text=text)]


def _destinations(settings: Settings, _state: RunState | None) -> list[Finding]:
    """What the watch saw last, from the control database; nobody is visited."""
    if not settings.redirect.watch.enabled:
        text = "nobody looks at the pages that links lead to"
        return [Finding(check="destinations", state="warning", text=text, mend="set redirect.watch.enabled")]
    engine = open_control(settings.control.url, settings.data_dir, migrate=False)
    try:
        known = Memory(engine).load()
    except SQLAlchemyError:
        known = {}  # no database yet, or none that answers: the check of the control database says which
    finally:
        engine.dispose()
    bad = sorted((each for each in known.values() if each.findings), key=lambda each: each.state != "failing")
    if not bad:
        return [Finding(check="destinations", state="ok", text=f"{len(known)} looked at, all as expected")]
    words = "; ".join(f"{each.url} ({each.findings[0].word})" for each in bad[:DESTINATIONS_SHOWN])
    state: Literal["warning", "problem"] = "problem" if bad[0].state == "failing" else "warning"
    text = f"{len(bad)} of {len(known)} are not as they should be: {words}"
    return [Finding(check="destinations", state=state, text=text, mend="clicktrace links check SLUG says more")]


def _traffic_lists(settings: Settings, _state: RunState | None) -> list[Finding]:
    return [_traffic_list(state) for state in list_states(settings.correlator.traffic)]


def _traffic_list(state: ListState) -> Finding:
    setting = "correlator.traffic.datacenter_networks"
    if state.state == "not_set":
        text = "no list of data-centre networks: clicks from there are not flagged"
        mend = f"name files in {setting}: AWS, Google and Azure publish theirs, or an ASN database (.mmdb)"
        return Finding(check="traffic lists", state="warning", text=text, mend=mend)
    if state.state == "ok":
        return Finding(check="traffic lists", state="ok", text=f"{state.path}: {state.entries} entries")
    text = f"{state.path} is {state.state}. {state.problem}".rstrip()
    return Finding(
        check="traffic lists", state="problem", text=text, mend=f"mend the file, or take it out of {setting}"
    )


def _shares_domain(cookie_domain: str, sites: tuple[str, ...]) -> bool:
    domain = cookie_domain.lstrip(".").lower()
    return any(site.lower() == domain or site.lower().endswith("." + domain) for site in sites)


def _exposure(settings: Settings, _state: RunState | None) -> list[Finding]:
    monitor = settings.monitor
    loopback = monitor.host in ("127.0.0.1", "::1", "localhost")
    if not loopback and not monitor.tls_cert:
        text = f"the console listens on {monitor.host} without TLS: keys travel in clear text"
        mend = "set monitor.tls_cert and monitor.tls_key, or put a TLS proxy before a loopback address"
        return [Finding(check="exposure", state="warning", text=text, mend=mend)]
    return [Finding(check="exposure", state="ok", text=f"console on {monitor.host}")]


def _certificates(settings: Settings, _state: RunState | None) -> list[Finding]:
    pairs = {
        "redirect.tls_cert": (settings.redirect.tls_cert, settings.redirect.tls_key),
        "monitor.tls_cert": (settings.monitor.tls_cert, settings.monitor.tls_key),
    }
    return [_certificate(name, cert, key) for name, (cert, key) in pairs.items() if cert]


def _certificate(name: str, cert: str, key: str) -> Finding:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key)
        details = ssl._ssl._test_decode_cert(cert)  # type: ignore[attr-defined] # the only decoder of the standard library
        left = (ssl.cert_time_to_seconds(details["notAfter"]) - time.time()) / 86_400
    except (OSError, ssl.SSLError) as error:
        return Finding(check=name, state="problem", text=f"{cert}: {error}", mend="give a PEM certificate and its key")
    if left < CERTIFICATE_WARNING_DAYS:
        state: Literal["warning", "problem"] = "problem" if left <= 0 else "warning"
        return Finding(
            check=name, state=state, text=f"{cert} ends in {left:.0f} days", mend="renew it; it is reloaded by itself"
        )
    return Finding(check=name, state="ok", text=f"{cert} is good for {left:.0f} days")


def _accounts(settings: Settings, _state: RunState | None) -> list[Finding]:
    return [_account(account) for account in settings.accounts]


def _account(account: AccountConfig) -> Finding:
    name = f"account {account.platform}:{account.account}"
    if account.credentials_file and not Path(account.credentials_file).is_file():
        mend = "put the credentials there, readable by this user"
        return Finding(check=name, state="problem", text=f"{account.credentials_file} does not exist", mend=mend)
    try:
        client = open_account(account)
        if client is None:
            text = f"there is no client for {account.platform} yet: alerts will ask people to pause by hand"
            return Finding(check=name, state="warning", text=text)
        campaigns = client.campaigns(deadline_s=CHECK_TIMEOUT_S)
        client.close()
    except SourceError as error:
        section, _ = AD_PLATFORMS[account.platform]
        mend = "try again later" if error.retryable else look_up(section)
        return Finding(check=name, state="problem", text=str(error)[:300], mend=mend)
    return Finding(check=name, state="ok", text=f"signs in; {len(campaigns)} campaigns")


def _uploads(settings: Settings, _state: RunState | None) -> list[Finding]:
    """Tries every destination that conversions are to be reported to, also before it is enabled; nothing is reported."""
    return [_upload_destination(each, settings) for each in build_destinations(settings.uploads, disabled_too=True)]


def _upload_destination(destination: Destination, settings: Settings) -> Finding:
    name = f"uploads {destination.config.name}"
    try:
        reached = destination.probe(deadline_s=CHECK_TIMEOUT_S)
    except SourceError as error:
        mend = "try again later" if error.retryable else "check credentials_file, its rights and the targets"
        return Finding(check=name, state="problem", text=str(error)[:300], mend=mend)
    finally:
        destination.close()
    if f"{destination.platform}:{destination.account}" in sandbox_accounts(settings):
        mend = "take sandbox: true from the account, if conversions are to be reported to it"
        return Finding(check=name, state="warning", text="nothing is sent: its account is a test", mend=mend)
    if not (settings.uploads.enabled and destination.config.enabled):
        mend = f"set uploads.enabled and enabled of {destination.config.name}, when it is to begin"
        return Finding(check=name, state="ok", text=f"{reached}; nothing is sent yet", mend=mend)
    return Finding(check=name, state="ok", text=reached)


def _rules(settings: Settings, _state: RunState | None) -> list[Finding]:
    try:
        rules = load_rules(settings.alerts.rules_dir)
    except SettingsError as error:
        mend = "correct them as `clicktrace rules check` says: the monitor does not start with wrong rules"
        return [Finding(check="rules", state="problem", text="; ".join(error.problems), mend=mend)]
    enabled = sum(rule.enabled for rule in rules)
    return [Finding(check="rules", state="ok", text=f"{len(rules)} can be read, {enabled} of them enabled")]


def _alertmanager(settings: Settings, _state: RunState | None) -> list[Finding]:
    base = settings.alerts.alertmanager_url
    if not base:
        told = settings.alerts.webhook_url or settings.alerts.apprise_urls
        if told:
            return [Finding(check="notifications", state="ok", text="by the built-in notifier")]
        mend = "set alerts.alertmanager_url, alerts.webhook_url or alerts.apprise_urls"
        return [Finding(check="notifications", state="warning", text="nobody is told of an incident", mend=mend)]
    try:
        httpx.get(f"{base.rstrip('/')}/-/ready", timeout=CHECK_TIMEOUT_S).raise_for_status()
    except httpx.HTTPError as error:
        return [
            Finding(
                check="notifications",
                state="problem",
                text=f"Alertmanager: {error}",
                mend="check alerts.alertmanager_url",
            )
        ]
    return [Finding(check="notifications", state="ok", text=f"Alertmanager at {base} is ready")]


def _endpoints(accounts: list[AccountConfig]) -> list[str]:
    return [account.endpoint for account in accounts if account.endpoint.startswith("http")]


#: All checks, in the order in which their findings are shown.
CHECKS: tuple[Callable[[Settings, RunState | None], list[Finding]], ...] = (
    _data_directory,
    _disk,
    _ports,
    _running_system,
    _clock,
    _control,
    _engine,
    _redirect,
    _refusals,
    _country_databases,
    _destinations,
    _traffic_lists,
    rates,
    worth,
    matching,
    retention,
    erasures,
    _exposure,
    _certificates,
    _accounts,
    sources,
    _uploads,
    doors,
    _rules,
    _alertmanager,
)
