# SPDX-License-Identifier: AGPL-3.0-or-later
"""Calls made by hand, frame by frame, into a Port: for tests that hold a call open or must know every sample of it."""

import itertools
import threading
import time

from support import audio, peers, programs, wire

_numbers = itertools.count(1)

PACKET_S = 0.02
PACKET_SAMPLES = 160


class Exchange:
    """Sends the media of all open calls, one packet each way every 20 ms, from one thread."""

    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.open = []
        self.running = True
        self.audio = [audio.encode_ulaw(peers.sweep(8, low, high)) for low, high in ((300, 1000), (1200, 2100))]
        self.thread = threading.Thread(target=self._pace, daemon=True)
        self.thread.start()

    def _pace(self):
        programs.before_all_others()
        due = time.monotonic()
        while self.running:
            with self.lock:
                for call in self.open:
                    call.send_media()
            due += PACKET_S
            if time.monotonic() - due > 0.1:  # the machine stood still: nothing was said meanwhile, and no burst follows
                due = time.monotonic()
            time.sleep(max(0, due - time.monotonic()))

    def call(self, device, caller="5551234", answer=True, sound=None, hosts=None, headers=()):
        """A call from an outside party to `device`, answered at once; talks until end(). sound: its own, of both;
        hosts: the addresses of "far" and "device"; headers: more lines of its INVITE."""
        call = PhoneCall(self, device, caller, sound)
        call.hosts.update(hosts or {})
        call.more = list(headers)
        call.invite()
        if answer:
            call.answer()
        return call

    def register(self, device, host, expires_s=3600):
        """The phone registers from there, and its registrar says yes."""
        number = next(_numbers)
        lines = [f"Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bKr{number}", f"From: <sip:{device}@pbx.example>;tag=r{number}",
                 f"To: <sip:{device}@pbx.example>", f"Call-ID: register-{number}-{time.time_ns()}", "CSeq: 1 REGISTER",
                 f"Contact: <sip:{device}@{host}>;expires={expires_s}", "Max-Forwards: 70", "Content-Length: 0", "", ""]
        phone, registrar = (host, 5060), ("198.51.100.1", 5060)
        for source, target, first in ((phone, registrar, "REGISTER sip:pbx.example SIP/2.0"),
                                      (registrar, phone, "SIP/2.0 200 OK")):
            self.port.send(wire.udp_frame(source, target, "\r\n".join([first, *lines]).encode()))

    def talk(self, device, hosts):
        """A call of which nothing but the media passes, until hang_up()."""
        call = PhoneCall(self, device, "5551234")
        call.hosts.update(hosts)
        call.talk()
        return call

    def close(self):
        self.running = False
        self.thread.join(5)


