"""Settings of the redirect service."""

from __future__ import annotations

import ipaddress
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from core.destinations import AllowList
from core.errors import Invalid
from core.settings import Section
from redirect.watch.config import WatchConfig

#: A key shorter than the digest it makes would be the weak end of it.
MIN_KEY_CHARS: Final = 32


class RedirectConfig(Section):
    """The public listener: links, `/ct.js`, `POST /ct/e`, `/healthz`."""

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - this listener faces the Internet
    port: int = Field(8081, ge=0, le=65535, description="Port to listen on; 0 = any free port.")
    workers: int = Field(1, ge=1, le=64, description="Worker processes, one thread each.")
    public_url: str = Field(
        "", description="Base of short links in templates, e.g. https://go.example; empty = http://localhost:<port>."
    )
    domains: tuple[str, ...] = Field((), description="Hosts answered for; empty = any Host header.")
    allowed_destinations: tuple[str, ...] = Field(
        (), description="Where links may lead: shop.example, *.shop.example, or host:port for private hosts."
    )
    sites: tuple[str, ...] = Field(
        (), description="Hosts of the shop's pages: the snippet decorates links to them, and only they may send events."
    )
    cookie_domain: str = Field(
        "", description="Domain of the ct_vid cookie, e.g. example.com when redirect and shop share it."
    )
    tls_cert: str = Field("", description="PEM certificate chain; with tls_key this listener speaks HTTPS.")
    tls_key: str = Field("", description="PEM private key.")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Networks whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    header_timeout_s: float = Field(
        10.0, gt=0, description="The headers of a request must be complete this long after its first byte."
    )
    request_timeout_s: float = Field(
        30.0, gt=0, description="A request with its body must be complete this long after its first byte."
    )
    write_timeout_s: float = Field(
        10.0, gt=0, description="A client that does not take its answers is cut off after this."
    )
    idle_timeout_s: float = Field(75.0, gt=0, description="A connection without a request is closed after this.")
    max_header_bytes: int = Field(16_384, ge=1024, description="Request line and headers together.")
    max_target_bytes: int = Field(8_192, ge=256, description="Path and query.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Body of POST /ct/e.")
    max_connections: int = Field(20_000, ge=1, description="Open connections per worker.")
    drain_timeout_s: float = Field(10.0, ge=0, description="Open connections may finish this long after SIGTERM.")
    events_per_second: float = Field(
        500.0, ge=0, description="POST /ct/e calls per address, worker and second; 0 = no limit."
    )
    country_database: str = Field(
        "", description="A .mmdb file for conditions on the country (MaxMind, DB-IP, IPinfo). Replace it by renaming."
    )
    address_hits_per_second: float = Field(
        0.0,
        ge=0,
        description="Hits per address (IPv6: per /64), worker and second, ten seconds' worth at once; 0 = no limit.",
    )
    network_hits_per_second: float = Field(
        0.0, ge=0, description="The same per network, IPv4 /24 and IPv6 /48; 0 = no limit."
    )
    limited_hits_journaled_per_second: float = Field(
        10.0, ge=0, description="Hits over a limit that a worker journals as lost clicks; all of them are counted."
    )
    signing_keys: tuple[str, ...] = Field(
        (),
        repr=False,
        description="Keys of signed links, 32 characters or more each: the first signs, all verify. Empty = a key of our own "
        "making in the control database.",
    )
    page_note: str = Field(
        "", max_length=1000, description="A sentence on the page of links that lead nowhere, e.g. whom to ask."
    )
    page_html: str = Field(
        "",
        description="Your own page instead, an HTML file with {{title}} and {{text}}; scripts and other hosts' files do not run on it.",
    )
    answer_after_fsync: bool = Field(
        False,
        description="Answer when the click is on the disk: it then survives a power cut, not only a killed process.",
    )
    links_refresh_s: float = Field(0.5, gt=0, le=60, description="How often workers look for changed links.")
    links_memory_mb: int = Field(
        84,
        ge=1,
        description="Links a worker keeps in memory, 0.1 to 1.4 kB each; the others are read when they are hit.",
    )
    watch: WatchConfig = WatchConfig()

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("allowed_destinations")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            AllowList(value)
        except Invalid as error:
            raise ValueError(f"write host, *.host or host:port; {error.detail}") from None
        return value

    @field_validator("domains")
    @classmethod
    def _are_own_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            AllowList((), own=value)
        except Invalid as error:
            raise ValueError(f"write host or host:port; {error.detail}") from None
        return value

    @field_validator("signing_keys")
    @classmethod
    def _are_long(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < MIN_KEY_CHARS for key in value):
            raise ValueError(f"a key has at least {MIN_KEY_CHARS} characters; make one with: openssl rand -hex 32")
        return value

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together")
        return self

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """Where this redirect answers, as far as the settings say: no link may lead there."""
        public = urlsplit(self.base_url).netloc
        return (*self.domains, public) if public else self.domains

    @property
    def base_url(self) -> str:
        """Where short links start, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://localhost:{self.port}"
