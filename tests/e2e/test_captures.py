# SPDX-License-Identifier: AGPL-3.0-or-later
"""Captures of real calls: what `spantape record` makes of each, against tshark, ffmpeg and the captures' own table."""

import array
import json
import math
import os
import subprocess
from dataclasses import dataclass

import pytest

from support import audio, programs, wire

LENGTH_TOLERANCE_S = 0.020
SAMPLES_NEEDED = 0.99  # of a stream's packets must stand in the WAV sample by sample,
ALL_SAMPLES_NEEDED = 0.98  # counting those in which nothing is heard: the playout may stretch them


@dataclass
class Expected:
    """What a capture must give today, and what a later issue adds."""
    recordings: int
    later: str = ""
    jitter_s: float = 0.080  # how far from its arrival a packet may be heard: a jitter buffer's 60 ms, and a packet


# One recording for each answered call whose SIP came whole, in UDP packets or over TCP.
EXPECTED = {
    "sip_call_rtp_g711_proxied.pcap": Expected(1),
    "b2bua_asterisk_pcmu.pcapng": Expected(2),
    "rtp_protocol_pcma_cn.pcap": Expected(1),
    "codec_switch_pcmu_to_g722_reinvite.pcap": Expected(1),
    "sip_rtp_g729a.pcap": Expected(1),
    "sip_rtp_g711_ulaw_alaw.pcap": Expected(2),
    "sip_dtmf_rfc2833_pcma_30ms.pcap": Expected(1),
    "invite_opus_bye.pcap": Expected(1),
    "fax_t38_declined_pcma.pcap": Expected(2),
    "zeek_sip_invalid_content_length.pcap": Expected(1),
    "pcpp_sip_non_default_port.pcap": Expected(1),
    "sip_ipv6_fragments_sll.pcap": Expected(1),
    "sip_over_tcp_pcma_cn.pcap": Expected(1),
    # SIP, but no answered call in it.
    "fuzz_2006_sip_rtp.pcap": Expected(0),
    "sip_register_invite_cancel.pcap": Expected(0),
    "suricata_sip_compact_form.pcap": Expected(0),
    "zeek_sip_junk_before_request.pcap": Expected(0),
    "suricata_sip_body_large_tcp.pcap": Expected(0),
    "gre_ppp_vlan_sip.pcapng": Expected(0),
    # RTP without signalling.
    "skinny_sccp_rtp.pcap": Expected(0, later="calls signalled by the API only"),
    "opus_dtmf_sll_rtp_only.pcap": Expected(0),
    "sipp_g711a_rtp_only.pcap": Expected(0),
    "sipp_dtmf_2833_1.pcap": Expected(0),
    "amr_nb_duplicated_sll_rtp_only.pcap": Expected(0),
    "rtpproxy_dups_g729.pcap": Expected(0),
    "rtpproxy_dlt_null_v4_v6_gsm.pcap": Expected(0),
    "rtpproxy_g722_srtp_a.pcap": Expected(0),
    "rtpproxy_g722_srtp_o.pcap": Expected(0),
}

pytestmark = [
    pytest.mark.skipif(not os.path.isdir(programs.CAPTURES), reason=f"no captures in {programs.CAPTURES}"),
    pytest.mark.skipif(programs.missing("tshark", "ffmpeg") is not None, reason="needs tshark and ffmpeg"),
]


def truth():
    try:
        with open(os.path.join(programs.CAPTURES, "truth.json"), encoding="utf-8") as file:
            return {entry["file"]: entry for entry in json.load(file)}
    except OSError:
        return {}


TRUTH = truth()


@pytest.fixture(scope="module")
def recorded(directory):
    """Records a capture once: {file name: list of recordings}."""
    results = {}

    def record(name):
        if name not in results:
            place = directory / name
            results[name] = programs.spantape_json(
                "record", os.path.join(programs.CAPTURES, name), "--store", place / "store", "--out", place / "out")
        return results[name]
    return record


