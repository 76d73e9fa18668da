# SPDX-License-Identifier: AGPL-3.0-or-later
"""How long a daemon that was killed with so many calls running takes until it serves again."""

import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from support import programs  # noqa: E402  (the path comes first)


def restart(calls, rate, talk_s):
    """Kills it when all have talked for talk_s; gives the seconds from the next start to its ready line."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        capture = os.path.join(directory, "calls.pcap")
        subprocess.run([programs.SPANTAPE_GEN, "--calls", str(calls), "--seconds", str(calls / rate + talk_s + 4), "--rate",
                        str(rate), "--out", capture], check=True, capture_output=True)
        daemon = programs.Daemon(directory, [f"file:{capture}"], capture={"pace": "realtime"},
                                 recording={"channels": calls + 100})
        daemon.start()
        try:
            time.sleep(calls / rate + talk_s)
            daemon.kill()
            os.unlink(capture)
            daemon = programs.Daemon(directory, [])
            began = time.monotonic()
            daemon.start(timeout_s=120)
            took = time.monotonic() - began
            daemon.stop(timeout_s=60)
        finally:
            if daemon.alive():
                daemon.kill()
        recordings = programs.spantape_json("calls", "--store", daemon.store, "--limit", calls + 100, timeout_s=300)
    interrupted = [r for r in recordings if r["state"] == "interrupted" and r["ledger"]["stored"] > 0]
    if len(interrupted) != calls:
        sys.exit(f"bench/run: {len(interrupted)} of {calls} calls were interrupted")
    return took
