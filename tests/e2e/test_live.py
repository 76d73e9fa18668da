# SPDX-License-Identifier: AGPL-3.0-or-later
"""200 calls between real SIP peers, mirrored to a port, recorded live, and worked on through the API meanwhile."""

import subprocess
import time

import pytest

from support import audio, peers, programs
from support.clients import Subscriber, WebClient, XmlClient

CALLS = 200
SECONDS = 8.0
RATE_CPS = 50
PREFIX = "7"
TAGGED = range(1, 21)    # call numbers that get USER1 while they run
STOPPED = range(21, 26)  # call numbers whose recording the API stops
LENGTH_TOLERANCE_S = 0.100

pytestmark = [pytest.mark.alone,
              pytest.mark.skipif(programs.missing("sipp", "tcpdump") is not None, reason="needs sipp and tcpdump")]


def device(number):
    return f"{PREFIX}{number}"


class LiveRun:
    """The calls as the witness saw them, what the subscriber heard, and the appliance, which still runs."""


@pytest.fixture(scope="module")
def live(mirror, directory):
    run = LiveRun()
    run.daemon = programs.Daemon(directory, [f"pcap:{mirror.mirror}"], devices={"match": [f"^{PREFIX}[0-9]+$"]})
    run.daemon.start()
    witness = subscriber = calls = None
    try:
        subscriber = Subscriber(run.daemon.ports["events"])
        witness = peers.Witness(mirror.mirror, directory / "witness.pcap")
        calls = peers.SippCalls(mirror, str(directory / "sipp"), CALLS, SECONDS, RATE_CPS, PREFIX)
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGSTARTED" for e in events) >= CALLS, 20,
                            f"{CALLS} RECORDINGSTARTED")
        with XmlClient(run.daemon.ports["xml"]) as client:
            run.during = client.ask("DEVICELIST")
            # The last call's channel is PreparingToRecord from its answer to its first packet.
            programs.wait_until(lambda: all_recording(client), 3, f"{CALLS} channels Recording")
            run.tag_answers = [client.ask("CALLUPDATE", DEVICEID=device(n), USER1=f"tag-{n}") for n in TAGGED]
            time.sleep(1)
            run.stop_answers = [client.ask("RECORDSTOP", DEVICEID=device(n)) for n in STOPPED]
            run.stopped_at = time.time()
        calls.wait()
        subscriber.wait_for(lambda events: sum(e.type == "RECORDINGUPDATE" for e in events) >= CALLS, 20,
                            f"{CALLS} RECORDINGUPDATE")
        run.calls, run.streams = witness.stop()
        run.by_device = {call.called: call for call in run.calls.values()}
        run.subscriber = subscriber
        run.recordings = {}
        with XmlClient(run.daemon.ports["xml"]) as client:
            run.list = client.ask("CALLLIST", CALLCOUNT=1000)
        for result in run.list.root.iter("SEARCHRESULT"):
            run.recordings.setdefault(result.findtext("DEVICEID"), []).append(result)
        yield run
        run.daemon.stop()
    finally:
        for part in (calls, witness, run.daemon):
            if part:
                part.kill()
        if subscriber:
            subscriber.close()


def all_recording(client):
    states = [c.findtext("STATE") for c in client.ask("CHANNELS").root.iter("CHANNEL")]
    return states.count("Recording") == CALLS


def flow_key(run, number, side):
    """The witness's stream of one side of a call."""
    caller, phone = (f"{host}:{port}" for host, port in run.by_device[device(number)].media[:2])
    source, destination = (caller, phone) if side == "far" else (phone, caller)
    return next(key for key in run.streams if key[:2] == (source, destination))


def test_the_peers_made_the_calls_that_they_should(live):
    assert len(live.calls) == CALLS
    assert len(live.streams) == 2 * CALLS
    assert all(call.answered and call.ended for call in live.calls.values())


def test_none_is_missed_and_none_recorded_twice(live):
    assert {d: len(r) for d, r in live.recordings.items()} == {device(n): 1 for n in range(1, CALLS + 1)}


def test_all_were_recorded_at_the_same_time(live):
    recording = [d.findtext("DEVICEID") for d in live.during.root.iter("DEVICE")
                 if d.findtext("RECORDING/ISRECORDING") == "Y"]
    assert len(recording) == CALLS


def test_every_stream_is_stored_whole_and_nothing_is_lost(live):
    stored = {r["device_id"]: r for r in programs.spantape_json("calls", "--store", live.daemon.store, "--limit", 1000)}
    assert len(stored) == CALLS
    for number in range(1, CALLS + 1):
        recording = stored[device(number)]
        assert recording["state"] == "stored"
        ledger = recording["ledger"]
        assert (ledger["lost_before"], ledger["dropped_us"], ledger["dropped_kernel"]) == (0, 0, 0), device(number)
        if number in STOPPED:
            continue
        found = {(s["source"], s["destination"], int(s["ssrc"], 16)): (s["side"], s["packets"])
                 for s in recording["streams"]}
        keys = {side: flow_key(live, number, side) for side in ("far", "device")}
        assert found == {key: (side, len(live.streams[key])) for side, key in keys.items()}, device(number)


def test_lengths_are_those_of_the_calls(live):
    web = WebClient(live.daemon.ports["webapi"])
    for number in [n for n in range(1, CALLS + 1) if n not in STOPPED][::8]:
        call = live.by_device[device(number)]
        wav = audio.Wav(web.export("ident", live.recordings[device(number)][0].findtext("RECORDID")))
        assert wav.duration == pytest.approx(call.ended - call.answered, abs=LENGTH_TOLERANCE_S), device(number)
    for number in range(1, CALLS + 1):
        if number not in STOPPED:  # the list has whole seconds
            call = live.by_device[device(number)]
            seconds = int(live.recordings[device(number)][0].findtext("DURATION"))
            assert abs(seconds - (call.ended - call.answered)) <= 1, device(number)


