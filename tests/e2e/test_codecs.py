# SPDX-License-Identifier: AGPL-3.0-or-later
"""A short call in each codec, named by its SDP: the WAV's sides against what ffmpeg makes of the same payloads."""

import array
import ctypes
import math
import random
import subprocess
from dataclasses import dataclass

import pytest

from support import audio, capture_files, layers, peers, programs, short_call, wire

pytestmark = pytest.mark.skipif(programs.missing("ffmpeg") is not None, reason="needs ffmpeg")

PACKETS = 100  # in each direction, 20 ms each
TONES = {"far": (300, 1000), "device": (1200, 2100)}


def ffmpeg(data, *arguments):
    """bytes through ffmpeg, which reads and writes pipes."""
    return subprocess.run(["ffmpeg", "-v", "error", *arguments, "-"], input=data, capture_output=True, check=True,
                          timeout=60).stdout


def pcm(rate):
    return ["-f", "s16le", "-ac", "1", "-ar", str(rate)]


@dataclass
class Codec:
    """A codec whose stream ffmpeg cuts nowhere: packet_bytes make 20 ms."""
    name: str
    rtpmap: str
    encoder: list
    reader: list
    packet_bytes: int
    rate: int = 8000
    payload_type: int = 96
    least_db: float = 90  # of the WAV against ffmpeg's samples
    packet_s: float = 0.02
    fmtp: str = ""

    clock = 8000
    wav_rate = property(lambda self: self.rate)

    def payloads(self, samples):
        stream = ffmpeg(samples, *pcm(self.rate), "-i", "-", *self.encoder)
        return [stream[at:at + self.packet_bytes] for at in range(0, len(stream), self.packet_bytes)][:PACKETS]

    def decoded(self, payloads):
        return ffmpeg(b"".join(payloads), *self.reader, "-i", "-", *pcm(self.rate))


def g726(name, bits, kind):
    size = ["-code_size", str(bits)]
    return Codec(f"{name.lower()}", f"{name}/8000", ["-c:a", kind, *size, "-f", kind],
                 ["-f", kind, *size, "-ar", "8000"], 20 * bits, least_db=20)


class G729(Codec):
    """Encoded by libbcg729: ffmpeg only decodes it."""

    def __init__(self):
        super().__init__("g729", "G729/8000", [], ["-f", "g729"], 20, payload_type=18, least_db=18)

    def payloads(self, samples):
        library = ctypes.CDLL("libbcg729.so.0")
        library.initBcg729EncoderChannel.restype = ctypes.c_void_p
        encoder = ctypes.c_void_p(library.initBcg729EncoderChannel(0))
        frames = []
        for at in range(0, len(samples) - 159, 160):
            frame, size = ctypes.create_string_buffer(10), ctypes.c_uint8()
            library.bcg729Encoder(encoder, samples[at:at + 160], frame, ctypes.byref(size))
            frames.append(frame.raw[:size.value])
        library.closeBcg729EncoderChannel(encoder)
        return [a + b for a, b in zip(frames[::2], frames[1::2])]


class Opus(Codec):
    """In packets, which ffmpeg reads and writes in Ogg pages (RFC 3533, RFC 7845)."""

    clock = 48000

    def __init__(self):
        super().__init__("opus", "opus/48000/2", ["-c:a", "libopus", "-b:a", "64k", "-f", "ogg"], [], 0, rate=48000,
                         payload_type=111, least_db=30)
        self.files = {}  # Ogg by packets

    def payloads(self, samples):
        ogg = ffmpeg(samples, *pcm(self.rate), "-i", "-", *self.encoder)
        packets, packet, at = [], b"", 0
        while at < len(ogg):
            count = ogg[at + 26]
            body = at + 27 + count
            for size in ogg[at + 27:body]:
                packet += ogg[body:body + size]
                body += size
                if size < 255:
                    packets.append(packet)
                    packet = b""
            at = body
        packets = packets[2:PACKETS + 2]  # without the two of the header
        self.files[tuple(packets)] = ogg
        return packets

    def decoded(self, payloads):
        # Without the pre-skip, which RTP does not know: ffmpeg's own decoder, not libopus.
        return ffmpeg(self.files[tuple(payloads)], "-flags2", "+skip_manual", "-c:a", "opus", "-i", "-", *pcm(self.rate))


class Speex(Opus):
    """Ogg too, whose pages ffmpeg fills with packets as libspeex gives them."""

    def __init__(self, rate):
        Codec.__init__(self, f"speex-{rate}", f"SPEEX/{rate}", ["-c:a", "libspeex", "-f", "ogg"], [], 0, rate=rate,
                       payload_type=97, least_db=60)
        self.clock = rate
        self.files = {}

    def decoded(self, payloads):
        return ffmpeg(self.files[tuple(payloads)], "-c:a", "speex", "-i", "-", *pcm(self.rate))