def key_of(stream):
    return stream["source"], stream["destination"], int(stream["ssrc"], 16)


def streams_of(recordings):
    """{(source, destination, ssrc): [(recording, stream)]}"""
    found = {}
    for recording in recordings:
        for stream in recording["streams"]:
            found.setdefault(key_of(stream), []).append((recording, stream))
    return found


# Where the table's reader was misled, the packets themselves say how many and how long they are. A re-INVITE offered
# T.38 on this stream's port and was declined; the reader took the audio after it for fax.
MISREAD = {("fax_t38_declined_pcma.pcap", ("10.35.60.100:15580", "10.23.1.52:16756", 0x0EAF0EAF))}


def spoken_length(packets):
    """Extent of the audio in RTP time, in seconds."""
    return (packets[-1].timestamp + len(packets[-1].payload) - packets[0].timestamp) / 8000


def true_streams(name):
    """The streams of the table; each belongs to an answered call over UDP where the file has such calls."""
    streams = {(s["src"], s["dst"], int(s["ssrc"], 16)): s for s in TRUTH[name]["streams"]}
    for key in streams:
        if (name, key) in MISREAD:
            packets = wire.tshark_streams(os.path.join(programs.CAPTURES, name))[key]
            streams[key] = {**streams[key], "unique": len(packets), "duration_s": spoken_length(packets)}
    return streams


def wav_path(recording, name, directory):
    return os.path.join(str(directory), name, "out", recording["file"])


WITH_MEDIA = [name for name, e in EXPECTED.items() if e.recordings and name in TRUTH and TRUTH[name]["streams"]]


def test_every_capture_is_expected():
    assert set(TRUTH) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_one_recording_for_each_answered_call(recorded, name):
    recordings = recorded(name)
    assert len(recordings) == EXPECTED[name].recordings
    assert len({r["ident"] for r in recordings}) == len(recordings)


@pytest.mark.parametrize("name", WITH_MEDIA)
def test_every_stream_is_found_whole(recorded, name):
    found = streams_of(recorded(name))
    for key, true in true_streams(name).items():
        assert key in found, f"{key} was not recorded; found {sorted(found)}"
        for _, stream in found[key]:
            assert stream["packets"] == true["unique"], key
            assert stream["codec"].upper() == true["codec"]


@pytest.mark.parametrize("name", WITH_MEDIA)
def test_every_stream_has_its_length(recorded, name):
    found = streams_of(recorded(name))
    for key, true in true_streams(name).items():
        for _, stream in found[key]:
            assert stream["duration"] == pytest.approx(true["duration_s"], abs=LENGTH_TOLERANCE_S), key
            assert stream["start"] == pytest.approx(true["start"], abs=0.001), key


@pytest.mark.parametrize("name", WITH_MEDIA)
def test_the_two_directions_are_on_two_sides(recorded, name):
    for recording in recorded(name):
        sides = {(s["source"], s["destination"]): s["side"] for s in recording["streams"]}
        assert set(sides.values()) <= {"device", "far"}
        for (source, destination), side in sides.items():
            if (destination, source) in sides:
                assert sides[(destination, source)] != side, f"both directions of {source} on side {side}"


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name].recordings])
def test_the_file_is_as_long_as_the_call(recorded, directory, name):
    for recording in recorded(name):
        wav = audio.Wav(wav_path(recording, name, directory))
        assert len(wav.channels) == 2
        assert wav.rate in (8000, 16000, 48000)
        assert wav.duration == pytest.approx(recording["duration"], abs=0.001)


def audible(packets):
    """Those in which something is heard: in others the playout may catch up with the clock. All, where none is."""
    loud = [p for p in packets if p.payload_type in audio.TABLES and max(
        array.array("h", audio.decode(p.payload_type, p.payload)), key=abs, default=0) not in range(-255, 256)]
    return loud or packets