class PhoneCall:
    """One call; `sent` holds the RTP packets of both sides as sent: "far" (the caller's) and "device"."""

    def __init__(self, exchange, device, caller, sound=None):
        self.sound = sound
        self.exchange, self.device, self.caller = exchange, device, caller
        number = next(_numbers)
        self.call_id = f"hand-made-{number}-{time.time_ns()}"
        self.hosts = {"far": "198.51.100.7", "device": "10.92.0.20"}
        self.ports = {"far": 20000 + 2 * number, "device": 40000 + 2 * number}
        self.ssrc = {"far": 0x50000000 + number, "device": 0x60000000 + number}
        self.sent = {"far": [], "device": []}
        self.answered = self.ended = 0.0
        self.count = 0
        self.more = []
        self.invite_cseq = 1
        self.nat = None  # (host, port) that the device's media is seen at, where that is not what its SDP says

    def _sip(self, sender, lines, body=""):
        source, target = ("far", "device") if sender == "far" else ("device", "far")
        if body:
            lines = [*lines, "Content-Type: application/sdp"]
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        self.exchange.port.send(wire.udp_frame((self.hosts[source], 5060), (self.hosts[target], 5060), text.encode()))

    def _headers(self, cseq, to_tag=True):
        return [f"Via: SIP/2.0/UDP {self.hosts['far']}:5060;branch=z9hG4bK{self.call_id}{cseq.replace(' ', '')}",
                f"From: <sip:{self.caller}@{self.hosts['far']}>;tag=f{self.call_id}",
                f"To: <sip:{self.device}@{self.hosts['device']}>" + (f";tag=t{self.call_id}" if to_tag else ""),
                f"Call-ID: {self.call_id}", f"CSeq: {cseq}", "Max-Forwards: 70"]

    def _sdp(self, side):
        return "\r\n".join(["v=0", f"o=- 1 1 IN IP4 {self.hosts[side]}", "s=-", f"c=IN IP4 {self.hosts[side]}", "t=0 0",
                            f"m=audio {self.ports[side]} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", ""])

    def _uri(self):
        return f"sip:{self.device}@{self.hosts['device']}"

    def invite(self):
        self._sip("far", [f"INVITE {self._uri()} SIP/2.0", *self._headers("1 INVITE", False),
                          f"Contact: <sip:{self.caller}@{self.hosts['far']}>", *self.more], self._sdp("far"))

    def also_rings(self, host):
        """The proxy forks: the same INVITE to another phone, which rings with a tag of its own (RFC 3261 section 16)."""
        first, self.hosts = self.hosts, {**self.hosts, "device": host}
        self._sip("far", [f"INVITE {self._uri()} SIP/2.0", *self._fork_headers("1 INVITE", "b2"),
                          f"Contact: <sip:{self.caller}@{self.hosts['far']}>", *self.more], self._sdp("far"))
        self._sip("device", ["SIP/2.0 180 Ringing", *self._fork_headers("1 INVITE", "b2", "other")])
        self.hosts = first

    def gives_up(self, host):
        """Since another phone answered, this one is told to stop."""
        first, self.hosts = self.hosts, {**self.hosts, "device": host}
        self._sip("far", [f"CANCEL {self._uri()} SIP/2.0", *self._fork_headers("1 CANCEL", "b2")])
        self._sip("device", ["SIP/2.0 200 OK", *self._fork_headers("1 CANCEL", "b2", "other")])
        self._sip("device", ["SIP/2.0 487 Request Terminated", *self._fork_headers("1 INVITE", "b2", "other")])
        self._sip("far", [f"ACK {self._uri()} SIP/2.0", *self._fork_headers("1 ACK", "b2", "other")])
        self.hosts = first

    def _fork_headers(self, cseq, branch, tag=""):
        via, *others = self._headers(cseq, False)
        to = f"To: <sip:{self.device}@{self.hosts['device']}>" + (f";tag={tag}{self.call_id}" if tag else "")
        return [f"Via: SIP/2.0/UDP {self.hosts['far']}:5060;branch=z9hG4bK{self.call_id}{branch}",
                *(to if line.startswith("To: ") else line for line in others)]

    def redirect(self, host):
        """302: the caller asks there instead, in the same dialog-to-be."""
        self._sip("device", ["SIP/2.0 302 Moved Temporarily", *self._headers("1 INVITE"),
                             f"Contact: <sip:{self.device}@{host}>"])
        self._sip("far", [f"ACK {self._uri()} SIP/2.0", *self._headers("1 ACK")])
        self.hosts = {**self.hosts, "device": host}
        self._sip("far", [f"INVITE {self._uri()} SIP/2.0", *self._headers("2 INVITE", False),
                          f"Contact: <sip:{self.caller}@{self.hosts['far']}>", *self.more], self._sdp("far"))
        self.invite_cseq = 2

    def challenge(self):
        """The INVITE is answered 407, and comes again, as phones send it that have a password."""
        self._sip("device", ["SIP/2.0 407 Proxy Authentication Required", *self._headers("1 INVITE"),
                             'Proxy-Authenticate: Digest realm="pbx", nonce="n"'])
        self._sip("far", [f"ACK {self._uri()} SIP/2.0", *self._headers("1 ACK")])
        self._sip("far", [f"INVITE {self._uri()} SIP/2.0", *self._headers("2 INVITE", False),
                          f"Contact: <sip:{self.caller}@{self.hosts['far']}>",
                          'Proxy-Authorization: Digest username="a", realm="pbx", nonce="n", response="r"'],
                  self._sdp("far"))
        self.invite_cseq = 2

    def request(self, sender, method, cseq, *headers):
        """Within the dialog, as either side sends it, and its 202."""
        lines = self._headers(f"{cseq} {method}")
        if sender == "device":  # its own requests turn From and To around
            ours, theirs = (next(line for line in lines if line.startswith(name)) for name in ("To: ", "From: "))
            lines = [line for line in lines if line not in (ours, theirs)]
            lines += [ours.replace("To: ", "From: "), theirs.replace("From: ", "To: ")]
        self._sip(sender, [f"{method} {self._uri()} SIP/2.0", *lines, *headers])
        self._sip("far" if sender == "device" else "device", ["SIP/2.0 202 Accepted", *lines])

    def move(self, side, host):
        """A re-INVITE by that side: it wants its audio at another address from now on, and sends from there."""
        self.hosts = {**self.hosts, side: host}
        self.reinvite()

    def answer(self):
        self._sip("device", ["SIP/2.0 200 OK", *self._headers(f"{self.invite_cseq} INVITE"),
                             f"Contact: <{self._uri()}>"], self._sdp("device"))
        self._sip("far", [f"ACK {self._uri()} SIP/2.0", *self._headers(f"{self.invite_cseq} ACK")])
        self.talk()

    def talk(self):
        self.answered = time.time()
        with self.exchange.lock:
            self.exchange.open.append(self)

    def hang_up(self):
        """Both fall silent; without a word of SIP."""
        with self.exchange.lock:
            if self in self.exchange.open:
                self.exchange.open.remove(self)
        self.ended = time.time()

    def reinvite(self):
        """Within the dialog, as session timers do: whoever joins now sees where the media goes."""
        self._sip("far", [f"INVITE {self._uri()} SIP/2.0", *self._headers("2 INVITE"),
                          f"Contact: <sip:{self.caller}@{self.hosts['far']}>"], self._sdp("far"))
        self._sip("device", ["SIP/2.0 200 OK", *self._headers("2 INVITE"), f"Contact: <{self._uri()}>"],
                  self._sdp("device"))
        self._sip("far", [f"ACK {self._uri()} SIP/2.0", *self._headers("2 ACK")])

    def send_media(self):
        for side, other, sound in (("far", "device", 0), ("device", "far", 1)):
            whole = (self.sound or self.exchange.audio)[sound]
            start = self.count * PACKET_SAMPLES % (len(whole) - PACKET_SAMPLES)
            payload = whole[start:start + PACKET_SAMPLES]
            packet = wire.RtpPacket(time.time(), 0, 100 + self.count, 160 * self.count, self.ssrc[side], payload)
            ends = {each: (self.hosts[each], self.ports[each]) for each in (side, other)}
            if self.nat:
                ends["device"] = self.nat
            self.exchange.port.send(wire.udp_frame(
                ends[side], ends[other],
                wire.rtp_bytes(0, packet.sequence, packet.timestamp, packet.ssrc, payload, self.count == 0)))
            self.sent[side].append(packet)
        self.count += 1

    def end(self):
        self.hang_up()
        self._sip("far", [f"BYE {self._uri()} SIP/2.0", *self._headers("3 BYE")])
        self._sip("device", ["SIP/2.0 200 OK", *self._headers("3 BYE")])

    @property
    def duration(self):
        return self.ended - self.answered
