# SPDX-License-Identifier: AGPL-3.0-or-later
"""Capture files written by hand: pcap in either byte order and resolution, pcapng with any number of interfaces."""

import gzip
import struct

ETHERNET, NULL, RAW, LOOP, COOKED_1, ERF, COOKED_2 = 1, 0, 101, 108, 113, 197, 276


def _parts(time, per_second):
    units = round(time * per_second)
    return divmod(units, per_second)


def write_pcap(path, frames, link=ETHERNET, order="<", nanoseconds=False, compressed=False):
    """frames: (time, bytes) in order of time."""
    per_second = 10**9 if nanoseconds else 10**6
    with (gzip.open if compressed else open)(path, "wb") as file:
        file.write(struct.pack(order + "IHHiIII", 0xA1B23C4D if nanoseconds else 0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for time, frame in frames:
            file.write(struct.pack(order + "IIII", *_parts(time, per_second), len(frame), len(frame)) + frame)


def _block(order, kind, body):
    body += bytes(-len(body) % 4)
    size = 12 + len(body)
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def write_pcapng(path, frames, links, order="<"):
    """frames: (time, interface, bytes); links: the link type of each interface, the odd ones in nanoseconds."""
    with open(path, "wb") as file:
        file.write(_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for number, link in enumerate(links):
            resolution = struct.pack(order + "HHB3xHH", 9, 1, 9, 0, 0) if number % 2 else b""
            file.write(_block(order, 1, struct.pack(order + "HHI", link, 0, 0) + resolution))
        for time, interface, frame in frames:
            stamp = round(time * (10**9 if interface % 2 else 10**6))
            file.write(_block(order, 6, struct.pack(order + "IIIII", interface, stamp >> 32, stamp & 0xFFFFFFFF,
                                                    len(frame), len(frame)) + frame))
