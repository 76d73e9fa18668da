# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads CAV files as storage/export/CAV.md says, with nothing of the appliance's: Python's library and libcrypto."""

import ctypes
import hashlib
import struct

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_SET_TAG = 0x11


def _open_gcm(key, nonce, bound, sealed):
    text, tag = sealed[:-16], sealed[-16:]
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    out, length = ctypes.create_string_buffer(len(text) + 16), ctypes.c_int()
    cipher = ctypes.c_void_p(_crypto.EVP_aes_256_gcm())
    assert _crypto.EVP_DecryptInit_ex(context, cipher, None, key, nonce) == 1
    assert _crypto.EVP_DecryptUpdate(context, None, ctypes.byref(length), bound, len(bound)) == 1
    assert _crypto.EVP_DecryptUpdate(context, out, ctypes.byref(length), text, len(text)) == 1
    assert _crypto.EVP_CIPHER_CTX_ctrl(context, _SET_TAG, 16, tag) == 1
    good = _crypto.EVP_DecryptFinal_ex(context, ctypes.byref(ctypes.create_string_buffer(16)), ctypes.byref(length))
    _crypto.EVP_CIPHER_CTX_free(context)
    assert good == 1, "the tag is another"
    return out.raw[:len(text)]


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
            content = _open_gcm(key, struct.pack("<IQ", 0, number), header + data[at:at + 8], content)
        at, number = at + 8 + size, number + 1
        if kind == 3:
            break
        assert kind == (1 if number == 1 else 2)
        parts[kind].append(content)
    assert at == len(data)
    fields, audio = (b"".join(parts[kind]) for kind in (1, 2))
    assert content == hashlib.sha256(fields).digest() + hashlib.sha256(audio).digest()
    return fields, audio
