"""Pictures on their way to the page: whole, or only what has changed since the last one."""

import struct
import zlib

import numpy as np

WIDE, HIGH = 20, 10  # pixels of a block, the unit of change: most pictures consist of a whole number of them


def png(pixels):
    """Return RGBA `pixels`, uint8 (height, width, 4), as PNG without searching for the smallest: the reader waits."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 4 * width), dtype=np.uint8)  # each row begins with its filter, 0 for none
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits, red green blue alpha
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.data, level=1)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def changes(before, after):
    """Return the blocks in which two pictures differ: a sheet of them, and their numbers, row by row from 0.

    Both pictures are uint8 (height, width, 4). The sheet, (h, w, 4), has those blocks of `after` side by side, row by
    row, no wider than the picture. Blocks at the right and lower edge may reach beyond the picture, where they are
    empty. Without any difference the sheet is None.
    """
    old, new = _whole_blocks(before), _whole_blocks(after)
    rows, columns = new.shape[0] // HIGH, new.shape[1] // WIDE
    differs = old.view(np.uint64) != new.view(np.uint64)  # two pixels at once; then rows, the cheaper way round, first
    differs = differs.reshape(rows, HIGH, -1).any(axis=1).reshape(rows, columns, -1).any(axis=2)
    numbers = np.flatnonzero(differs).tolist()
    if not numbers:
        return None, numbers
    across = min(columns, len(numbers))
    down = -(-len(numbers) // across)
    blocks = np.zeros((down * across, HIGH, WIDE), dtype=np.uint32)
    blocks[: len(numbers)] = new.reshape(rows, HIGH, columns, WIDE).transpose(0, 2, 1, 3)[differs]
    sheet = blocks.reshape(down, across, HIGH, WIDE).transpose(0, 2, 1, 3).reshape(down * HIGH, across * WIDE)
    return sheet.view(np.uint8).reshape(*sheet.shape, 4), numbers


def _whole_blocks(pixels):
    """Return a picture with each pixel one number, uint32 (height, width), filled up to whole blocks with zeros."""
    height, width, _ = pixels.shape
    if height % HIGH or width % WIDE:
        pixels = np.pad(pixels, ((0, -height % HIGH), (0, -width % WIDE), (0, 0)))
    return np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
