# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads CAV files as storage/export/CAV.md says, with nothing of the appliance's: Python's library and libcrypto."""

import hashlib
import struct

from support.gcm import open_gcm

def read(data, password=None):
    """(XML, WAV file)."""
    header = data[:64]
    magic, sealed, log_rounds, block, parallel, salt = struct.unpack_from("<8s4B16s", header)
    assert (magic, sealed) == (b"SPANCAV1", int(password is not None)) and not any(header[28:])
    key = None
    if sealed:
        key = hashlib.scrypt(password.encode(), salt=salt, n=1 << log_rounds, r=block, p=parallel, maxmem=1 << 28, dklen=32)
    at, number, parts = 64, 0, {1: [], 2: []}
    while True:
        kind, size = struct.unpack_from("<II", data, at)
        content = data[at + 8:at + 8 + size]
        if sealed:
            content = open_gcm(key, struct.pack("<IQ", 0, number), header + data[at:at + 8], content)
        at, number = at + 8 + size, number + 1
        if kind == 3:
            break
        assert kind == (1 if number == 1 else 2)
        parts[kind].append(content)
    assert at == len(data)
    fields, audio = (b"".join(parts[kind]) for kind in (1, 2))
    assert content == hashlib.sha256(fields).digest() + hashlib.sha256(audio).digest()
    return fields, audio
