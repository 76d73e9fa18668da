# SPDX-License-Identifier: AGPL-3.0-or-later
"""Nothing is lost uncounted: calls at rising rates until the first loss, and every packet sent is stored or in a sum.

SPANTAPE_BALANCE_SECONDS makes each step longer than its one second, and tries more rates.
"""

import os
import signal

import pytest

from support import ledger, programs

SECONDS = float(os.environ.get("SPANTAPE_BALANCE_SECONDS", "1"))
RATES = (100_000, 200_000, None) if SECONDS == 1 else (50_000, 100_000, 150_000, 200_000, 300_000, 400_000, None)
PACKETS_PER_CALL_SECOND = 100
AT_TOP_SPEED = 200_000  # packets/s that the calls would have; tcpreplay sends them as fast as it can
CHANNELS = max(rate or AT_TOP_SPEED for rate in RATES) // PACKETS_PER_CALL_SECOND
SETTINGS = {"recording": {"channels": CHANNELS}, "sip": {"media_timeout": 5.0}}

pytestmark = [pytest.mark.alone,
              pytest.mark.skipif(programs.missing("tcpreplay") is not None, reason="needs tcpreplay")]


def make_calls(directory, rate, seed):
    """A capture of as many calls as talk at `rate` packets a second; every seed makes streams of its own."""
    path = directory / f"calls-{seed}.pcap"
    made = programs.run(programs.SPANTAPE_GEN, "--calls", rate // PACKETS_PER_CALL_SECOND, "--seconds", SECONDS, "--rate",
                        rate, "--ring", 30, "--seed", seed, "--out", path)
    assert made.returncode == 0, made.stderr
    return path


def check(counters, sent):
    """The sums of everything since the start."""
    assert ledger.taken(counters) + ledger.dropped_before_us(counters) == sent
    assert ledger.explained(counters) == counters["packets"] == ledger.taken(counters)


def lost(counters):
    """Packets that a larger or faster machine would have stored."""
    counted = ledger.drops(counters)
    return ledger.dropped_before_us(counters) + sum(
        counted[reason] for reason in ("ring_full", "no_stream_slot", "signalling_full", "unwatched"))


@pytest.mark.parametrize("source, workers", [
    ("pcap:{}", 1), ("pcap:{}", 2), ("dpdk:net_af_packet0,iface={}", 1), ("dpdk:net_af_packet0,iface={}", 2)])
def test_at_rising_rates_every_packet_is_accounted_for(port, start_daemon, tmp_path, source, workers):
    daemon = start_daemon(tmp_path, [source.format(port.inside)], capture={"workers": workers}, **SETTINGS)
    interface = ledger.Interface(port.inside)
    sent = 0
    for step, rate in enumerate(RATES):
        calls = make_calls(tmp_path, rate or AT_TOP_SPEED, step + 1)
        done = ledger.replay(port.outside, calls, rate)
        assert done.failed == 0
        sent += done.sent
        assert interface.received == sent, "the cable itself lost some"
        counters = ledger.settled(daemon, sent)
        print(f"{done.rate:.0f} packets/s: {done.sent} sent; in all {ledger.taken(counters)} taken, "
              f"{ledger.dropped_before_us(counters)} lost before us, {counters['framesstored']} stored, "
              f"{ {reason: count for reason, count in ledger.drops(counters).items() if count} }")
        check(counters, sent)
        if lost(counters):
            print(f"the first loss came at {done.rate:.0f} packets/s")
            break
        calls.unlink()
    assert daemon.stop() == 0


def test_what_a_halted_recorder_misses_is_counted_by_the_kernel(port, start_daemon, tmp_path):
    """It stands still while more comes than the kernel holds for it; what the kernel could not hold it must tell."""
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"], **SETTINGS)
    calls = make_calls(tmp_path, 200_000, 99)
    sent = 0
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for _ in range(3):  # the same again: duplicates or a restart to us, and packets as good as any to the kernel
            sent += ledger.replay(port.outside, calls).sent
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    counters = ledger.settled(daemon, sent)
    assert ledger.dropped_before_us(counters) > 0, "the kernel held it all: this test must send more"
    check(counters, sent)
    assert daemon.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_gives_as_fast_as_it_can_is_accounted_for(start_daemon, tmp_path, workers):
    """What a full ring did not take is counted, and nothing else is missing."""
    calls = make_calls(tmp_path, 50_000, 7)
    daemon = start_daemon(tmp_path, [f"dpdk:net_pcap0,rx_pcap={calls}"], capture={"workers": workers, "ring_kib": 4},
                          **SETTINGS)
    packets = int(programs.run("capinfos", "-TMrc", calls).stdout.split()[-1])
    check(ledger.settled(daemon, packets), packets)
    assert daemon.stop() == 0


def test_what_a_file_holds_is_accounted_for(start_daemon, tmp_path):
    calls = make_calls(tmp_path, 50_000, 8)
    daemon = start_daemon(tmp_path, [f"file:{calls}"], capture={"pace": "max"}, **SETTINGS)
    packets = int(programs.run("capinfos", "-TMrc", calls).stdout.split()[-1])
    counters = ledger.settled(daemon, packets)
    check(counters, packets)
    assert lost(counters) == 0
    assert daemon.stop() == 0
