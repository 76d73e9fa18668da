# SPDX-License-Identifier: AGPL-3.0-or-later
"""The judge judged: the comparison of a recording with the packets finds what is wrong with it."""

import io
import wave

import pytest

from support import audio, peers, wire

PACKETS = 100


@pytest.fixture(scope="module")
def packets():
    sound = audio.encode_ulaw(peers.sweep(PACKETS / 50, 300, 1500))
    return [wire.RtpPacket(1000 + 0.02 * n, 0, n, 160 * n, 1, sound[160 * n:160 * (n + 1)]) for n in range(PACKETS)]


def make_wav(left, right):
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(left[i:i + 2] + right[i:i + 2] for i in range(0, len(left), 2)))
    return audio.Wav(memory.getvalue())


def samples_of(packets):
    return b"".join(audio.decode(0, p.payload) for p in packets)


def matched(wav, packets, side="device", recording_time=1000.0):
    result = audio.match_packets(wav, side, packets, recording_time)
    return result[0], result[1]


def test_a_faithful_recording_matches_whole(packets):
    sound = samples_of(packets)
    assert matched(make_wav(sound, bytes(len(sound))), packets) == (PACKETS, PACKETS)


def test_the_wrong_channel_matches_nothing(packets):
    sound = samples_of(packets)
    assert matched(make_wav(bytes(len(sound)), sound), packets) == (0, PACKETS - 3)  # heard late they would be cut


def test_audio_at_the_wrong_time_matches_nothing(packets):
    sound = bytes(2 * 1600) + samples_of(packets)
    assert matched(make_wav(sound, sound), packets) == (0, PACKETS)


def test_one_wrong_sample_is_one_packet_missed(packets):
    sound = bytearray(samples_of(packets))
    sound[2 * 5000] ^= 0x40
    assert matched(make_wav(bytes(sound), bytes(len(sound))), packets) == (PACKETS - 1, PACKETS)


def test_the_other_law_matches_nothing(packets):
    wrong = b"".join(audio.decode(8, p.payload) for p in packets)
    assert matched(make_wav(wrong, wrong), packets)[0] == 0


def test_a_packet_seen_twice_is_compared_once(packets):
    sound = samples_of(packets)
    assert matched(make_wav(sound, sound), [p for p in packets for _ in range(2)]) == (PACKETS, PACKETS)
