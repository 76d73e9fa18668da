# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls on a wire: spantape-gen sends them into one end of a veth pair, the daemon records at the other by libpcap, and
what was sent is held against what the recordings hold."""

import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from support import network, programs  # noqa: E402  (the path comes first)

LEDGER = ("lost_before", "dropped_kernel", "dropped_us", "duplicates", "blacked_out", "undecryptable")


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(interface, calls, seconds, rate):
    """RTP packets sent, and how many of them late."""
    done = subprocess.run([programs.SPANTAPE_GEN, "--calls", str(calls), "--seconds", str(seconds), "--rate", str(rate),
                           "--interface", interface], check=True, capture_output=True, text=True)
    text = done.stdout + done.stderr
    return int(re.search(r"(\d+) RTP", text).group(1)), int(re.search(r"(\d+) sent more than 10 ms late", text).group(1))


def record(calls, seconds, rate, workers=1):
    """Runs it once: {calls, sent, late, stored, lost, cpu_s, ledger}; lost is sent and not stored, ledger says where."""
    port = network.Port()
    try:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
            daemon = programs.Daemon(directory, [f"pcap:{port.inside}"], capture={"workers": workers},
                                     recording={"channels": calls + 100})
            daemon.start()
            try:
                sent, late = send(port.outside, calls, seconds, rate)
                time.sleep(2)  # what the last BYEs cause
                used = cpu_seconds(daemon.pid)
                daemon.stop(timeout_s=60)
            finally:
                if daemon.alive():
                    daemon.kill()
            recordings = programs.spantape_json("calls", "--store", daemon.store, "--limit", calls + 100, timeout_s=300)
    finally:
        port.close()
    ledger = {name: sum(r["ledger"][name] for r in recordings) for name in LEDGER}
    stored = sum(r["ledger"]["stored"] for r in recordings)
    return {"calls": calls, "sent": sent, "late": late, "stored": stored, "lost": sent - stored, "cpu_s": used,
            "recordings": len(recordings), "ledger": ledger}
