# SPDX-License-Identifier: AGPL-3.0-or-later
"""kill -9 in the middle of 200 calls: what was heard until a second before is there, and recording goes on."""

import time

import pytest

from support import audio, peers, programs
from support.clients import Subscriber, WebClient, XmlClient

CALLS = 200
SECONDS = 9.0
LOST_AT_MOST_S = 1.0  # storage.flush

pytestmark = [pytest.mark.alone,
              pytest.mark.skipif(programs.missing("sipp", "tcpdump") is not None, reason="needs sipp and tcpdump")]


class KilledRun:
    pass


@pytest.fixture(scope="module")
def killed(mirror, directory):
    run = KilledRun()
    daemon = programs.Daemon(directory, [f"pcap:{mirror.mirror}"], devices={"match": ["^[67][0-9]+$"]}).start()
    witness = subscriber = None
    sipp = []
    try:
        subscriber = Subscriber(daemon.ports["events"])
        witness = peers.Witness(mirror.mirror, directory / "witness.pcap")
        sipp.append(peers.SippCalls(mirror, str(directory / "before"), CALLS, SECONDS, 50, "7"))
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGSTARTED" for e in events) >= CALLS, 20,
                            f"{CALLS} RECORDINGSTARTED")
        time.sleep(3)
        run.killed_at = time.time()
        daemon.kill()
        subscriber.close()
        started = time.monotonic()
        daemon.start()
        run.restart_s = time.monotonic() - started
        sipp[0].wait()
        subscriber = Subscriber(daemon.ports["events"])
        sipp.append(peers.SippCalls(mirror, str(directory / "after"), 20, 2.0, 50, "6"))
        sipp[1].wait()
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" for e in events) >= 20, 20,
                            "recordings after the restart")
        run.calls, run.streams = witness.stop()
        run.by_device = {call.called: call for call in run.calls.values()}
        run.daemon = daemon
        run.recordings = {}
        with XmlClient(daemon.ports["xml"]) as client:
            for result in client.ask("CALLLIST", CALLCOUNT=1000).root.iter("SEARCHRESULT"):
                run.recordings.setdefault(result.findtext("DEVICEID"), []).append(result)
        yield run
    finally:
        for part in (*sipp, witness, daemon):
            if part:
                part.kill()
        if subscriber:
            subscriber.close()


def first_recording(run, device):
    return min(run.recordings[device], key=lambda r: int(r.findtext("RECORDID")))


def test_it_serves_again_soon(killed):
    assert killed.restart_s < 5


def test_every_call_is_there_up_to_a_second_before(killed):
    web = WebClient(killed.daemon.ports["webapi"])
    for number in range(1, CALLS + 1):
        device = f"7{number}"
        assert device in killed.recordings, f"{device} is lost"
    for number in range(1, CALLS + 1, 7):
        device = f"7{number}"
        call = killed.by_device[device]
        wav = audio.Wav(web.export("ident", first_recording(killed, device).findtext("RECORDID")))
        heard = killed.killed_at - call.answered
        assert heard - LOST_AT_MOST_S <= wav.duration <= heard + 0.1, device


def test_what_is_there_is_what_was_said(killed):
    web = WebClient(killed.daemon.ports["webapi"])
    for number in range(3, CALLS + 1, 40):
        device = f"7{number}"
        call = killed.by_device[device]
        wav = audio.Wav(web.export("ident", first_recording(killed, device).findtext("RECORDID")))
        hosts = [f"{host}:{port}" for host, port in call.media[:2]]
        for side, (source, target) in (("far", hosts), ("device", hosts[::-1])):
            packets = next(p for key, p in killed.streams.items() if key[:2] == (source, target))
            before = [p for p in packets if p.time < killed.killed_at - LOST_AT_MOST_S]
            matched, compared, _ = audio.match_packets(wav, side, before, call.answered, jitter_s=0.1)
            assert compared >= len(before) - 10 and matched >= 0.99 * compared, (device, side, matched, compared)


def test_new_calls_are_recorded(killed):
    web = WebClient(killed.daemon.ports["webapi"])
    for number in range(1, 21):
        call = killed.by_device[f"6{number}"]
        assert len(killed.recordings[f"6{number}"]) == 1
        wav = audio.Wav(web.export("ident", killed.recordings[f"6{number}"][0].findtext("RECORDID")))
        assert wav.duration == pytest.approx(call.ended - call.answered, abs=0.1)


def test_idents_go_on_rising(killed):
    idents = [int(r.findtext("RECORDID")) for results in killed.recordings.values() for r in results]
    assert len(set(idents)) == len(idents)
    before = [int(first_recording(killed, f"7{n}").findtext("RECORDID")) for n in range(1, CALLS + 1)]
    after = [int(first_recording(killed, f"6{n}").findtext("RECORDID")) for n in range(1, 21)]
    assert min(after) > max(before)