class G7231(Codec):
    """In a WAV file, frame behind frame."""

    def __init__(self):
        super().__init__("g723", "G723/8000", ["-c:a", "g723_1", "-b:a", "6300", "-f", "wav"],
                         ["-f", "g723_1"], 24, payload_type=4, packet_s=0.03)

    def payloads(self, samples):
        file = ffmpeg(samples, *pcm(self.rate), "-i", "-", *self.encoder)
        stream = file[file.index(b"data") + 8:]
        return [stream[at:at + 24] for at in range(0, len(stream) // 24 * 24, 24)]


class AnyBits(Codec):
    """Codecs that nothing here encodes: any bits decode to something. head: of ffmpeg's file of them."""

    def __init__(self, name, rtpmap, head, frame, pack, **more):
        super().__init__(name, rtpmap, [], [], 0, least_db=50, **more)
        self.head, self.frame, self.pack = head, frame, pack

    def payloads(self, samples):
        chance = random.Random(self.name + str(len(samples)) + str(samples[:99]))
        # Of speech the loudness is low.
        self.frames = getattr(self, "frames", {})
        frames = [self.frame(chance) for _ in range(round(PACKETS * 0.02 / self.packet_s))]
        payloads = [self.pack(frame) for frame in frames]
        self.frames[tuple(payloads)] = frames
        return payloads

    def decoded(self, payloads):
        kind = {b"#!AMR\n": "amr", b"#!AMR-WB\n": "amr"}.get(self.head, "ilbc")
        return ffmpeg(self.head + b"".join(self.frames[tuple(payloads)]), "-f", kind, "-i", "-", *pcm(self.rate))


def amr_frame(mode, bits):
    """As in a file (RFC 4867 §5.3): a byte that names the mode, the bits, and zeros to a whole byte."""
    def make(chance):
        value = chance.getrandbits(bits) << (-bits % 8)
        return bytes([mode << 3 | 4]) + value.to_bytes((bits + 7) // 8, "big")
    return make


def packed(bits):
    """RFC 4867 §4.3: no octet boundaries."""
    def make(frame):
        body = int.from_bytes(frame[1:], "big") >> (-bits % 8)
        text = f"{15:04b}0{frame[0] >> 3:04b}1{body:0{bits}b}"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")
    return make


def on_octets(frame):
    """RFC 4867 §4.4."""
    return bytes([0xF0, frame[0]]) + frame[1:]


CODECS = [
    Speex(8000), Speex(16000), G7231(),
    AnyBits("amr-122", "AMR/8000", b"#!AMR\n", amr_frame(7, 244), packed(244)),
    AnyBits("amr-475-octets", "AMR/8000", b"#!AMR\n", amr_frame(0, 95), on_octets, fmtp="octet-align=1;mode-set=0"),
    AnyBits("amr-wb-1265", "AMR-WB/16000", b"#!AMR-WB\n", amr_frame(2, 253), packed(253), rate=16000),
    AnyBits("ilbc-20", "iLBC/8000", b"#!iLBC20\n", lambda chance: chance.randbytes(38), bytes, fmtp="mode=20"),
    AnyBits("ilbc-30", "iLBC/8000", b"#!iLBC30\n", lambda chance: chance.randbytes(50), bytes, packet_s=0.03),
    G729(),
    Opus(),
    Codec("g722", "G722/8000", ["-c:a", "g722", "-f", "g722"], ["-f", "g722"], 160, rate=16000, payload_type=9),
    Codec("gsm", "GSM/8000", ["-c:a", "libgsm", "-f", "gsm"], ["-c:a", "gsm", "-f", "gsm"], 33, payload_type=3),
    g726("G726-16", 2, "g726le"), g726("G726-24", 3, "g726le"), g726("G726-32", 4, "g726le"),
    g726("AAL2-G726-16", 2, "g726"), g726("AAL2-G726-24", 3, "g726"), g726("AAL2-G726-32", 4, "g726"),
]


class CodedCall(short_call.ShortCall):
    """The short call with other payloads: (timestamp, payload) lists by side, None for a packet that is lost."""

    def __init__(self, codec, payloads, described=True):
        super().__init__()
        self.codec, self.payloads, self.described = codec, payloads, described

    def _sdp(self, side):
        plain = super()._sdp(side)
        kind = self.codec.payload_type
        described = f"a=rtpmap:{kind} {self.codec.rtpmap}\r\n" if self.described else ""
        if self.codec.fmtp:
            described += f"a=fmtp:{kind} {self.codec.fmtp}\r\n"
        return plain.replace("RTP/AVP 0", f"RTP/AVP {kind}").replace("a=rtpmap:0 PCMU/8000\r\n", described)

    def media(self):
        for side, other in (("far", "device"), ("device", "far")):
            for number, payload in enumerate(self.payloads[side]):
                if payload is None:
                    continue
                at = short_call.MEDIA_BEGIN + self.codec.packet_s * number
                timestamp = round(number * self.codec.packet_s * self.codec.clock)
                data = wire.rtp_bytes(self.codec.payload_type, 100 + number, timestamp, short_call.SSRCS[side], payload,
                                      number == 0)
                yield short_call.Datagram(at, self._at(side), self._at(other), data, False)


def recorded(call, place):
    """(recording, WAV) of the only call."""
    capture = place / "call.pcap"
    frames = [(time, layers.ethernet(packet)) for time, packet in call.packets()]
    capture_files.write_pcap(capture, frames)
    recordings = programs.spantape_json("record", capture, "--store", place / "store", "--out", place / "out")
    assert len(recordings) == 1
    return recordings[0], audio.Wav(str(place / "out" / recordings[0]["file"]))


def samples_of(data):
    return array.array("h", data)


def snr(wanted, heard):
    signal = sum(sample * sample for sample in wanted)
    noise = sum((a - b) * (a - b) for a, b in zip(wanted, heard))
    return 10 * math.log10(signal / (noise or 1e-3))


def placed(channel, wanted, around, within):
    """(SNR, place) of `wanted` where it fits best in the channel."""
    probe = wanted[len(wanted) // 2:][:2000]
    def distance(place):
        part = channel[place + len(wanted) // 2:][:len(probe)]
        return sum(abs(a - b) for a, b in zip(part, probe)) if len(part) == len(probe) else math.inf
    best = min(range(max(0, around - within), around + within), key=distance)
    return snr(wanted, channel[best:best + len(wanted)]), best


def tones(rate):
    return {side: array.array("h", peers.sweep(PACKETS * 0.02, *TONES[side], rate)).tobytes() for side in TONES}


@pytest.fixture(autouse=True)
def long_enough(monkeypatch):
    monkeypatch.setattr(short_call, "PACKETS", PACKETS)


def check_call(codec, payloads, place, described=True):
    recording, wav = recorded(CodedCall(codec, payloads, described), place)
    assert wav.rate == codec.wav_rate
    assert wav.duration == pytest.approx(recording["duration"], abs=0.001)
    around = round((short_call.MEDIA_BEGIN - recording["recording_time"]) * wav.rate)
    for channel, side in zip(wav.channels, ("device", "far")):
        wanted = samples_of(codec.decoded(payloads[side]))
        heard = samples_of(channel)
        length = min(len(wanted), len(heard) - around - wav.rate // 100)
        assert length >= 0.95 * PACKETS * 0.02 * wav.rate
        quality, at = placed(heard, wanted[:length], around, wav.rate // 100)
        print(f"{codec.name} {side}: SNR {quality:.1f} dB, {at - around} samples from its arrival")
        assert quality >= codec.least_db
        assert abs(at - around) <= wav.rate // 200
    return recording, wav


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_a_call_is_heard_as_ffmpeg_hears_it(tmp_path, codec):
    payloads = {side: codec.payloads(sound) for side, sound in tones(codec.rate).items()}
    recording, _ = check_call(codec, payloads, tmp_path)
    assert {stream["codec"].upper() for stream in recording["streams"]} == {codec.rtpmap.split("/")[0].upper()}


@pytest.mark.parametrize("codec", [c for c in CODECS if c.payload_type < 96], ids=lambda codec: codec.name)
def test_a_static_number_needs_no_rtpmap(tmp_path, codec):
    payloads = {side: codec.payloads(sound) for side, sound in tones(codec.rate).items()}
    check_call(codec, payloads, tmp_path, described=False)


class RedundantCall(CodedCall):
    """RFC 2198: each packet carries the µ-law of the one before once more."""

    def __init__(self, sounds):
        payloads = {}
        for side, sound in sounds.items():
            frames = [audio.encode_ulaw(array.array("h", sound[at:at + 320])) for at in range(0, len(sound), 320)]
            payloads[side] = [bytes([0]) + frame if before is None else
                              bytes([0x80, 160 >> 6, (160 << 2 | len(before) >> 8) & 0xFF, len(before), 0]) + before + frame
                              for before, frame in zip([None, *frames], frames)]
            payloads[side] = [None if number % 5 == 3 else payload for number, payload in enumerate(payloads[side])]
        codec = Codec("red", "red/8000", [], [], 0, payload_type=121, fmtp="0/0")
        super().__init__(codec, payloads)

    def _sdp(self, side):
        return super()._sdp(side).replace("RTP/AVP 121", "RTP/AVP 121 0")


def test_what_redundancy_repeats_is_not_lost(tmp_path):
    sounds = tones(8000)
    recording, wav = recorded(RedundantCall(sounds), tmp_path)
    assert all(stream["lost"] >= PACKETS // 5 - 1 for stream in recording["streams"])
    for channel, side in zip(wav.channels, ("device", "far")):
        wanted = audio.decode(0, audio.encode_ulaw(array.array("h", sounds[side])))
        assert channel.find(wanted[:-640]) >= 0, side
