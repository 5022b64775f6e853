"""Image files of many kinds, good and bad, written for tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def random_pixels(height=40, width=50, channels=3, seed=0):
    """Smooth random uint8 [H, W, C]: neighbouring pixels are alike, so that JPEG keeps them nearly as they are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), np.uint8)
    planes = [Image.fromarray(coarse[:, :, c]).resize((width, height), Image.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def encode(image, file_format, **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def pillow_rgb(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def png(samples, *, colour_type, interlaced=False, bits=8):
    """PNG of uint8 or uint16 [H, W, C], written without Pillow, which can write neither 16-bit RGB nor Adam7."""
    height, width, _ = samples.shape
    dtype = ">u2" if bits == 16 else "u1"
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in _ADAM7] if interlaced else [samples]
    raw = b"".join(b"\0" + row.astype(dtype).tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(raw))
        + _png_chunk(b"IEND", b"")
    )


def png_header(height, width):
    """The first bytes of a PNG of a size, followed by a few bytes of data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", zlib.compress(b"\0" * 100))


def _png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bmp(rows, *, width, bits, palette=None, top_down=False, compression=0, masks=(), height=None, colours=0):
    """BMP of rows of bytes (top row first), before their padding to four bytes."""
    palette_bytes = b"" if palette is None else np.pad(palette[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
    rows = [row + b"\0" * (-len(row) % 4) for row in rows]
    body = b"".join(rows if top_down else reversed(rows))
    height = len(rows) if height is None else height
    extra = struct.pack(f"<{len(masks)}I", *masks)
    start = 54 + len(extra) + len(palette_bytes)
    info = struct.pack(
        "<IiiHHIIiiII",
        40, width, -height if top_down else height, 1, bits, compression, len(body), 2835, 2835, colours, 0,
    )  # fmt: skip
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + info + extra + palette_bytes + body


def bmp_of_os2(rgb):
    """BMP with the short header of OS/2, which Pillow reads."""
    height, width, _ = rgb.shape
    body = b"".join(row[:, ::-1].tobytes() + b"\0" * (-3 * width % 4) for row in rgb[::-1])
    return (
        b"BM" + struct.pack("<IHHI", 26 + len(body), 0, 0, 26) + struct.pack("<IHHHH", 12, width, height, 1, 24) + body
    )


def _camera_png(*, rows, columns):
    """16-bit PNG, 40x50, of values that a camera of 12 bits did not scale, but for some white pixels drawn into it."""
    samples = random_pixels(channels=1).astype(np.uint16) * 16
    samples[-rows:, :columns] = 65_535
    return png(samples, colour_type=0, bits=16)


def _dark_field():
    """A bright spot of 6 x 8 pixels, 2.4 % of a black image."""
    pixels = np.zeros((40, 50, 3), np.uint8)
    pixels[10:16, 10:18] = (90, 70, 200)
    return pixels


def gif_of_size(height, width):
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0;"


def lossless_files():
    """Name -> (file, the RGB pixels that it stores)."""
    rgb = random_pixels()
    alpha = random_pixels(channels=1, seed=1)
    grey = rgb[:, :, :1]
    grey_rgb = np.repeat(grey, 3, axis=2)
    wide = rgb.astype(np.uint16) * 256 + 200  # 200 in the low byte: rounding would give the next level
    palette_image = Image.fromarray(rgb).quantize(64)
    indexed = np.asarray(palette_image)
    colours = np.asarray(palette_image.getpalette()[: 64 * 3], np.uint8).reshape(-1, 3)
    palette_rgb = colours[indexed]
    bits, nibbles = (grey[:, :, 0] > 128).astype(np.uint8), indexed % 16
    other_frame = Image.fromarray(255 - rgb)
    return {
        "png_rgb": (encode(rgb, "PNG"), rgb),
        "png_grey": (encode(grey[:, :, 0], "PNG"), grey_rgb),
        "png_grey_alpha": (png(np.concatenate([grey, alpha], axis=2), colour_type=4), grey_rgb),
        "png_rgba": (encode(np.concatenate([rgb, alpha], axis=2), "PNG"), rgb),
        "png_palette": (encode(palette_image, "PNG"), palette_rgb),
        "png_palette_transparent": (encode(palette_image, "PNG", transparency=3), palette_rgb),
        "png_1_bit": (encode(Image.fromarray(bits * 255).convert("1"), "PNG"), np.repeat(bits[..., None] * 255, 3, 2)),
        "png_16_bit_grey": (png(wide[:, :, :1], colour_type=0, bits=16), grey_rgb),
        "png_16_bit_rgb": (png(wide, colour_type=2, bits=16), rgb),
        "png_16_bit_dark_field": (png(_dark_field().astype(np.uint16) * 256, colour_type=2, bits=16), _dark_field()),
        "png_interlaced": (png(rgb, colour_type=2, interlaced=True), rgb),
        "png_animated": (encode(rgb, "PNG", save_all=True, append_images=[other_frame]), rgb),
        "png_damaged_text": (png_with(encode(rgb, "PNG"), b"\0\0\0\4tEXta\0bc\1\2\3\4"), rgb),
        "png_damaged_animation": (
            encode(rgb, "PNG", save_all=True, append_images=[other_frame]).replace(b"fcTL\0\0\0\1", b"fcTL\0\0\0\7"),
            rgb,
        ),
        "gif": (encode(palette_image, "GIF"), palette_rgb),
        "gif_not_interlaced": (encode(palette_image, "GIF", interlace=0), palette_rgb),
        "gif_transparent": (encode(palette_image, "GIF", transparency=int(indexed[0, 0])), palette_rgb),
        "gif_not_compressed": (
            gif_of_codes([code for level in range(400) for code in (256, level % 256)], 8),
            np.repeat(np.arange(400).reshape(20, 20, 1) % 256, 3, 2).astype(np.uint8),
        ),
        "gif_animated": (
            encode(palette_image, "GIF", save_all=True, append_images=[other_frame, other_frame], comment=b"c" * 600),
            palette_rgb,
        ),
        "bmp_24_bit": (encode(rgb, "BMP"), rgb),
        "bmp_24_bit_and_more": (encode(rgb, "BMP") + b"\0\0more", rgb),
        "bmp_24_bit_top_down": (
            bmp([r[:, ::-1].tobytes() for r in rgb], width=50, bits=24, top_down=True),
            rgb,
        ),
        "bmp_32_bit": (encode(np.concatenate([rgb, alpha], axis=2), "BMP"), rgb),
        "bmp_32_bit_masks": (
            bmp(
                [np.concatenate([r[:, ::-1], r[:, :1]], axis=1).tobytes() for r in rgb],
                width=50,
                bits=32,
                compression=3,
                masks=(0xFF0000, 0xFF00, 0xFF),
            ),
            rgb,
        ),
        "bmp_8_bit_grey": (encode(grey[:, :, 0], "BMP"), grey_rgb),
        "bmp_8_bit_palette": (
            bmp([r.tobytes() for r in indexed], width=50, bits=8, palette=colours, colours=64),
            palette_rgb,
        ),
        "bmp_4_bit_palette": (
            bmp([(r[::2] * 16 + r[1::2]).tobytes() for r in nibbles], width=50, bits=4, palette=colours[:16]),
            colours[nibbles],
        ),
        "bmp_1_bit_palette": (
            bmp([np.packbits(r).tobytes() for r in bits], width=50, bits=1, palette=colours[:2]),
            colours[bits],
        ),
    }


def bad_files():
    """Name -> (file, its status)."""
    rgb = random_pixels()
    whole = {name: encode(rgb, name) for name in ("PNG", "BMP", "GIF", "JPEG")}
    rng = np.random.default_rng(0)
    bad_crc = bytearray(whole["PNG"])
    bad_crc[30] ^= 1
    bad_data = bytearray(whole["PNG"])
    bad_data[len(bad_data) // 2] ^= 1
    grey, header = Image.fromarray(rgb[:, :, 0]), whole["PNG"][16:29]
    out_of_palette = bmp([bytes([9] * 50)] * 40, width=50, bits=8, palette=rgb[0, :4], colours=4)
    files = {
        "empty": (b"", "empty"),
        "text": (b"no image at all", "unknown_format"),
        "random": (rng.bytes(3000), "unknown_format"),
        "webp": (encode(rgb, "WEBP"), "unknown_format"),
        "tiff": (encode(rgb, "TIFF"), "unknown_format"),
        "too_small_1x1": (encode(rgb[:1, :1], "PNG"), "too_small"),
        "too_small_15_high": (encode(rgb[:15], "BMP"), "too_small"),
        "too_large_png": (png_header(20_000, 20_000), "too_large"),
        "too_large_bmp": (bmp([b""], width=20_000, height=20_000, bits=24), "too_large"),
        "too_large_gif": (gif_of_size(20_000, 20_000), "too_large"),
        "too_large_jpeg": (jpeg_of_size(20_000, 20_000), "too_large"),
        "too_long": (png_header(16, 30_000), "too_large"),
        "overflowing_bmp": (bmp([b""], width=2**31 - 1, height=2**31 - 1, bits=24), "too_large"),
        "little_data_png": (png_header(4000, 4000), "undecodable"),
        "little_data_bmp": (bmp([b""], width=4000, height=4000, bits=24), "undecodable"),
        "little_data_gif": (gif_of_size(4000, 4000), "undecodable"),
        "little_data_jpeg": (jpeg_of_size(4000, 4000), "undecodable"),
        "little_data_progressive_jpeg": (jpeg_of_size(4000, 4000, progressive=True), "undecodable"),
        "a_row_too_little_jpeg": (jpeg_of_size(48, 50), "undecodable"),
        "cut_and_ended_jpeg": (whole["JPEG"][:-40] + b"\xff\xd9", "undecodable"),
        "zero_wide_png": (png_header(50, 0), "undecodable"),
        "negative_wide_bmp": (bmp([b""], width=-50, height=50, bits=24), "undecodable"),
        "bad_crc_header": (bytes(bad_crc), "undecodable"),
        "bad_crc_data": (bytes(bad_data), "undecodable"),
        "bmp_index_outside_palette": (out_of_palette, "undecodable"),
        "bmp_run_length": (bmp([b"\2\1" * 25] * 40, width=50, bits=8, palette=rgb[0], compression=1), "undecodable"),
        "png_12_of_16_bit_grey": (png((rgb[:, :, :1].astype(np.uint16) * 16), colour_type=0, bits=16), "undecodable"),
        "png_12_of_16_bit_saturated_pixel": (_camera_png(rows=1, columns=1), "undecodable"),
        "png_12_of_16_bit_scale_bar": (_camera_png(rows=2, columns=15), "undecodable"),
        "png_14_of_16_bit_rgb": (png((rgb.astype(np.uint16) * 64), colour_type=2, bits=16), "undecodable"),
        "bmp_os2": (bmp_of_os2(rgb), "undecodable"),
        "bmp_16_bit": (bmp([b"\2\1" * 50] * 40, width=50, bits=16), "undecodable"),
        "bmp_other_masks": (
            bmp([b"\2\1" * 100] * 40, width=50, bits=32, compression=3, masks=(0xFF, 0xFF00, 0xFF0000)),
            "undecodable",
        ),
        "bmp_pixels_in_the_header": (changed(whole["BMP"], 10, b"\0\0\0\0"), "undecodable"),
        "bmp_pixels_in_the_palette": (
            changed(bmp([bytes([200] * 50)] * 40, width=50, bits=8, palette=rgb[0, :50]), 10, b"\x90\0\0\0"),
            "undecodable",
        ),
        "bmp_unknown_header": (changed(whole["BMP"], 14, b"\x80"), "undecodable"),
        "bmp_palette_too_long": (bmp([bytes([1] * 50)] * 40, width=50, bits=4, colours=17), "undecodable"),
        "bmp_palette_cut": (bmp([b"\0" * 8] * 40, width=50, bits=1, palette=rgb[0, :2], colours=2)[:62], "undecodable"),
        "png_other_compression": (changed_header(whole["PNG"], 10, 59), "undecodable"),
        "png_unknown_critical_chunk": (png_with(whole["PNG"], _png_chunk(b"ABCD", b"")), "undecodable"),
        "png_chunk_name_with_a_digit": (png_with(whole["PNG"], _png_chunk(b"te7t", b"")), "undecodable"),
        "png_too_few_rows": (changed_header(whole["PNG"], 7, 90), "undecodable"),
        "png_no_end_of_data": (_png_of(header, zlib.compress(_rows(rgb) + b"\0" * 50)[:-9]), "undecodable"),
        "png_no_palette": (changed_header(encode(grey, "PNG"), 9, 3), "undecodable"),
        "jpeg_marker_among_pixels": (jpeg_with_marker(), "undecodable"),
        "jpeg_restart_among_pixels": (jpeg_with_marker(0xD0), "undecodable"),
        "jpeg_bytes_between_segments": (whole["JPEG"][:20] + b"\0\1" + whole["JPEG"][20:], "undecodable"),
        "jpeg_marker_between_segments": (whole["JPEG"][:20] + b"\xff\1" + whole["JPEG"][20:], "undecodable"),
        "jpeg_no_end": (whole["JPEG"][:-2], "undecodable"),
        "gif_bytes_between_blocks": (gif_with(b"\0\0\0"), "undecodable"),
        "gif_no_palette": (gif_without_palette(), "undecodable"),
        "gif_index_outside_palette": (gif_of_four_colours(), "undecodable"),
        "gif_smaller_frame": (gif_with_smaller_frame(), "undecodable"),
        "gif_short_data": (gif_with_short_data(), "undecodable"),
        "gif_undefined_first_code": (gif_of_codes([256, 300], 8), "undecodable"),
        "gif_undefined_code": (gif_of_codes([256, 1, 2, 258, 259, 265], 8), "undecodable"),
        "gif_undefined_code_behind_pixels": (gif_of_codes([256, *[1] * 400, 1000, 257], 8), "undecodable"),
        "gif_code_size_1": (gif_of_codes([2, 1] * 400 + [3], 1), "undecodable"),
    }
    for name, data in whole.items():
        for share in (0.02, 0.3, 0.6, 0.98):
            cut = max(12, int(len(data) * share))
            files[f"truncated_{name}_at_{share}"] = (data[:cut], "undecodable")
    return files


def changed(data, position, part):
    """The same bytes but for a part."""
    return data[:position] + part + data[position + len(part) :]


def changed_header(data, position, value):
    """A PNG with one byte of its header changed, and the checksum that fits."""
    header = changed(data[16:29], position, bytes([value]))
    return data[:8] + _png_chunk(b"IHDR", header) + data[33:]


def png_with(data, chunk):
    """A PNG with a chunk behind its header."""
    return data[:33] + chunk + data[33:]


def _png_of(header, stream):
    return PNG_SIGNATURE + b"".join(_png_chunk(*one) for one in ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b"")))


def _rows(rgb):
    return b"".join(b"\0" + row.tobytes() for row in rgb)


def jpeg_with_marker(code=0x01):
    """JPEG with a marker in the midst of its pixels: decoders stop there, and make up the others."""
    data = encode(random_pixels(), "JPEG", subsampling=0)
    scan = data.index(b"\xff\xda")
    at = data.index(b"\xff\0", scan) if b"\xff\0" in data[scan:] else scan + (len(data) - scan) // 2
    return data[:at] + bytes([0xFF, code]) + data[at:]


def gif_with(part):
    """GIF with bytes between its palette and the first block."""
    data = encode(Image.fromarray(random_pixels()).quantize(64), "GIF")
    start = 13 + 3 * 2 ** (data[10] % 8 + 1)
    return data[:start] + part + data[start:]


def gif_without_palette():
    data = encode(Image.fromarray(random_pixels()).quantize(64), "GIF")
    return data[:10] + bytes([data[10] & 0x7F]) + data[11:13] + data[13 + 3 * 2 ** (data[10] % 8 + 1) :]


def gif_of_four_colours():
    """GIF whose palette has four colours for pixels of up to 64."""
    data = encode(Image.fromarray(random_pixels()).quantize(64), "GIF")
    return data[:10] + bytes([data[10] & 0xF8 | 1]) + data[11:25] + data[13 + 3 * 2 ** (data[10] % 8 + 1) :]


def pack_codes(codes, code_size):
    """LZW codes as bytes, each with the width that is due where it stands."""
    clear, number, parts = 1 << code_size, 0, []
    for code in codes:
        width = min(12, (clear + 1 + number).bit_length())
        parts.append(f"{code % (1 << width):0{width}b}"[::-1])
        number = 0 if code == clear else number + 1
    bits = np.frombuffer("".join(parts).encode(), np.uint8) - ord("0")
    return np.packbits(bits, bitorder="little").tobytes()


def gif_of_codes(codes, code_size, side=20):
    """GIF, side x side, of 256 grey levels and any LZW codes."""
    data, palette = pack_codes(codes, code_size), bytes(level for level in range(256) for _ in range(3))
    blocks = b"".join(bytes([len(part)]) + part for part in (data[i : i + 255] for i in range(0, len(data), 255)))
    size = struct.pack("<HH", side, side)
    header = b"GIF89a" + size + b"\xf7\0\0" + palette + b"\x2c\0\0\0\0" + size + b"\0" + bytes([code_size])
    return header + blocks + b"\0;"


def jpeg_of_size(height, width, *, progressive=False):
    """JPEG whose header declares another size than the 40x50 that its data fill."""
    data = bytearray(encode(random_pixels(), "JPEG", progressive=progressive, subsampling=0))
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_with_smaller_frame():
    data = bytearray(encode(Image.fromarray(random_pixels()).quantize(64), "GIF"))
    data[6:10] = struct.pack("<HH", 60, 60)
    return bytes(data)


def gif_with_short_data():
    """GIF whose blocks are intact and hold too few pixels: half of the sub-blocks of its frame are left out."""
    data = encode(Image.fromarray(random_pixels()).quantize(64), "GIF")
    position = 13 + 3 * 2 ** (data[10] % 8 + 1)
    while data[position] == 0x21:
        position += 2
        while data[position]:
            position += data[position] + 1
        position += 1
    position += 11  # the frame's descriptor, without a palette of its own, and the code size
    position += data[position] + 1  # the first sub-block
    return data[:position] + b"\0;"
