# SPDX-License-Identifier: AGPL-3.0-or-later
"""SRTP with keys in the SDP (SDES): the captures that have it, with signalling made around them, and ffmpeg as a sender
with an SRTP of its own, live."""

import base64
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

from support import audio, phones, programs, wire

KEYS = {"far": "UHXu88YuDj8guQxhCqEeue0CSr+JcQ/Uii4NdaS5", "device": "UBFc5R7tK5f91V8j1da++z3h/3H2yS5WaN819nJd"}
WRONG = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
CAPTURES = {"far": "rtpproxy_g722_srtp_a.pcap", "device": "rtpproxy_g722_srtp_o.pcap"}
PACKETS = {"far": 1168, "device": 1172}  # as truth.json has them
SUITE = "AES_CM_128_HMAC_SHA1_80"


class SecureCall(phones.PhoneCall):
    """A call whose SDP has a profile and a=crypto lines: {side: [line]}."""

    def __init__(self, exchange, device, crypto, profile="RTP/SAVP", payload="9 G722/8000"):
        super().__init__(exchange, device, "5551234")
        self.crypto, self.profile, self.payload = crypto, profile, payload

    def _sdp(self, side):
        number, encoding = self.payload.split()
        lines = ["v=0", f"o=- 1 1 IN IP4 {self.hosts[side]}", "s=-", f"c=IN IP4 {self.hosts[side]}", "t=0 0",
                 f"m=audio {self.ports[side]} {self.profile} {number}", f"a=rtpmap:{number} {encoding}",
                 *[f"a=crypto:{line}" for line in self.crypto.get(side, [])], ""]
        return "\r\n".join(lines)