@pytest.mark.parametrize("name", WITH_MEDIA)
def test_samples_equal_an_independent_decoding(recorded, directory, record_property, name):
    packets = wire.tshark_streams(os.path.join(programs.CAPTURES, name))
    found = streams_of(recorded(name))
    for key, true in true_streams(name).items():
        if true["codec"] not in ("PCMU", "PCMA"):
            continue
        # Resampled beside a codec of more band: see the test of loudness.
        if any(audio.Wav(wav_path(recording, name, directory)).rate != 8000 for recording, _ in found[key]):
            continue
        # A stream that two recordings share must be heard in at least one of them whole.
        best, quiet_too = (0, 0, []), 0
        for recording, stream in found[key]:
            wav = audio.Wav(wav_path(recording, name, directory))
            result, every = (audio.match_packets(wav, stream["side"], some, recording["recording_time"],
                                                 EXPECTED[name].jitter_s) for some in (audible(packets[key]), packets[key]))
            best = max(best, result, key=lambda r: r[0])
            quiet_too = max(quiet_too, every[0] / max(every[1], 1))
        matched, compared, missed = best
        record_property(f"{key[0]} > {key[1]}", f"{matched}/{compared}")
        print(f"{name} {key[0]} > {key[1]} {key[2]:#010x}: {matched} of {compared} packets match sample by sample")
        # Packets may fall outside a recording that begins at the answer; most must not.
        heard = sum(1 for p in audible(packets[key]) if p.payload_type in audio.TABLES)
        assert compared >= 0.9 * heard or compared >= heard - 50, f"{key}: only {compared} of {heard} could be compared"
        assert matched >= SAMPLES_NEEDED * compared, \
            f"{key}: {matched} of {compared}; first missed {[(p.sequence, p.time) for p in missed[:5]]}"
        assert quiet_too >= ALL_SAMPLES_NEEDED, f"{key}: with those in which nothing is heard {quiet_too:.3f}"


def loudness(channel, rate, begin_s):
    """dBFS of each whole second from begin_s on."""
    samples = array.array("h", channel)
    begin = round(begin_s * rate)
    seconds = [samples[at:at + rate] for at in range(begin, len(samples) - rate + 1, rate)]
    return [10 * math.log10(max(1e-10, sum(s * s for s in second) / rate / 32768**2)) for second in seconds]


@pytest.mark.parametrize("name", ["codec_switch_pcmu_to_g722_reinvite.pcap", "sip_rtp_g729a.pcap",
                                  "invite_opus_bye.pcap"])
def test_other_codecs_are_as_loud_as_an_independent_decoding(recorded, directory, name):
    found = streams_of(recorded(name))
    for true in TRUTH[name]["streams"]:
        for recording, stream in found[true["src"], true["dst"], int(true["ssrc"], 16)]:
            wav = audio.Wav(wav_path(recording, name, directory))
            begin = max(0, stream["start"] - recording["recording_time"])
            heard = loudness(wav.channels[0 if stream["side"] == "device" else 1], wav.rate, begin)
            wanted = true["rms_dbfs_per_s"][:int(true["duration_s"])]  # whole seconds
            assert len(heard) >= len(wanted) - 1
            print(name, true["codec"], [round(a - b, 2) for a, b in zip(heard, wanted)], "dB")
            for ours, theirs in list(zip(heard, wanted))[1:]:  # the first holds the end of the codec before
                assert ours == pytest.approx(theirs, abs=1) or max(ours, theirs) < -80  # silence is silence


@pytest.mark.parametrize("payload_type, codec", [(0, "mulaw"), (8, "alaw")])
def test_the_independent_decoding_agrees_with_ffmpeg(payload_type, codec):
    codes = bytes(range(256))
    decoded = subprocess.run(["ffmpeg", "-v", "error", "-f", codec, "-ar", "8000", "-ac", "1", "-i", "-", "-f", "s16le",
                              "-"], input=codes, capture_output=True, check=True).stdout
    assert audio.decode(payload_type, codes) == decoded
