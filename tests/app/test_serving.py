from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import trustme
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.serving import Servers, Site


def certificate(folder: Path) -> tuple[Path, Path]:
    """A fresh certificate and key in the same two files."""
    issued = trustme.CA().issue_cert("localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    return cert, key


def listener() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def presented(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


async def answering(port: int) -> None:
    for _ in range(100):
        try:
            await asyncio.to_thread(presented, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the server never answered")


def test_a_changed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    sock = listener()
    port = sock.getsockname()[1]
    app = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("ok"))])
    servers = Servers([Site(name="monitor", app=app, sock=sock, tls_cert=str(cert), tls_key=str(key))])

    async def story() -> tuple[str, str]:
        serving = asyncio.create_task(servers.run())
        await answering(port)
        before = await asyncio.to_thread(presented, port)
        certificate(tmp_path)
        servers.reload_certificates()
        after = await asyncio.to_thread(presented, port)
        servers.stop()
        await asyncio.wait_for(serving, 10)
        return before, after

    before, after = asyncio.run(story())
    assert before != after
    assert after.split() == cert.read_text().split()
