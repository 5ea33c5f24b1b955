"""HTTPS on the redirect's listener: a certificate that is renewed under traffic, and clients that never finish their handshake."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import trustme

from .live_worker import Client, ThreadWorker, eventually, link

Start = Callable[..., ThreadWorker]


def write_certificate(authority: trustme.CA, folder: Path, *, serial_of: str) -> int:
    issued = authority.issue_cert("localhost", common_name=serial_of)
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return 0


def tls_client(worker: ThreadWorker, authority: trustme.CA) -> tuple[Client, bytes]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    raw = socket.create_connection(("127.0.0.1", worker.port), timeout=5)
    secure = context.wrap_socket(raw, server_hostname="localhost")
    certificate = secure.getpeercert(binary_form=True)
    assert certificate
    return Client(secure), certificate


def test_https_is_spoken_and_the_certificate_reloaded_without_a_restart(start_worker: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path, serial_of="first")
    worker = start_worker(link(), tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    client, before = tls_client(worker, authority)
    assert client.get("/spring").headers["set-cookie"].endswith("; Secure")
    write_certificate(authority, tmp_path, serial_of="second")

    def changed() -> bool:
        fresh, certificate = tls_client(worker, authority)
        status = fresh.get("/spring").status
        fresh.sock.close()
        return status == 302 and certificate != before

    eventually(changed)
    assert client.get("/spring").status == 302, "open connections live on"
    (tmp_path / "key.pem").write_text("no key")
    time.sleep(1.5)
    assert changed(), "a broken file leaves the last good certificate in use"
    client.sock.close()


def test_a_certificate_renewed_under_traffic_fails_no_request(start_worker: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    write_certificate(authority, tmp_path, serial_of="first")
    worker = start_worker(link(), tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    seen: set[bytes] = set()
    failed: list[Exception] = []
    answered, stop = [0], threading.Event()

    def visit(*, stay: bool) -> None:
        """Over one connection, or over a new one each time."""
        try:
            client, certificate = tls_client(worker, authority)
            while not stop.is_set():
                if not stay:
                    client.sock.close()
                    client, certificate = tls_client(worker, authority)
                    seen.add(certificate)
                answered[0] += client.get("/spring").status == 302
            client.sock.close()
        except (OSError, EOFError) as error:
            failed.append(error)

    visitors = [threading.Thread(target=visit, kwargs={"stay": stay}) for stay in (True, False)]
    for visitor in visitors:
        visitor.start()
    for name in ("second", "third"):
        eventually(lambda: bool(seen), within_s=20)
        known = len(seen)
        write_certificate(authority, tmp_path, serial_of=name)
        eventually(lambda: len(seen) > known, within_s=20)  # noqa: B023 - called before `known` changes
    stop.set()
    for visitor in visitors:
        visitor.join(10)
    assert failed == []
    assert answered[0] > 20
    assert len(seen) == 3


def test_who_never_finishes_the_handshake_is_dropped(start_worker: Start, tmp_path: Path) -> None:
    write_certificate(trustme.CA(), tmp_path, serial_of="first")
    worker = start_worker(
        link(), tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"), header_timeout_s=1.0
    )
    silent = worker.connect()
    started = time.monotonic()
    assert silent.sock.recv(1) == b""
    assert time.monotonic() - started < 4