def test_both_directions_are_there_sample_by_sample(live):
    web = WebClient(live.daemon.ports["webapi"])
    for number in range(30, CALLS + 1, 10):
        result = live.recordings[device(number)][0]
        wav = audio.Wav(web.export("ident", result.findtext("RECORDID")))
        call = live.by_device[device(number)]
        for side in ("far", "device"):
            packets = live.streams[flow_key(live, number, side)]
            matched, compared, missed = audio.match_packets(wav, side, packets, call.answered, jitter_s=0.1)
            assert compared >= len(packets) - 10
            assert matched >= 0.99 * compared, (device(number), side, [p.sequence for p in missed[:5]])


def test_a_tag_given_during_the_call_finds_its_recording(live):
    assert [a.code for a in live.tag_answers] == [20] * len(TAGGED)
    with XmlClient(live.daemon.ports["xml"]) as client:
        for number in TAGGED:
            results = list(client.ask("CALLLIST", USER1=f"tag-{number}").root.iter("SEARCHRESULT"))
            assert [r.findtext("DEVICEID") for r in results] == [device(number)]


def test_a_recording_stopped_by_the_api_ends_there(live):
    assert [a.code for a in live.stop_answers] == [20] * len(STOPPED)
    web = WebClient(live.daemon.ports["webapi"])
    for number in STOPPED:
        wav = audio.Wav(web.export("ident", live.recordings[device(number)][0].findtext("RECORDID")))
        expected = live.stopped_at - live.by_device[device(number)].answered
        assert wav.duration == pytest.approx(expected, abs=0.5), device(number)


def test_events_of_each_device_come_in_order(live):
    """The call ends first; its recording stops when the media that was under way has come."""
    for number in range(1, CALLS + 1):
        kinds = [e.type for e in live.subscriber.of(device(number))]
        expected = ["CALLSTART", "RECORDINGSTARTED", "CALLSTOP", "RECORDINGSTOPPED", "RECORDINGUPDATE"]
        if number in STOPPED:
            expected = ["CALLSTART", "RECORDINGSTARTED", "RECORDINGSTOPPED", "RECORDINGUPDATE", "CALLSTOP"]
        assert kinds == expected, device(number)


def test_events_carry_the_call(live):
    call = next(e for e in live.subscriber.of(device(1)) if e.type == "CALLSTART")
    assert call.event_class == "CALL"
    assert (call.data["ANI"], call.data["DNIS"], call.data["CALLDIRECTION"]) == ("5551", device(1), "I")
    started, stopped, update = (next(e for e in live.subscriber.of(device(1)) if e.type == kind)
                                for kind in ("RECORDINGSTARTED", "RECORDINGSTOPPED", "RECORDINGUPDATE"))
    assert started.event_class == "RECORD"
    assert len({e.data["GLOBALCALLID"] for e in (call, started, stopped, update)}) == 1
    record_id = live.recordings[device(1)][0].findtext("RECORDID")
    assert stopped.data["RECORDID"] == update.data["RECORDID"] == record_id
    assert stopped.data["USER1"] == "tag-1"
    assert update.data["FILENAME"].endswith(".wav")


@pytest.mark.skipif(programs.missing("baresip", "sox") is not None, reason="needs baresip and sox")
def test_softphones_are_recorded(mirror, directory):
    """Two baresip phones, PCMA; no devices configured: the call is recorded once, on the called user."""
    wavs = []
    for name, tones in (("caller", "300-1200"), ("phone", "1500-600")):
        wavs.append(str(directory / f"{name}.wav"))
        subprocess.run(["sox", "-n", "-r", "8000", "-c", "1", "-b", "16", wavs[-1], "synth", "20", "sine", tones, "vol",
                        "0.5"], check=True)
    place = directory / "baresip"
    place.mkdir()
    daemon = programs.Daemon(place, [f"pcap:{mirror.mirror}"]).start()
    witness = subscriber = phone = caller = None
    try:
        subscriber = Subscriber(daemon.ports["events"])
        witness = peers.Witness(mirror.mirror, place / "witness.pcap")
        phone = peers.Baresip(mirror.b, mirror.ADDRESS_B, str(place / "phone"), "4002", wavs[1], "PCMA", 12)
        time.sleep(1)
        caller = peers.Baresip(mirror.a, mirror.ADDRESS_A, str(place / "caller"), "4001", wavs[0], "PCMA", 5,
                               dial=f"sip:4002@{mirror.ADDRESS_B}")
        update = subscriber.wait_type("RECORDINGUPDATE", "4002", 20)
        calls, streams = witness.stop()
        call = next(iter(calls.values()))
        wav = audio.Wav(WebClient(daemon.ports["webapi"]).export("ident", update.data["RECORDID"]))
        assert wav.duration == pytest.approx(call.ended - call.answered, abs=LENGTH_TOLERANCE_S)
        for (source, _, _), packets in streams.items():
            side = "far" if source.startswith(mirror.ADDRESS_A) else "device"
            matched, compared, _ = audio.match_packets(wav, side, packets, call.answered, jitter_s=0.1)
            assert compared > 150 and matched >= 0.99 * compared, side
        assert daemon.stop() == 0
    finally:
        for part in (caller, phone, witness, daemon):
            if part:
                part.kill()
        if subscriber:
            subscriber.close()
