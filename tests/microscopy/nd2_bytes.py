"""ND2 files made by hand, version 3: nothing but NIS-Elements writes them.

The layout is that of ND2_FILE_FORMAT.md in github.com/tlambert03/nd2.
"""

from __future__ import annotations

import struct

import numpy as np

MAGIC, ALIGNMENT = 0x0ABECEDA, 4096
SIGNATURE, FILE_MAP, MAP_END = (
    b"ND2 FILE SIGNATURE CHUNK NAME01!",
    b"ND2 FILEMAP SIGNATURE NAME 0001!",
    b"ND2 CHUNK MAP SIGNATURE 0000001!",
)


def lite(name: str, value) -> bytes:
    """A value of the compact format: dictionaries are levels, `ui` names are unsigned, others by their Python type."""
    encoded = (name + "\0").encode("utf-16-le")
    if isinstance(value, dict):
        head = struct.pack("BB", 11, len(name) + 1) + encoded
        inside = b"".join(lite(key, item) for key, item in value.items())
        return head + struct.pack("<IQ", len(value), len(head) + 12 + len(inside)) + inside + bytes(8 * len(value))
    if isinstance(value, bool):
        kind, body = 1, struct.pack("B", value)
    elif isinstance(value, float):
        kind, body = 6, struct.pack("<d", value)
    elif isinstance(value, str):
        kind, body = 8, (value + "\0").encode("utf-16-le")
    else:
        kind, body = (3, struct.pack("<I", value)) if name.startswith("ui") else (2, struct.pack("<i", value))
    return struct.pack("BB", kind, len(name) + 1) + encoded + body


def nd2(
    frames: list[np.ndarray],
    *,
    bits: int,
    channels: tuple[str, ...] = ("Brightfield",),
    samples: int = 1,
    calibration: float | None = None,
    loop: bool = True,
    left_out: tuple[int, ...] = (),
) -> bytes:
    """A file of frames, uint8 or uint16 [H, W, channels x samples].

    Args:
        frames: the pixels.
        bits: significant ones.
        channels: their names.
        samples: of a channel: 3 for colours.
        calibration: µm a pixel; None where the microscope is not calibrated.
        loop: says that several frames are focal planes.
        left_out: places of frames that the file lacks.
    """
    height, width, components = frames[0].shape
    attributes = {
        "uiWidth": width,
        "uiWidthBytes": width * components * frames[0].itemsize,
        "uiHeight": height,
        "uiComp": components,
        "uiBpcInMemory": 8 * frames[0].itemsize,
        "uiBpcSignificant": bits,
        "uiSequenceCount": len(frames),
        "eCompression": 2,
    }
    planes = {
        f"a{at}": {"uiCompCount": samples, "sDescription": name, "pFluorescentProbe": {"uiColor": 0}}
        for at, name in enumerate(channels)
    }
    picture = {
        "dCalibration": calibration or 0.0,
        "bCalibrated": calibration is not None,
        "sPicturePlanes": {"uiCount": len(channels), "sPlaneNew": planes},
    }
    chunks = {
        b"ImageAttributesLV!": lite("SLxImageAttributes", attributes),
        b"ImageMetadataSeqLV|0!": lite("SLxPictureMetadata", picture),
    }
    if loop and len(frames) > 1:
        z_stack = {"uiCount": len(frames), "dZLow": 0.0, "dZHigh": 2.0, "dZStep": 1.0}
        chunks[b"ImageMetadataLV!"] = lite("SLxExperiment", {"eType": 4, "uLoopPars": z_stack})
    for at, frame in enumerate(frames):
        if at not in left_out:
            chunks[f"ImageDataSeq|{at}!".encode()] = bytes(8) + frame.tobytes()
    data = bytearray(struct.pack("<IIQ", MAGIC, 32, 64) + SIGNATURE + b"Ver3.0".ljust(64, b"\0"))
    data += bytes(-len(data) % ALIGNMENT)
    places = b""
    for name, body in chunks.items():
        places += name + struct.pack("<QQ", len(data), len(body))
        data += struct.pack("<IIQ", MAGIC, ALIGNMENT - 24, len(body)) + name.ljust(ALIGNMENT - 24, b"\0") + body
        data += bytes(-len(data) % ALIGNMENT)
    end = MAP_END + struct.pack("<Q", len(data))
    data += struct.pack("<IIQ", MAGIC, 32, len(places) + 40) + FILE_MAP + places + end
    return bytes(data) + end
