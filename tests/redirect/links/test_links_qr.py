"""QR codes: the modules are those of the link's short address, and the pictures are pictures."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
import zlib

import pytest
import segno
from fastapi.testclient import TestClient

from .conftest import Keys

SPRING = {"slug": "spring", "destination": "https://shop.example/p"}


def pixels(png: bytes) -> list[list[bool]]:
    """Dark pixels of a black and white PNG of one bit each, as segno writes them."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        chunks[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + size]
        at += size + 12
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (1, 0)
    data, row_bytes = zlib.decompress(chunks[b"IDAT"]), (width + 7) // 8
    rows = [bytes(row_bytes)]
    for start in range(0, height * (row_bytes + 1), row_bytes + 1):
        kind, row = data[start], data[start + 1 : start + 1 + row_bytes]
        assert kind in (0, 2), "as it is, or the difference to the row above"
        rows.append(bytes((a + b) % 256 for a, b in zip(row, rows[-1], strict=True)) if kind == 2 else row)
    return [[not row[x // 8] >> (7 - x % 8) & 1 for x in range(width)] for row in rows[1:]]


@pytest.mark.parametrize(("scale", "border", "level"), [(1, 0, "L"), (3, 4, "M"), (8, 1, "H")])
def test_the_png_has_the_modules_of_the_short_address(api: TestClient, scale: int, border: int, level: str) -> None:
    api.post("", json=SPRING)
    answer = api.get("/spring/qr", params={"format": "png", "scale": scale, "border": border, "level": level})
    assert answer.headers["content-type"] == "image/png"
    expected = segno.make_qr("https://go.example/spring", error=level)
    size = (expected.symbol_size(border=border)[0]) * scale
    found = pixels(answer.content)
    assert len(found) == len(found[0]) == size
    assert [
        [found[(y + border) * scale][(x + border) * scale] for x in range(len(expected.matrix))]
        for y in range(len(expected.matrix))
    ] == [[bool(module) for module in row] for row in expected.matrix]
    assert not any(any(row[: border * scale]) for row in found)


def test_the_svg_is_well_formed_and_names_the_address(api: TestClient) -> None:
    link = api.post("", json=SPRING | {"domain": "kurz.example"}).json()
    answer = api.get(f"/{link['link_id']}/qr")
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ET.fromstring(answer.content)
    assert root.find("{http://www.w3.org/2000/svg}title").text == "https://kurz.example/spring"  # type: ignore[union-attr]
    side = str(segno.make_qr("https://kurz.example/spring", error="M").symbol_size(scale=8, border=4)[0])
    assert (root.get("width"), root.get("height")) == (side, side)


@pytest.mark.parametrize("query", [{"format": "pdf"}, {"scale": 0}, {"scale": 1000}, {"border": -1}, {"level": "Z"}])
def test_a_picture_that_nobody_can_use_is_refused(api: TestClient, query: dict[str, str]) -> None:
    api.post("", json=SPRING)
    answer = api.get("/spring/qr", params=query)
    assert (answer.status_code, answer.json()["reason"]) == (422, "invalid_request")


def test_nobody_else_gets_the_code_of_a_client(api: TestClient, keys: Keys) -> None:
    api.post("", json=SPRING | {"client": "other"})
    assert api.get("/spring/qr", headers=keys.of("bob", "acme")).status_code == 404