class Tape:
    """Stands for an exchange and its port: keeps the frames sent, with the time that `now` has then."""

    def __init__(self):
        self.port, self.lock, self.open, self.audio = self, threading.Lock(), [], []
        self.frames, self.now = [], 0.0

    def send(self, frame):
        self.frames.append((self.now, frame))
        self.now += 0.001

    def write(self, path):
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for at, frame in sorted(self.frames, key=lambda entry: entry[0]):
                micros = round(at * 1e6)
                file.write(struct.pack("<IIII", micros // 1000000, micros % 1000000, len(frame), len(frame)) + frame)


def read_pcap(path):
    """[(time, frame)] of an Ethernet capture in little-endian microseconds."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:4] == b"\xd4\xc3\xb2\xa1"
    position, frames = 24, []
    while position < len(data):
        seconds, micros, captured, _ = struct.unpack_from("<IIII", data, position)
        frames.append((seconds + micros / 1e6, data[position + 16:position + 16 + captured]))
        position += 16 + captured
    return frames


def call_around(path, crypto, profile="RTP/SAVP", answered_after=-0.1):
    """The two captures as one call; its answer comes so many seconds after the first packet."""
    tape = Tape()
    media = [entry for name in CAPTURES.values() for entry in read_pcap(os.path.join(programs.CAPTURES, name))]
    first, last = min(media)[0], max(media)[0]
    call = SecureCall(tape, "7001", crypto, profile)
    call.hosts = {"far": "192.168.1.62", "device": "192.168.1.69"}
    call.ports = {"far": 2230, "device": 44724}
    tape.now = first - 2
    call.invite()
    tape.now = first + answered_after
    call.answer()
    tape.now = last + 0.01
    call.end()
    tape.frames += media
    tape.write(path)


def crypto_of(keys, suite=SUITE):
    return {side: [f"1 {suite} inline:{key}"] for side, key in keys.items()}


def record(directory, name, *arguments, **options):
    place = directory / name
    place.mkdir()
    call_around(place / "call.pcap", *arguments, **options)
    done = programs.run(programs.SPANTAPE, "record", place / "call.pcap", "--store", place / "store", "--out",
                        place / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert_no_key(place / "store", done.stdout, done.stderr)
    recordings = programs.spantape_json("calls", "--store", place / "store")
    assert len(recordings) == 1
    return recordings[0], place


def assert_no_key(store, *texts):
    """Key material is nowhere: neither as base64 nor as bytes."""
    needles = [part for key in KEYS.values() for part in (key.encode(), base64.b64decode(key)[:16])]
    for root, _, files in os.walk(store):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                data = file.read()
            assert not any(needle in data for needle in needles), f"a key in {name}"
    for text in texts:
        assert not any(key in text for key in KEYS.values())


with_captures = pytest.mark.skipif(not os.path.isdir(programs.CAPTURES), reason=f"no captures in {programs.CAPTURES}")


def by_side(recording):
    return {stream["side"]: stream for stream in recording["streams"]}


@with_captures
@pytest.mark.parametrize("answered_after", [-0.1, 0.0, 0.7], ids=["keys first", "at once", "media first"])
def test_every_packet_is_decrypted(tmp_path, answered_after):
    recording, _ = record(tmp_path, "call", crypto_of(KEYS), answered_after=answered_after)
    streams = by_side(recording)
    assert {side: stream["packets"] for side, stream in streams.items()} == PACKETS
    assert {stream["encryption"] for stream in streams.values()} == {"srtp"}
    assert recording["ledger"]["undecryptable"] == 0
    assert recording["ledger"]["stored"] == sum(PACKETS.values())


@with_captures
def test_of_several_offered_keys_the_one_in_use_is_found(tmp_path):
    crypto = crypto_of(KEYS)
    crypto["far"] = [f"1 AES_CM_128_HMAC_SHA1_32 inline:{KEYS['far']}", f"2 {SUITE} inline:{WRONG}",
                     f"3 F8_128_HMAC_SHA1_80 inline:{WRONG}", f"4 {SUITE} inline:{KEYS['far']}|2^31 WSH=128"]
    recording, _ = record(tmp_path, "call", crypto)
    assert {side: stream["packets"] for side, stream in by_side(recording).items()} == PACKETS
    assert recording["ledger"]["undecryptable"] == 0


@with_captures
@pytest.mark.parametrize("crypto", [{}, crypto_of({"far": WRONG, "device": WRONG})], ids=["none", "wrong"])
def test_without_the_key_the_recording_says_so_and_holds_no_noise(tmp_path, crypto):
    recording, place = record(tmp_path, "call", crypto)
    for stream in recording["streams"]:
        assert stream["encryption"] == "srtp, no key"
        assert stream["packets"] == 0
        assert stream["duration"] == pytest.approx(23.4, abs=0.2)
    assert len(recording["streams"]) == 2
    assert recording["ledger"]["undecryptable"] == sum(PACKETS.values())
    assert recording["ledger"]["lost_before"] == 0
    files = list((place / "out").glob("*.wav"))
    assert len(files) == 1
    wav = audio.Wav(str(files[0]))
    assert wav.duration == pytest.approx(recording["duration"], abs=0.001)
    assert not any(any(channel) for channel in wav.channels)


SWEEPS = {"far": "aevalsrc=0.4*sin(2*PI*(300+200*t)*t):s=8000:d=4",
          "device": "aevalsrc=0.4*sin(2*PI*(1200+150*t)*t):s=8000:d=4"}
SUITES = {"far": SUITE, "device": "AES_CM_128_HMAC_SHA1_32"}


class Ffmpeg:
    """ffmpeg sends SRTP to a socket of ours; each packet goes on, as a frame of the call, into the port."""

    def __init__(self, call, side):
        self.call, self.side = call, side
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.packets = 0
        self.process = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", SWEEPS[side], "-ac", "1", "-c:a", "pcm_mulaw",
             "-payload_type", "0", "-srtp_out_suite", SUITES[side], "-srtp_out_params", KEYS[side], "-f", "rtp",
             f"srtp://127.0.0.1:{self.socket.getsockname()[1]}?pkt_size=332"], stdout=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self._forward, daemon=True)
        self.thread.start()

    def _forward(self):
        other = "device" if self.side == "far" else "far"
        ends = [(self.call.hosts[side], self.call.ports[side]) for side in (self.side, other)]
        while True:
            try:
                packet = self.socket.recv(2048)
            except TimeoutError:
                return
            if 192 <= packet[1] <= 223:
                continue  # SRTCP
            self.packets += 1
            self.call.exchange.port.send(wire.udp_frame(*ends, packet))

    def wait(self):
        self.process.wait(30 * programs.PATIENCE)
        time.sleep(0.3)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(10)
        self.socket.close()


def sent_audio(side):
    return subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", SWEEPS[side], "-ac", "1", "-f", "mulaw", "-"],
                          capture_output=True, check=True).stdout


@pytest.mark.skipif(programs.missing("ffmpeg") is not None, reason="needs ffmpeg")
def test_a_live_call_of_an_independent_sender_is_heard_as_it_was_sent(start_daemon, exchange, port, tmp_path):
    daemon = start_daemon(tmp_path, [f"pcap:{port.inside}"])
    call = SecureCall(exchange, "7002", {side: [f"1 {SUITES[side]} inline:{KEYS[side]}"] for side in KEYS},
                      payload="0 PCMU/8000")
    call.send_media = lambda: None  # ffmpeg does
    call.invite()
    call.answer()
    senders = [Ffmpeg(call, side) for side in ("far", "device")]
    try:
        for sender in senders:
            sender.wait()
        call.end()
    finally:
        for sender in senders:
            sender.close()
    programs.wait_until(
        lambda: [r for r in programs.spantape_json("calls", "--store", daemon.store) if r["state"] == "stored"], 20,
        "the recording is stored")
    daemon.stop()
    recording = programs.spantape_json("calls", "--store", daemon.store)[0]
    assert_no_key(daemon.store, daemon.log())
    assert recording["ledger"]["undecryptable"] == 0
    streams = by_side(recording)
    assert {s.side: s.packets for s in senders} == {side: stream["packets"] for side, stream in streams.items()}
    assert {stream["encryption"] for stream in streams.values()} == {"srtp"}
    done = programs.run(programs.SPANTAPE, "export", recording["ident"], "--store", daemon.store, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    wav = audio.Wav(str(next(tmp_path.glob("**/*.wav"))))
    for side, channel in zip(("device", "far"), wav.channels):
        sound = sent_audio(side)
        pieces = [sound[start:start + 160] for start in range(0, len(sound) - 160, 160)]
        found = sum(channel.find(audio.decode(0, piece)) >= 0 for piece in pieces)
        assert found >= 0.98 * len(pieces), f"{side}: {found} of {len(pieces)}"
