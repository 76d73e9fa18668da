# SPDX-License-Identifier: AGPL-3.0-or-later
"""The appliance ends in the middle of a blackout and is started again: still dark, until the stop or the limit."""

import signal
import time
from contextlib import closing

import pytest

from support import programs
from support.clients import Subscriber, XmlClient
from support.dark import noise, segments, split

TALKING, NEXT, OTHER = "7101", "7102", "7103"


@pytest.fixture
def daemon(directory, port):
    appliance = programs.Daemon(directory, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"blackout_limit": 60}, storage={"encrypt": False})
    appliance.start()
    yield appliance
    appliance.kill()


def recorded(call, daemon, begin, end):
    """How many of the packets sent outside of [begin, end), and inside, are on the disk."""
    disk = segments(daemon)
    outside, inside = [], []
    for side in ("far", "device"):
        apart = split(call, side, begin, end)
        outside += apart[0]
        inside += apart[1]
    return [sum(p.payload in disk for p in packets) / max(len(packets), 1) for packets in (outside, inside)]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_inside_a_blackout_stays_dark(daemon, exchange, how):
    with closing(Subscriber(daemon.ports["events"])) as events, XmlClient(daemon.ports["xml"]) as client:
        first = {device: exchange.call(device, sound=noise()) for device in (TALKING, NEXT, OTHER)}
        for device in first:
            events.wait_type("RECORDINGSTARTED", device)
        time.sleep(1.5)
        assert client.ask("BLACKOUTSTART", DEVICEID=TALKING).code == 20
        begin = time.time()
        assert client.ask("AGENTBLACKOUTSTART", DEVICEID=NEXT).code == 20
    first[NEXT].end()
    daemon.stop(how)
    daemon.start()
    with closing(Subscriber(daemon.ports["events"])) as events, XmlClient(daemon.ports["xml"]) as client:
        for device in (TALKING, OTHER):
            first[device].reinvite()  # what a daemon that joins late sees of a call
        later = {device: exchange.call(device, caller="5559876", sound=noise()) for device in (NEXT, OTHER)}
        for device in (TALKING, NEXT):
            events.wait_type("RECORDINGPAUSED", device)
        time.sleep(1.5)
        end = time.time()
        assert client.ask("BLACKOUTSTOP", DEVICEID=TALKING).code == 20
        assert client.ask("BLACKOUTSTOP", DEVICEID=TALKING).code == 38
        assert client.ask("AGENTBLACKOUTSTOP", DEVICEID=NEXT).code == 20
        for device in (TALKING, NEXT):
            events.wait_type("RECORDINGRESUMED", device)
        time.sleep(1.5)
        fresh = exchange.call(TALKING, caller="5550000", sound=noise())
        time.sleep(1)
        for call in (first[TALKING], first[OTHER], *later.values(), fresh):
            call.end()
    assert daemon.stop() == 0

    outside, inside = recorded(first[TALKING], daemon, begin, end)
    assert inside == 0 and outside > 0.9
    outside, inside = recorded(later[NEXT], daemon, begin, end)
    assert inside == 0 and outside > 0.9
    # Nobody else's, and no call that began after the stop.
    assert recorded(later[OTHER], daemon, 0, 0)[0] > 0.95
    assert recorded(fresh, daemon, 0, 0)[0] > 0.95


def test_a_stop_that_comes_before_the_call_is_found_again_ends_it(daemon, exchange):
    with closing(Subscriber(daemon.ports["events"])) as events, XmlClient(daemon.ports["xml"]) as client:
        call = exchange.call(TALKING, sound=noise())
        events.wait_type("RECORDINGSTARTED", TALKING)
        assert client.ask("BLACKOUTSTART", DEVICEID=TALKING).code == 20
    daemon.kill()
    daemon.start()
    with XmlClient(daemon.ports["xml"]) as client:
        assert client.ask("BLACKOUTSTOP", DEVICEID=TALKING).code == 20
        begin = time.time()
        call.reinvite()
        time.sleep(1.5)
        call.end()
        time.sleep(1)
    assert daemon.stop() == 0
    inside = recorded(call, daemon, begin + 0.2, time.time())[1]
    assert inside > 0.95
