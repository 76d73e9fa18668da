# SPDX-License-Identifier: AGPL-3.0-or-later
"""G.711 as ITU-T G.711 defines it, WAV files, and the comparison of a recording with the packets on the wire."""

import array
import io
import sys
import wave


def _ulaw(code):
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw(code):
    code ^= 0x55
    magnitude = (code & 0x0F) << 4
    segment = (code & 0x70) >> 4
    magnitude = magnitude + 8 if segment == 0 else (magnitude + 0x108) << (segment - 1)
    return magnitude if code & 0x80 else -magnitude


def _table(decode):
    """code -> two bytes of a little-endian sample."""
    return [decode(code).to_bytes(2, "little", signed=True) for code in range(256)]


TABLES = {0: _table(_ulaw), 8: _table(_alaw)}  # by RTP payload type, RFC 3551


def decode(payload_type, payload):
    """G.711 payload -> 16-bit little-endian samples."""
    table = TABLES[payload_type]
    return b"".join([table[code] for code in payload])


def encode_ulaw(samples):
    """16-bit samples -> µ-law, by nearest value; for making test audio."""
    values = sorted((_ulaw(code), code) for code in range(256))
    lookup = {}
    result = bytearray()
    for sample in samples:
        if sample not in lookup:
            lookup[sample] = min(values, key=lambda v: abs(v[0] - sample))[1]
        result.append(lookup[sample])
    return bytes(result)


class Wav:
    """A 16-bit WAV file: rate, frames, and each channel as little-endian bytes."""

    def __init__(self, source):
        if isinstance(source, (bytes, bytearray)):
            source = io.BytesIO(source)
        with wave.open(source) as file:
            assert file.getsampwidth() == 2
            self.rate = file.getframerate()
            self.frames = file.getnframes()
            samples = array.array("h", file.readframes(self.frames))
            count = file.getnchannels()
        if sys.byteorder == "big":
            samples.byteswap()
        self.channels = [samples[i::count].tobytes() for i in range(count)]
        assert all(len(channel) == 2 * self.frames for channel in self.channels), "shorter than its header says"

    @property
    def duration(self):
        return self.frames / self.rate


def find_run(channel, samples, around, jitter):
    """Sample offset at which `samples` stand exactly in the channel, within jitter of `around`, or None.

    Samples that are placed some later than they were captured may reach past the end of the recording: they are cut
    there, and their first half at least must stand at the channel's end.
    """
    low = max(0, around - jitter)
    high = around + jitter + len(samples) // 2
    position = channel.find(samples, 2 * low, 2 * high)
    while position >= 0 and position % 2:
        position = channel.find(samples, position + 1, 2 * high)
    if position >= 0:
        return position // 2
    end, half = len(channel) // 2, len(samples) // 4
    for start in range(max(low, end - 2 * half), min(around + jitter, end - half)):
        if channel[2 * start:] == samples[:2 * (end - start)]:
            return start
    return None


def match_packets(wav, side, packets, recording_time, jitter_s=0.06):
    """How many G.711 packets of a stream stand sample by sample in its channel where they were heard.

    side: "device" is left, "far" is right. packets: RtpPacket list in order of capture. Packets whose audio overlaps
    another's (same or crossing timestamps: both cannot be heard) and those outside the recording are left out; so are
    those not found that, heard as late as jitter_s allows, would be spoken behind its end.
    Returns (matched, compared, unmatched packets).
    """
    channel = wav.channels[0 if side == "device" else 1]
    jitter = round(jitter_s * wav.rate)
    heard = [p for p in packets if p.payload_type in TABLES and len(p.payload) >= 40]
    seen, unique = set(), []
    for packet in heard:  # a mirror may deliver a packet twice
        key = (packet.sequence, packet.timestamp)
        if key not in seen:
            seen.add(key)
            unique.append(packet)
    matched, missed = 0, []
    by_timestamp = sorted(unique, key=lambda p: p.timestamp)
    overlapping = set()
    for before, after in zip(by_timestamp, by_timestamp[1:]):
        if after.timestamp < before.timestamp + len(before.payload):
            overlapping.update((id(before), id(after)))
    for packet in unique:
        around = round((packet.time - recording_time) * wav.rate)
        if id(packet) in overlapping or around < 0 or around + len(packet.payload) > wav.frames:
            continue
        if find_run(channel, decode(packet.payload_type, packet.payload), around, jitter) is not None:
            matched += 1
        elif around + len(packet.payload) + jitter <= wav.frames:
            missed.append(packet)
    return matched, matched + len(missed), missed
