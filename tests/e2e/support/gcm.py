# SPDX-License-Identifier: AGPL-3.0-or-later
"""AES-256-GCM by libcrypto, which is not what the appliance uses."""

import ctypes

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
    getattr(_crypto, _name).restype = ctypes.c_void_p
_SET_TAG = 0x11


def open_gcm(key, nonce, bound, sealed):
    """The text; the last 16 bytes of `sealed` are its tag."""
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
