# SPDX-License-Identifier: AGPL-3.0-or-later
"""Proves that a blackout is dark: in the export, and in the raw bytes of a store, or in what its keys make of them."""

import glob
import os
import random
import time

from support import audio, programs
from support import segments as readable


class Asked:
    """An answer, and when its request was on its way: what it asks for counts from when it came in, however late on a
    busy machine. offset_s: the seconds that it asks for before or after that."""

    def __init__(self, ask, offset_s=0):
        self.earliest = time.time() + offset_s
        self.answer = ask()
        self.latest = time.time() + offset_s

    def covers(self, moment):
        return self.earliest - 0.01 <= moment <= self.latest + 0.01


def noise(seconds=30):
    """Audio of both sides no two packets of which are alike: each can be looked for on the disk."""
    # Loud codes alone: none of them is silence.
    codes = bytes((code & 0x8F) | (0x10 + (code & 0x20)) for code in range(256))
    return [random.randbytes(seconds * 8000).translate(codes) for _ in range(2)]


def segments(daemon):
    if os.path.exists(os.path.join(daemon.store, "master.key")):
        return readable.bodies(daemon.store)
    text = b""
    for path in glob.glob(os.path.join(daemon.store, "segments", "*")):
        with open(path, "rb") as file:
            text += file.read().rstrip(b"\0")  # segments are pre-allocated
    return text


def split(call, side, begin, end, slack=0.030):
    """The packets of a side outside and inside of [begin, end); those at the very edges are neither."""
    outside = [p for p in call.sent[side] if p.time < begin - slack or p.time >= end + slack]
    inside = [p for p in call.sent[side] if begin + slack <= p.time < end - slack]
    return outside, inside


def check_dark(call, wav, disk, recording_time, begin, end):
    for side in ("far", "device"):
        outside, inside = split(call, side, begin, end)
        assert len(inside) > 0.8 * (end - begin) / 0.02
        for packet in inside:
            assert packet.payload not in disk, f"{side} {packet.time - begin} s into the blackout is on the disk"
        assert all(packet.payload in disk for packet in outside[:-2])
        matched, compared, missed = audio.match_packets(wav, side, outside, recording_time, jitter_s=0.1)
        assert compared > 20 and matched == compared, [p.time - begin for p in missed]
        channel = wav.channels[0 if side == "device" else 1]
        first = round((begin + 0.06 - recording_time) * wav.rate)
        last = round((end - 0.06 - recording_time) * wav.rate)
        heard = [place for place in range(first, last) if any(channel[2 * place:2 * place + 2])]
        assert not heard, (f"{side} is not silent in the blackout: {len(heard)} samples from "
                           f"{heard[0] / wav.rate + recording_time - begin:.3f} s after its begin on")


def recording_of(daemon, update):
    """The recording of a RECORDINGUPDATE as `spantape calls --json` tells it."""
    return next(r for r in programs.spantape_json("calls", "--store", daemon.store)
                if r["ident"] == int(update.data["RECORDID"]))
