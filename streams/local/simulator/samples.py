"""Small files that every viewer and player opens: what a customer sends who brings none.

Sources: PNG, RFC 2083; PDF, ISO 32000-1, 7.5; Ogg, RFC 3533; Opus in Ogg, RFC 7845.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from typing import Final

SIDE: Final = 16
"""Width and height of a picture, pixels."""

SILENCE: Final = b"\xf8\xff\xfe"
"""An Opus packet of 20 ms of silence, mono."""

PACKETS: Final = 50
"""Packets of a voice note: one second."""

PACKET_SAMPLES: Final = 960
CRC_POLYNOMIAL: Final = 0x04C11DB7


def picture(number: int) -> bytes:
    """Return a PNG of one colour; another number is another colour."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    rows = b"".join(b"\x00" + (number & 0xFFFFFF).to_bytes(3) * SIDE for _ in range(SIDE))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def document(number: int) -> bytes:
    """Return a PDF of one page that says its number."""
    drawn = f"BT /F 24 Tf 40 100 Td (Documento {number}) Tj ET".encode()
    fonts = b"<</Font<</F 5 0 R>>>>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 200]/Resources %b/Contents 4 0 R>>" % fonts,
        b"<</Length %d>>stream\n%b\nendstream" % (len(drawn), drawn),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    whole, offsets = b"%PDF-1.4\n", []
    for place, body in enumerate(objects, 1):
        offsets.append(len(whole))
        whole += b"%d 0 obj%b endobj\n" % (place, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return whole + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer<</Size %d/Root 1 0 R>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(whole))
    )


def voice(number: int) -> bytes:
    """Return a voice note of one silent second: Opus in Ogg, as phones record it."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 9) + b"whaticket" + struct.pack("<I", 0)
    end = PACKETS * PACKET_SAMPLES
    pages = [(2, 0, [head]), (0, 0, [tags]), (4, end, [SILENCE] * PACKETS)]
    return b"".join(
        _page(kind, position, number & 0xFFFFFFFF, sequence, packets)
        for sequence, (kind, position, packets) in enumerate(pages)
    )


def _page(kind: int, position: int, serial: int, sequence: int, packets: list[bytes]) -> bytes:
    """Return one page; each packet is shorter than 255 bytes."""
    front = struct.pack("<4sBBQII", b"OggS", 0, kind, position, serial, sequence)
    body = bytes([len(packets), *map(len, packets)]) + b"".join(packets)
    return front + struct.pack("<I", _checksum(front + bytes(4) + body)) + body


def _checksum(page: Iterable[int]) -> int:
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (CRC_POLYNOMIAL if register & 0x80000000 else 0)
            register &= 0xFFFFFFFF
    return register


SAMPLES: Final[dict[str, tuple[str, Callable[[int], bytes]]]] = {
    "image": ("image/png", picture),
    "document": ("application/pdf", document),
    "audio": ("audio/ogg; codecs=opus", voice),
}
"""Type and maker of the file of each type of message that can be made."""
