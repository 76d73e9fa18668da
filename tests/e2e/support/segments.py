# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads segments and the keyring as storage/segment/FORMAT.md says, with nothing of the appliance's."""

import glob
import hashlib
import os
import re
import struct

from support.gcm import open_gcm

MAGIC, AUDIO = b"SPTR", 1
ENCRYPTED = 1


def master_key(store):
    """(its id, its 32 bytes)"""
    with open(os.path.join(store, "master.key"), encoding="ascii") as file:
        name, digits = file.read().split()
    assert name == "spantape-master-key-1"
    key = bytes.fromhex(digits)
    return struct.unpack_from("<Q", hashlib.sha256(b"spantape-master-key-1 " + key).digest())[0], key


def keys(store):
    """{key id: the stream's key} of those that are not forgotten."""
    master_id, master = master_key(store)
    with open(os.path.join(store, "keys", f"{master_id:016x}.ring"), "rb") as file:
        ring = file.read()
    assert struct.unpack_from("<8sIIQ", ring) == (b"SPTKYR1\n", 1, 128, master_id)
    found = {}
    for at in range(4096, len(ring) - 127, 128):
        magic, version, state, number, stream = struct.unpack_from("<4sHHQQ", ring, at)
        if magic != b"SKEY" or state != 1:
            continue
        assert version == 1
        nonce, sealed = ring[at + 32:at + 44], ring[at + 44:at + 92]
        found[number] = open_gcm(master, nonce, struct.pack("<QQQ", number, stream, master_id), sealed)
    return found


def bodies(store):
    """The bodies of all records in the segments, one behind another, decrypted where they are encrypted; of each place,
    whether anything refers to it or not."""
    ring, found = keys(store), []
    for path in sorted(glob.glob(os.path.join(store, "segments", "*.seg"))):
        with open(path, "rb") as file:
            data = file.read()
        for match in re.finditer(MAGIC, data):
            at = match.start()
            if at % 64 or at < 4096:
                continue
            kind, header_bytes, total = struct.unpack_from("<HHI", data, at + 4)
            flags, = struct.unpack_from("<H", data, at + 22)
            if kind != AUDIO or not flags & ENCRYPTED:
                found.append(data[at + header_bytes:at + total])
                continue
            header = bytearray(data[at:at + header_bytes])
            cipher, = struct.unpack_from("<H", header, 48)
            nonce, (key,), tag = bytes(header[52:64]), struct.unpack_from("<Q", header, 64), bytes(header[72:88])
            assert cipher == 1
            header[12:20], header[72:88] = bytes(8), bytes(16)
            if key in ring:  # else it is forgotten: nobody reads it
                found.append(open_gcm(ring[key], nonce, bytes(header), data[at + header_bytes:at + total] + tag))
    return b"".join(found)
