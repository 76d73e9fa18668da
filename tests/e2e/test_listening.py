# SPDX-License-Identifier: AGPL-3.0-or-later
"""Live monitoring, GET /live/DEVICEID: every packet of a running call is heard, soon, and no blackout."""

import array
import http.client
import json
import random
import socket
import struct
import threading
import time

import pytest

from support import audio, programs
from support.dark import Asked, recording_of
from test_dtmf import CARD, tone, tone_span

pytestmark = pytest.mark.alone  # it hears audio in real time

RATE = 8000


@pytest.fixture(scope="module", params=["plain", "masked"])
def daemon(request, directory, port):
    own = directory / request.param
    own.mkdir()
    appliance = programs.Daemon(own, [f"pcap:{port.inside}"], devices={"match": ["^7[0-9]+$"]},
                                recording={"channels": 8, "mask_dtmf": request.param == "masked"})
    appliance.start()
    yield appliance
    appliance.kill()


class Listener:
    """Reads on until the stream ends; knows when each sample came."""

    def __init__(self, port, device):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.connection.request("GET", f"/live/{device}")
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.header = b""
        self.channels = [bytearray(), bytearray()]
        self.came = []  # (samples until then, time)
        self.ended = False
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        rest = b""
        while data := self._some():
            rest += data
            if len(self.header) < 44:
                self.header, rest = rest[:44], rest[44:]
            whole = len(rest) // 4 * 4
            samples = array.array("h", rest[:whole])
            for side, channel in enumerate(self.channels):
                channel += samples[side::2].tobytes()
            rest = rest[whole:]
            self.came.append((len(self.channels[0]) // 2, time.time()))
        self.ended = True

    def _some(self):
        try:
            return self.response.read1(65536)
        except (OSError, http.client.HTTPException):
            return b""  # closed

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)

    def lag(self, side, packet):
        """From when the packet's last sample was spoken until it was here; None: it is not here."""
        channel = self.channels[0 if side == "device" else 1]
        samples = audio.decode(packet.payload_type, packet.payload)
        at = channel.find(samples)
        while at >= 0 and at % 2:
            at = channel.find(samples, at + 1)
        if at < 0:
            return None
        last = (at + len(samples)) // 2
        return next(when for until, when in self.came if until >= last) - packet.time


def test_every_packet_is_heard_soon_and_no_blackout(request, noisy, daemon, xml, web, events):
    call = noisy.call("7401")
    events.wait_type("RECORDINGSTARTED", "7401")
    time.sleep(1.5)
    listener = Listener(daemon.ports["webapi"], "7401")
    assert listener.response.status == 200
    assert listener.response.headers["Content-Type"] == "audio/wav"
    began = time.time()
    time.sleep(2)
    start = Asked(lambda: xml.ask("BLACKOUTSTART", DEVICEID="7401"))
    assert start.answer.code == 20
    time.sleep(1.5)
    stop = Asked(lambda: xml.ask("BLACKOUTSTOP", DEVICEID="7401"))
    assert stop.answer.code == 20
    time.sleep(2)
    call.end()
    ended = time.time()
    listener.thread.join(10)
    assert listener.ended
    channels, rate = struct.unpack("<HI", listener.header[22:28])
    assert (listener.header[:4], listener.header[8:12], channels, rate) == (b"RIFF", b"WAVE", 2, RATE)
    assert ended - began - 0.2 < len(listener.channels[0]) / 2 / RATE < ended - began + 1.5  # it lingers behind the BYE
    slow = 0.3 if "plain" in request.node.name else 0.9  # digits are certain only later
    for side in ("far", "device"):
        before = [p for p in call.sent[side] if began + 0.3 < p.time < start.earliest - 0.05]
        inside = [p for p in call.sent[side] if start.latest + 0.05 < p.time < stop.earliest - 0.05]
        after = [p for p in call.sent[side] if stop.latest + 0.05 < p.time < ended - 0.7]
        assert len(before) > 60 and len(inside) > 60 and len(after) > 40
        assert all(listener.lag(side, p) is None for p in inside), f"{side}: heard in the blackout"
        lags = sorted(listener.lag(side, p) or 9 for p in before + after)
        print(f"{side}: {lags[len(lags) // 2]:.3f} s behind, nine in ten at most {lags[len(lags) * 9 // 10]:.3f}")
        assert lags[len(lags) * 9 // 10] < slow, (side, lags[-10:])
        assert sum(lag == 9 for lag in lags) <= 2, (side, lags[-10:])


def test_the_recording_is_the_same_with_and_without_a_listener(noisy, daemon, web, events):
    call = noisy.call("7402")
    events.wait_type("RECORDINGSTARTED", "7402")
    listeners = [Listener(daemon.ports["webapi"], "7402") for _ in range(3)]
    time.sleep(2)
    listeners[0].close()  # one goes in the middle
    time.sleep(1)
    call.end()
    update = events.wait_type("RECORDINGUPDATE", "7402", 15)
    for listener in listeners:
        listener.thread.join(10)
    wav = audio.Wav(web.export("ident", update.data["RECORDID"]))
    started = recording_of(daemon, update)["recording_time"]
    for side in ("far", "device"):
        matched, compared, missed = audio.match_packets(wav, side, call.sent[side][:-2], started)
        assert compared > 100 and matched == compared, missed


def test_where_nothing_is_recorded_there_is_nothing_to_hear(noisy, web, xml, events):
    assert web.http("GET", "/live/7999")[0] == 400
    call = noisy.call("7403")
    events.wait_type("RECORDINGSTARTED", "7403")
    assert web.http("HEAD", "/live/7403")[0] == 200
    assert web.http("POST", "/live/7403")[0] == 405
    call.end()
    events.wait_type("RECORDINGUPDATE", "7403", 15)
    status, _, body = web.http("GET", "/live/7403")
    assert status == 404 and b"nothing is recorded there now" in body
    assert xml.ask("LIVE", DEVICEID="7403").code == 49


def test_masked_digits_are_not_heard(request, daemon, exchange, events):
    if "plain" in request.node.name:
        pytest.skip("with mask_dtmf")
    codes = bytes((code & 0x8F) | (0x20 + (code & 0x20)) for code in range(256))
    sound = [bytearray(random.randbytes(10 * 8000).translate(codes)) for _ in range(2)]
    for number, digit in enumerate(CARD):
        begin, end = tone_span(number)
        sound[0][begin:end] = tone(digit)
    call = exchange.call("7404", sound=[bytes(each) for each in sound])
    events.wait_type("RECORDINGSTARTED", "7404")
    listener = Listener(daemon.ports["webapi"], "7404")
    began = time.time()
    time.sleep(4)
    call.end()
    listener.thread.join(10)
    spans = [tone_span(number) for number in range(len(CARD))]
    sent = list(enumerate(call.sent["far"]))
    digits = [p for n, p in sent if any(160 * (n + 1) > begin and 160 * n < end for begin, end in spans)]
    others = [p for n, p in sent if began + 0.3 < p.time < began + 3.5
              and all(160 * (n + 1) + 800 <= begin or 160 * n >= end + 800 for begin, end in spans)]
    assert len(digits) >= 5 * len(CARD) and len(others) > 20
    assert all(listener.lag("far", p) is None for p in digits)
    assert sum(listener.lag("far", p) is None for p in others) <= 2


def test_who_listened_is_in_the_audit_log_and_fifty_may_at_once(noisy, daemon, web, events):
    call = noisy.call("7405")
    events.wait_type("RECORDINGSTARTED", "7405")
    listeners = [Listener(daemon.ports["webapi"], "7405") for _ in range(50)]
    assert all(listener.response.status == 200 for listener in listeners)
    status, _, body = web.http("GET", "/live/7405")
    assert status == 503 and b"too many listen already" in body
    for listener in listeners:
        listener.close()
        listener.thread.join(10)
    programs.wait_until(lambda: web.http("HEAD", "/live/7405")[0] == 200, 10, "room for a listener")

    call.end()
    ident = int(events.wait_type("RECORDINGUPDATE", "7405", 15).data["RECORDID"])

    def noted():
        with open(f"{daemon.store}/log/audit.jsonl", encoding="utf-8") as file:
            return sum("LIVE" in (line.get("what"), line.get("function")) and ident in line.get("recordings", [])
                       for line in map(json.loads, file))

    programs.wait_until(lambda: noted() >= 50, 10, "the audit lines of LIVE")


def test_who_does_not_read_harms_nobody(noisy, daemon, xml, events):
    call = noisy.call("7406")
    events.wait_type("RECORDINGSTARTED", "7406")
    idle = socket.create_connection(("127.0.0.1", daemon.ports["webapi"]), 20)
    idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    idle.sendall(b"GET /live/7406 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(2)
    listener = Listener(daemon.ports["webapi"], "7406")
    began = time.time()
    time.sleep(2)
    assert xml.ask("TEST").code == 20
    call.end()
    listener.thread.join(10)
    idle.close()
    heard = [p for p in call.sent["far"] if began + 0.3 < p.time < began + 1.5]
    assert len(heard) > 40 and sum(listener.lag("far", p) is None for p in heard) <= 2
