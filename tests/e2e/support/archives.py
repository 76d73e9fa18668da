# SPDX-License-Identifier: AGPL-3.0-or-later
"""What lies in the target of an archive action."""

import hashlib
import json
import os


def archived(target):
    """{ident: (path of the audio, sidecar)} of all that lies there, each proven by its hash."""
    found = {}
    for folder, _, names in os.walk(target):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith(".json") or name.startswith("."):
                continue
            with open(path, encoding="utf-8") as file:
                sidecar = json.load(file)
            sound = os.path.join(folder, sidecar["archive"]["audio"])
            if not os.path.exists(sound):
                continue  # being written
            with open(sound, "rb") as file:
                assert hashlib.sha256(file.read()).hexdigest() == sidecar["archive"]["sha256"], sound
            assert sidecar["recording"]["ident"] not in found
            found[sidecar["recording"]["ident"]] = (sound, sidecar)
    return found
