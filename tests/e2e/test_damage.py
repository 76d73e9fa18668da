# SPDX-License-Identifier: AGPL-3.0-or-later
"""Captures damaged at random: nothing crashes, hangs or leaks, and calls beside the damage are recorded whole.

Meant for the sanitizer build (SPANTAPE_BUILD=build-asan), of use with any. SPANTAPE_SEED repeats a run;
SPANTAPE_DAMAGE_SECONDS is how long each of the three tests goes on.
"""

import json
import os
import random
import shutil
import time

import pytest

from support import capture_files, damage, layers, programs, short_call

SECONDS = float(os.environ.get("SPANTAPE_DAMAGE_SECONDS", "6"))
SEED = int(os.environ.get("SPANTAPE_SEED", random.SystemRandom().randrange(1 << 32)))
HANG_S = 30
CALLER_A, CALLEE_A = (bytes([10, 16, 0, 1]), bytes([10, 32, 0, 1]))  # spantape-gen's first call

os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")

pytestmark = pytest.mark.skipif(programs.missing("editcap") is not None, reason="needs editcap")


def record(captures, out):
    """What `spantape record` printed, or None where it refused a file with a reason."""
    done = programs.run(programs.SPANTAPE, "record", *captures, "--json", "--channels", 50, "--out", out, timeout_s=HANG_S)
    words = f"SPANTAPE_SEED={SEED}: {captures} exits {done.returncode}: {done.stderr[-4000:]}"
    assert done.returncode in (0, 1), words
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, words
    assert done.returncode == 0 or done.stderr.strip(), words
    return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.fixture(scope="module")
def originals(directory):
    """Captures of ours and, where they are at hand, those of others."""
    made = directory / "made.pcap"
    assert programs.run(programs.SPANTAPE_GEN, "--calls", 2, "--seconds", 1, "--out", made).returncode == 0
    frames = [(time, 0, layers.ethernet(packet)) for time, packet in short_call.ShortCall().packets()]
    capture_files.write_pcapng(directory / "one.pcapng", frames, [capture_files.ETHERNET])
    for name, wrap in (("gre", lambda p: layers.gre(layers.IPV4, p)), ("gtp", layers.gtp_u), ("l2tp", layers.l2tp),
                       ("vxlan", lambda p: layers.vxlan(layers.ethernet(p)))):
        capture_files.write_pcap(directory / f"{name}.pcap",
                                 [(time, layers.ethernet(wrap(p))) for time, p in short_call.ShortCall().packets()])
    long_call, tcp_call = short_call.ShortCall(short_call.HOSTS6, padding=2000), short_call.ShortCall(transport="TCP")
    for name, packets in (("fragments", long_call.packets(200)), ("tcp", tcp_call.tcp_packets())):
        capture_files.write_pcap(directory / f"{name}.pcap", [(time, layers.ethernet(p)) for time, p in packets])
    found = sorted(str(path) for path in directory.glob("*.pcap*"))
    if os.path.isdir(programs.CAPTURES):
        found += sorted(os.path.join(programs.CAPTURES, name) for name in os.listdir(programs.CAPTURES)
                        if name.endswith((".pcap", ".pcapng")))
    return found


def rounds(test):
    """(number, its own randomness) until the time is over."""
    print(f"SPANTAPE_SEED={SEED}")
    end, number = time.monotonic() + SECONDS, 0
    while number == 0 or time.monotonic() < end:
        yield number, random.Random(f"{SEED} {test} {number}")
        number += 1
    print(f"{test}: {number} rounds")


def survives(damaged, place):
    try:
        record(damaged, place)
    except BaseException:
        for path in damaged:
            kept = os.path.join(programs.BUILD, f"crash-{SEED}-{path.name}")
            shutil.copy(path, kept)
            print(f"kept as {kept}")
        raise
    shutil.rmtree(place, ignore_errors=True)


def test_damaged_packets_end_nothing(originals, directory):
    """Several captures at once: most of a round is its process's start and end."""
    for number, chance in rounds("packets"):
        damaged = []
        for part in range(4):
            link, packets = damage.read_packets(chance.choice(originals), directory / "plain")
            damaged.append(directory / f"packets-{number}-{part}")
            share = chance.choice((0.05, 0.3, 0.9))
            damage.write_packets(damaged[-1], link, damage.damage_packets(chance, packets, share))
        survives(damaged, directory / "out")


def test_damaged_files_end_nothing(originals, directory):
    for number, chance in rounds("files"):
        with open(chance.choice(originals), "rb") as file:
            content = file.read()
        damaged = directory / f"files-{number}"
        damaged.write_bytes(damage.damage_file(chance, content))
        survives([damaged], directory / "out")
        damaged.unlink()


def heard(recordings, call_id, place):
    """What there is of one call: its WAV file, and what is said of its streams."""
    mine = [r for r in recordings if r["callid"] == call_id]
    assert len(mine) == 1, f"SPANTAPE_SEED={SEED}: {len(mine)} recordings of {call_id}"
    streams = [{key: stream[key] for key in ("ssrc", "source", "destination", "codec", "side", "packets", "start",
                                             "duration")} for stream in mine[0]["streams"]]
    told = {key: mine[0][key] for key in ("recording_time", "duration", "state", "ended_by", "ledger")}
    return (place / mine[0]["file"]).read_bytes(), sorted(streams, key=lambda s: s["ssrc"]), told


def test_a_call_beside_damage_is_recorded_whole(directory):
    """The other call of the capture is damaged only; this one must be as it is without any damage."""
    whole = directory / "whole.pcap"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", 2, "--seconds", 1.5, "--rate", 100, "--ring", 50, "--out", whole)
    assert made.returncode == 0, made.stderr
    link, packets = damage.read_packets(whole, directory / "plain")
    recordings = record([whole], directory / "truth")
    call_id = next(r["callid"] for r in recordings if r["callid"].endswith("@10.16.0.2"))
    truth = heard(recordings, call_id, directory / "truth")
    assert truth[2]["ledger"]["stored"] == 150

    def of_a(packet):
        return packet.data[26:30] in (CALLER_A, CALLEE_A)

    assert 150 <= sum(of_a(p) for p in packets) <= len(packets) - 150
    for number, chance in rounds("beside"):
        damaged = directory / f"beside-{number}"
        damage.write_packets(damaged, link, damage.damage_packets(chance, packets, chance.choice((0.1, 0.5, 1.0)), of_a))
        place = directory / f"beside-out-{number}"
        assert heard(record([damaged], place), call_id, place) == truth, f"SPANTAPE_SEED={SEED} {damaged}"
        shutil.rmtree(place)
        damaged.unlink()
