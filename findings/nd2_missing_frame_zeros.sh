#!/usr/bin/env bash
# nd2 0.12.0, ND2File.read_frame and voxel_size, on a file that lacks a frame and was never calibrated.
# Guess: a frame that is not in the file raises, as an index out of range does; without calibration there is no size.
# What happens: read_frame gives zeros, without a warning, so that a file whose copy or acquisition was broken off has
# black fields; voxel_size() says 1 µm. `metadata.channels[0].volume.axesCalibrated` tells the second, nothing public
# tells the first: a frame of nothing but zeros is the only sign.
# Seen: frame 0 mean 7.0, frame 1 mean 0.0, voxel_size x=1.0, calibrated (False, False, True), warnings 0 (True: in z).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nd2==0.12.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import warnings

import nd2
import numpy as np

MAGIC, END = 0x0ABECEDA, b"ND2 CHUNK MAP SIGNATURE 0000001!"


def lite(name, value):  # the compact format of ND2_FILE_FORMAT.md in the library's repository
    text = (name + "\0").encode("utf-16-le")
    if isinstance(value, dict):
        head = struct.pack("BB", 11, len(name) + 1) + text
        body = b"".join(lite(key, item) for key, item in value.items())
        return head + struct.pack("<IQ", len(value), len(head) + 12 + len(body)) + body + bytes(8 * len(value))
    kind, form = {bool: (1, "<?"), float: (6, "<d"), int: (3, "<I")}[type(value)]
    return struct.pack("BB", kind, len(name) + 1) + text + struct.pack(form, value)


attributes = {"uiWidth": 8, "uiWidthBytes": 8, "uiHeight": 8, "uiComp": 1, "uiBpcInMemory": 8, "uiBpcSignificant": 8}
plane = {"uiCompCount": 1, "pFluorescentProbe": {"uiColor": 0}}
picture = {"dCalibration": 0.0, "bCalibrated": False, "sPicturePlanes": {"uiCount": 1, "sPlaneNew": {"a0": plane}}}
stack = {"uiCount": 2, "dZLow": 0.0, "dZHigh": 1.0, "dZStep": 1.0}
chunks = {
    b"ImageAttributesLV!": lite("SLxImageAttributes", attributes | {"uiSequenceCount": 2}),
    b"ImageMetadataSeqLV|0!": lite("SLxPictureMetadata", picture),
    b"ImageMetadataLV!": lite("SLxExperiment", {"eType": 4, "uLoopPars": stack}),
    b"ImageDataSeq|0!": bytes(8) + np.full((8, 8), 7, np.uint8).tobytes(),  # and no ImageDataSeq|1!
}
data = bytearray(struct.pack("<IIQ", MAGIC, 32, 64) + b"ND2 FILE SIGNATURE CHUNK NAME01!" + b"Ver3.0".ljust(64, b"\0"))
places = b""
for name, body in chunks.items():
    data += bytes(-len(data) % 4096)
    places += name + struct.pack("<QQ", len(data), len(body))
    data += struct.pack("<IIQ", MAGIC, 4072, len(body)) + name.ljust(4072, b"\0") + body
data += bytes(-len(data) % 4096)
end = END + struct.pack("<Q", len(data))
data += struct.pack("<IIQ", MAGIC, 32, len(places) + 40) + b"ND2 FILEMAP SIGNATURE NAME 0001!" + places + end + end

with warnings.catch_warnings(record=True) as seen, nd2.ND2File(io.BytesIO(bytes(data))) as file:
    warnings.simplefilter("always")
    means = [float(file.read_frame(at).mean()) for at in range(2)]
    calibrated = file.metadata.channels[0].volume.axesCalibrated
    print(f"frame 0 mean {means[0]}, frame 1 mean {means[1]}, voxel_size x={file.voxel_size().x}, "
          f"calibrated {calibrated}, warnings {len(seen)}")
    assert means == [7.0, 0.0] and file.voxel_size().x == 1.0 and not calibrated[0] and not seen
PYTHON
