"""A link's short address as a QR code, to be printed."""

from __future__ import annotations

import io
from typing import Final, Literal

import segno

Format = Literal["svg", "png"]
Level = Literal["L", "M", "Q", "H"]
MEDIA_TYPES: Final[dict[Format, str]] = {"svg": "image/svg+xml", "png": "image/png"}
#: Modules around the code that scanners need (ISO/IEC 18004 §6.3.8).
QUIET_ZONE: Final = 4
MAX_SCALE: Final = 40
MAX_BORDER: Final = 20


def code(url: str, *, level: Level = "M") -> segno.QRCode:
    """The code of a URL. `level` is how much of it may be lost: L 7 %, M 15 %, Q 25 %, H 30 %, more where it costs no room."""
    return segno.make_qr(url, error=level)


def picture(url: str, *, kind: Format, scale: int = 8, border: int = QUIET_ZONE, level: Level = "M") -> bytes:
    """The code as an image, `scale` pixels (SVG: units) a module, with a white border of `border` modules."""
    out = io.BytesIO()
    title = {"title": url} if kind == "svg" else {}
    code(url, level=level).save(out, kind=kind, scale=scale, border=border, light="white", **title)
    return out.getvalue()
