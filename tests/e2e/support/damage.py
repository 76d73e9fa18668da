# SPDX-License-Identifier: AGPL-3.0-or-later
"""Captures damaged at random, by a seed that says it all: packet by packet, or the file's own structure."""

import struct
from dataclasses import dataclass

from support import programs


@dataclass
class Packet:
    time_ns: int
    data: bytes
    wire_bytes: int = 0  # 0: as long as the data


def read_packets(path, scratch):
    """(link type, packets) of a capture of any format that editcap reads."""
    done = programs.run("editcap", "-F", "nsecpcap", path, scratch)
    assert done.returncode == 0 or "cut short" in done.stderr, done.stderr
    with open(scratch, "rb") as file:
        content = file.read()
    link, = struct.unpack_from("<I", content, 20)
    packets, at = [], 24
    while at + 16 <= len(content):
        seconds, nanoseconds, size, wire = struct.unpack_from("<IIII", content, at)
        packets.append(Packet(seconds * 10**9 + nanoseconds, content[at + 16:at + 16 + size], wire))
        at += 16 + size
    return link, packets


def write_packets(path, link, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
        for each in packets:
            file.write(struct.pack("<IIII", *divmod(each.time_ns, 10**9), len(each.data),
                                   each.wire_bytes or len(each.data)) + each.data)


def _flip(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        # Headers are what parsers read; the rest is audio.
        at = chance.randrange(min(len(data), 90) if chance.random() < 0.7 else len(data))
        data[at] = chance.choice((data[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 0xFF, data[at] + 1 & 0xFF))
    return bytes(data)


def _cut(chance, data):
    return data[:chance.randrange(len(data))]


def _grow(chance, data):
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice((1, 2, 4, 40, 1500))) + data[at:]


def _repeat_part(chance, data):
    begin = chance.randrange(len(data))
    part = data[begin:begin + chance.randrange(1, 40)]
    return data[:begin] + part * chance.randrange(2, 9) + data[begin:]


def damage_packets(chance, packets, share, is_victim=lambda packet: True):
    """So large a share of the victims is changed, cut, doubled, dropped or exchanged; the others stay where they are."""
    result, last = [], None
    for packet in packets:
        if not packet.data or not is_victim(packet) or chance.random() >= share:
            result.append(packet)
            continue
        kind = chance.randrange(8)
        if kind == 0:
            continue
        if kind == 1:
            result += [packet] * chance.choice((2, 2, 3, 40))
        elif kind == 2 and last is not None:  # another one's bytes at this time
            result.append(Packet(packet.time_ns, last.data, last.wire_bytes))
        elif kind == 3:  # cut by the snap length: the wire had more
            result.append(Packet(packet.time_ns, _cut(chance, packet.data), len(packet.data)))
        else:
            change = chance.choice((_flip, _flip, _flip, _cut, _grow, _repeat_part))
            result.append(Packet(packet.time_ns, change(chance, packet.data)))
        last = packet
    return result


def damage_file(chance, content):
    """Bytes of the file itself: its header, record and block headers as often as what is in them."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 2, 5, 50))):
        if not content:
            break
        at = chance.randrange(min(len(content), 200) if chance.random() < 0.4 else len(content))
        kind = chance.randrange(7)
        if kind < 3:
            content[at] = chance.choice((content[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 0xFF))
        elif kind == 3:  # a length, perhaps
            content[at:at + 4] = struct.pack(chance.choice("<>") + "I", chance.choice(
                (0, 1, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(content), chance.randrange(1 << 32))))
        elif kind == 4:
            del content[at:at + chance.choice((1, 4, 16, 100))]
        elif kind == 5:
            content[at:at] = chance.randbytes(chance.choice((1, 4, 16, 100)))
        elif chance.random() < 0.2:
            del content[at:]
    return bytes(content)
