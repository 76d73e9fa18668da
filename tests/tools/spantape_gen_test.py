# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs spantape-gen (its path is the first argument) and checks what comes out with a reader of its own: packets,
SIP, every sample by the documented formula, and, where it is installed, tshark's opinion."""

import json
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
import wave

PROGRAM = os.path.abspath(sys.argv.pop(1))
SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>; beyond the system's limit, as root may


# The formula and the encoders, written from their description (--help, ITU-T G.711), not from the program.
class Formula:
    def __init__(self, rate):
        self.rate = rate
        self.table = [int(math.copysign(math.floor(abs(6000 * math.sin(2 * math.pi * i / rate)) + 0.5),
                                        math.sin(2 * math.pi * i / rate))) for i in range(rate)]

    def sample(self, stream, n):
        f1, f2 = 300 + 10 * (stream % 97), 1300 + 10 * (stream // 97 % 101)
        x = (n + stream * 0x9E3779B1) & 0xFFFFFFFF
        x = ((x ^ x >> 16) * 0x7FEB352D) & 0xFFFFFFFF
        x = ((x ^ x >> 15) * 0x846CA68B) & 0xFFFFFFFF
        x ^= x >> 16
        return self.table[f1 * n % self.rate] + self.table[f2 * n % self.rate] + x % 512 - 256


def decode_mulaw(code):
    code = ~code & 0xFF
    magnitude = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return (-magnitude if code & 0x80 else magnitude) * 4


def decode_alaw(code):
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = 2 * step + 1 if segment == 0 else (2 * step + 33) << (segment - 1)
    return (magnitude if code & 0x80 else -magnitude) * 8


def quantum(value):
    """Half a step of G.711 at this value, at its widest, and what the encoder's shift to 14 or 13 bits cuts off."""
    return max(16, (abs(value) + 132) / 32 + 4)


class Packet:
    def __init__(self, time_ns, frame):
        self.time_ns, self.frame = time_ns, frame
        assert frame[12:14] == b"\x08\x00" and frame[14] == 0x45 and frame[23] == 17
        assert struct.unpack("!H", frame[16:18])[0] == len(frame) - 14
        self.source = "%d.%d.%d.%d:%d" % (*frame[26:30], *struct.unpack("!H", frame[34:36]))
        self.destination = "%d.%d.%d.%d:%d" % (*frame[30:34], *struct.unpack("!H", frame[36:38]))
        self.payload = frame[42:]
        self.is_sip = self.source.endswith(":5060")
        if not self.is_sip:
            self.first, self.type, self.sequence, self.timestamp, self.ssrc = struct.unpack("!BBHII", self.payload[:12])
            self.audio = self.payload[12:]

    def checksums_hold(self):
        udp = self.frame[34:]
        pseudo = self.frame[26:34] + struct.pack("!HH", 17, len(udp)) + udp + b"\0" * (len(udp) % 2)
        return all(ones_sum(part) == 0xFFFF for part in (self.frame[14:34], pseudo))


def ones_sum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    magic, _, _, _, _, _, link = struct.unpack("<IHHiIII", data[:24])
    assert magic == 0xA1B23C4D and link == 1, "nanosecond pcap, Ethernet"
    at, packets = 24, []
    while at < len(data):
        seconds, nanoseconds, captured, length = struct.unpack("<IIII", data[at:at + 16])
        assert captured == length
        packets.append(Packet(seconds * 10**9 + nanoseconds, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return packets


def nanoseconds(text):
    seconds, fraction = text.split(".")
    return int(seconds) * 10**9 + int(fraction)


class Run:
    def __init__(self, folder, *options):
        self.pcap, self.manifest_path = os.path.join(folder, "a.pcap"), os.path.join(folder, "a.json")
        done = subprocess.run([PROGRAM, "--out", self.pcap, "--manifest", self.manifest_path, *options],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.packets = read_pcap(self.pcap)
        with open(self.manifest_path) as file:
            self.manifest = json.load(file)
        self.streams = [call[side] for call in self.manifest["calls"] for side in ("caller", "callee")]

    def sip(self, call):
        needle = ("Call-ID: %s\r\n" % call["call_id"]).encode()
        return [packet for packet in self.packets if packet.is_sip and needle in packet.payload]

    def rtp(self, stream):
        return [packet for packet in self.packets if not packet.is_sip and packet.ssrc == int(stream["ssrc"], 16)
                and packet.source == stream["source"]]


class GeneratedCalls(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def run_gen(self, *options):
        return Run(self.folder, *options)

    def number_of(self, run, stream, packet):
        return (packet.sequence - stream["first_sequence"]) % 65536

    def test_call_is_a_complete_sip_dialog(self):
        run = self.run_gen("--calls", "3", "--seconds", "1")
        self.assertEqual(len(run.manifest["calls"]), 3)
        for call in run.manifest["calls"]:
            messages = run.sip(call)
            self.assertEqual([m.payload.split(b"\r\n")[0].split(b" sip:")[0] for m in messages],
                             [b"INVITE", b"SIP/2.0 100 Trying", b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK", b"ACK",
                              b"BYE", b"SIP/2.0 200 OK"])
            self.assertEqual([m.time_ns for m in (messages[0], messages[3], messages[5])],
                             [nanoseconds(call[key]) for key in ("start", "answer", "bye")])
            for message in messages:
                head, body = message.payload.split(b"\r\n\r\n", 1)
                self.assertIn(b"Content-Length: %d" % len(body), head.split(b"\r\n"))

    def test_sdp_names_where_the_media_goes(self):
        run = self.run_gen("--calls", "2", "--codec", "l16", "--seconds", "1")
        for call in run.manifest["calls"]:
            messages = run.sip(call)
            for message, side in ((messages[0], "callee"), (messages[3], "caller")):
                address, port = call[side]["destination"].split(":")
                self.assertIn(("c=IN IP4 %s\r\n" % address).encode(), message.payload)
                self.assertIn(("m=audio %s RTP/AVP 96\r\n" % port).encode(), message.payload)
                self.assertIn(b"a=rtpmap:96 L16/16000\r\n", message.payload)

    def test_packets_are_in_order_of_time_with_good_checksums(self):
        run = self.run_gen("--calls", "5", "--seconds", "1", "--jitter", "30", "--reorder", "5", "--rate", "3")
        times = [packet.time_ns for packet in run.packets]
        self.assertEqual(times, sorted(times))
        self.assertTrue(all(packet.checksums_hold() for packet in run.packets))

    def test_addresses_and_ssrcs_are_of_their_own(self):
        run = self.run_gen("--calls", "40", "--seconds", "0.1", "--rate", "1000")
        self.assertEqual(len({stream["source"] for stream in run.streams}), 80)
        self.assertEqual(len({stream["ssrc"] for stream in run.streams}), 80)

    def check_every_sample(self, run, decode, tolerance):
        formula = Formula(run.manifest["clock_rate"])
        per_packet = run.manifest["samples_per_packet"]
        for stream in run.streams:
            packets = run.rtp(stream)
            self.assertEqual(len(packets), stream["packets"] + stream["duplicates"])
            for packet in packets:
                number = self.number_of(run, stream, packet)
                self.assertEqual(packet.timestamp, (stream["first_timestamp"] + number * per_packet) % 2**32)
                got = decode(packet.audio)
                self.assertEqual(len(got), per_packet)
                for k, value in enumerate(got):
                    wanted = formula.sample(stream["number"], number * per_packet + k)
                    self.assertLessEqual(abs(value - wanted), tolerance(wanted), (stream["number"], number, k))

    def test_every_sample_of_mulaw_is_the_formulas(self):
        run = self.run_gen("--calls", "2", "--seconds", "1")
        self.check_every_sample(run, lambda audio: [decode_mulaw(code) for code in audio], quantum)

    def test_every_sample_of_alaw_is_the_formulas(self):
        run = self.run_gen("--calls", "2", "--seconds", "1", "--codec", "pcma", "--ptime", "30")
        self.check_every_sample(run, lambda audio: [decode_alaw(code) for code in audio], quantum)

    def test_every_sample_of_l16_is_exactly_the_formulas(self):
        run = self.run_gen("--calls", "1", "--seconds", "1", "--codec", "l16", "--duplicates", "5")
        self.check_every_sample(run, lambda audio: struct.unpack(">%dh" % (len(audio) // 2), audio), lambda _: 0)

    def test_loss_duplicates_and_reordering_are_as_the_manifest_says(self):
        run = self.run_gen("--calls", "4", "--seconds", "10", "--loss", "10", "--duplicates", "5", "--reorder", "5")
        for stream in run.streams:
            numbers = [self.number_of(run, stream, packet) for packet in run.rtp(stream)]
            self.assertEqual(sorted(set(range(500)) - set(numbers)), stream["lost"])
            self.assertEqual(len(numbers) - len(set(numbers)), stream["duplicates"])
            self.assertTrue(20 <= len(stream["lost"]) <= 90, stream["lost"])
            self.assertTrue(8 <= stream["duplicates"] <= 50)
            self.assertTrue(8 <= stream["reordered"] <= 50)
            self.assertNotEqual(numbers, sorted(numbers))

    def test_jitter_alone_keeps_the_order(self):
        run = self.run_gen("--seconds", "5", "--jitter", "60")
        for stream in run.streams:
            packets = run.rtp(stream)
            numbers = [self.number_of(run, stream, packet) for packet in packets]
            self.assertEqual(numbers, list(range(250)))
            late = [packet.time_ns - nanoseconds(stream["first_time"]) - n * 20_000_000
                    for n, packet in enumerate(packets)]
            self.assertGreater(max(late), 40_000_000)
            self.assertGreaterEqual(min(late), 0)
            self.assertLess(max(late), 61_000_000)

    def test_calls_without_bye(self):
        run = self.run_gen("--calls", "40", "--seconds", "0.1", "--no-bye", "50")
        without = [call for call in run.manifest["calls"] if call["bye"] is None]
        self.assertTrue(8 <= len(without) <= 32, len(without))
        for call in run.manifest["calls"]:
            self.assertEqual(len(run.sip(call)), 5 if call["bye"] is None else 7)

    def test_rate_start_and_ssrc_base_are_kept(self):
        run = self.run_gen("--calls", "4", "--rate", "2", "--start", "1600000000.25", "--ssrc-base", "4096",
                           "--seconds", "0.2")
        starts = sorted(nanoseconds(call["start"]) for call in run.manifest["calls"])
        self.assertEqual(starts, [1600000000250000000 + n * 500000000 for n in range(4)])
        self.assertEqual(sorted(int(stream["ssrc"], 16) for stream in run.streams), list(range(4096, 4104)))

    def test_same_options_same_bytes_other_seed_other_streams(self):
        def once(seed):
            run = self.run_gen("--calls", "2", "--seconds", "1", "--loss", "5", "--jitter", "5", "--seed", seed)
            with open(run.pcap, "rb") as file:
                return file.read()
        self.assertEqual(once("7"), once("7"))
        self.assertNotEqual(once("7"), once("8"))

    def test_speech_from_files_cycles_over_the_streams(self):
        paths = []
        for name, level in (("caller", 8000), ("callee", -4000)):
            paths.append(os.path.join(self.folder, name + ".wav"))
            with wave.open(paths[-1], "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(struct.pack("<h", level) * 8000)
        run = self.run_gen("--calls", "2", "--audio", ",".join(paths))
        self.assertEqual(run.manifest["packets_due"], 50)
        for stream in run.streams:
            self.assertEqual(stream["audio"], paths[stream["number"] % 2])
            wanted = 8000 if stream["number"] % 2 == 0 else -4000
            for packet in run.rtp(stream):
                self.assertLessEqual(abs(decode_mulaw(packet.audio[80]) - wanted), quantum(wanted))

    def test_wav_truth_is_what_the_packets_decode_to(self):
        folder = os.path.join(self.folder, "truth")
        run = self.run_gen("--seconds", "1", "--loss", "10", "--wav", folder)
        for stream, name in zip(run.streams, ("caller", "callee")):
            with wave.open(os.path.join(folder, "call-000000-%s.wav" % name)) as file:
                self.assertEqual(file.getparams()[:4], (1, 2, 8000, 8000))
                samples = struct.unpack("<8000h", file.readframes(8000))
            for packet in run.rtp(stream):
                at = self.number_of(run, stream, packet) * 160
                self.assertEqual(list(samples[at:at + 160]), [decode_mulaw(code) for code in packet.audio])

    def test_wrong_options_are_named(self):
        for options, word, status in ((["--out", "x", "--codec", "g729"], "g729", 2),
                                      (["--calls", "1"], "--interface", 2),
                                      (["--out", "x", "--loss", "101"], "--loss", 2),
                                      (["--out", self.folder + "/no/x"], "No such file", 1),
                                      (["--interface", "nowhere9"], "nowhere9", 1),
                                      (["--out", "x", "--codec", "l16", "--ptime", "100"], "--ptime", 1),
                                      (["--out", "x", "--audio", "/none.wav"], "/none.wav", 1)):
            done = subprocess.run([PROGRAM, *options], capture_output=True, text=True, cwd=self.folder)
            self.assertEqual(done.returncode, status, options)
            self.assertIn(word, done.stderr)

    @unittest.skipUnless(shutil.which("tshark"), "tshark is not installed")
    def test_tshark_sees_the_streams_and_their_losses(self):
        run = self.run_gen("--calls", "2", "--seconds", "5", "--loss", "4", "--codec", "pcma")
        table = subprocess.run(["tshark", "-r", run.pcap, "-q", "-z", "rtp,streams"], capture_output=True, text=True)
        rows = {int(row.split()[6], 16): row.split() for row in table.stdout.splitlines() if " 0x" in row}
        self.assertEqual(set(rows), {int(stream["ssrc"], 16) for stream in run.streams})
        for stream in run.streams:
            row = rows[int(stream["ssrc"], 16)]
            self.assertEqual(row[7:9], ["g711A", str(stream["packets"])])
            # tshark cannot know of packets missing before the first or after the last.
            numbers = [self.number_of(run, stream, packet) for packet in run.rtp(stream)]
            self.assertEqual(int(row[9]), max(numbers) - min(numbers) + 1 - len(numbers))
        bad = subprocess.run(["tshark", "-r", run.pcap, "-o", "udp.check_checksum:TRUE", "-Y",
                              "_ws.malformed || udp.checksum.status == 0 || ip.checksum.status == 0"],
                             capture_output=True, text=True)
        self.assertEqual(bad.stdout, "")

    def test_live_packets_leave_the_interface_at_their_time(self):
        try:
            receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        except PermissionError:
            self.skipTest("needs CAP_NET_RAW")
        with receiver:
            # Other tests run beside this one, and all they send over the loopback comes here, too.
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            receiver.bind(("lo", 0))
            receiver.settimeout(5)
            manifest = os.path.join(self.folder, "live.json")
            sending = subprocess.Popen([PROGRAM, "--calls", "2", "--seconds", "1", "--interface", "lo", "--manifest",
                                        manifest, "--ssrc-base", "77000000"], stderr=subprocess.PIPE, text=True)
            with sending as sender:
                seen = {}
                while len(seen) < 200:
                    frame, address = receiver.recvfrom(2000)
                    if address[2] != socket.PACKET_OUTGOING or frame[:2] != b"\x02\x00" or len(frame) != 42 + 172:
                        continue
                    packet = Packet(0, frame)
                    if 77000000 <= packet.ssrc < 77000004:
                        seen[packet.ssrc, packet.sequence] = packet
                _, errors = sender.communicate()
            self.assertEqual(sender.returncode, 0, errors)
            self.assertIn("200 RTP and 14 SIP packets", errors)


if __name__ == "__main__":
    unittest.main()
