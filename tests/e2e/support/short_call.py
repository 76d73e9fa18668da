# SPDX-License-Identifier: AGPL-3.0-or-later
"""One and the same short SIP call with G.711 both ways, as datagrams, to be put into any encapsulation."""

from dataclasses import dataclass, field

from support import audio, layers, peers, wire

BEGIN = 1700000000.0
MEDIA_BEGIN = BEGIN + 0.32
PACKETS = 50  # in each direction, 20 ms each
SAMPLES = 160
HOSTS4 = {"far": "198.51.100.7", "device": "10.92.0.20"}
HOSTS6 = {"far": "2001:db8:7::7", "device": "2001:db8:92::20"}
PORTS = {"far": 20000, "device": 40000}
SSRCS = {"far": 0x50000001, "device": 0x60000002}
DEVICE = "7400"


@dataclass
class Datagram:
    time: float
    source: tuple  # (address, port)
    target: tuple
    payload: bytes
    is_sip: bool


@dataclass
class ShortCall:
    """hosts: HOSTS4 or HOSTS6. padding: bytes of a header that make the first messages long."""
    hosts: dict = field(default_factory=lambda: HOSTS4)
    transport: str = "UDP"
    padding: int = 0

    def _at(self, side, port=None):
        return self.hosts[side], port or PORTS[side]

    def _named(self, side):
        host = self.hosts[side]
        return f"[{host}]" if ":" in host else host

    def _sdp(self, side):
        kind = "IP6" if ":" in self.hosts[side] else "IP4"
        return "\r\n".join(["v=0", f"o=- 1 1 IN {kind} {self.hosts[side]}", "s=-", f"c=IN {kind} {self.hosts[side]}",
                            "t=0 0", f"m=audio {PORTS[side]} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", ""])

    def _sip(self, after, sender, first, cseq, to_tag=True, body=""):
        other = "device" if sender == "far" else "far"
        tag = ";tag=t1" if to_tag else ""
        lines = [first, f"Via: SIP/2.0/{self.transport} {self._named('far')}:5060;branch=z9hG4bK{cseq.replace(' ', '')}",
                 f"From: <sip:5551234@{self._named('far')}>;tag=f1", f"To: <sip:{DEVICE}@{self._named('device')}>{tag}",
                 "Call-ID: short-call", f"CSeq: {cseq}", f"Contact: <sip:{sender}@{self._named(sender)}>",
                 "Max-Forwards: 70"]
        lines += [f"X-Padding: {'x' * self.padding}"] if self.padding and body else []
        lines += ["Content-Type: application/sdp"] if body else []
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        return Datagram(BEGIN + after, self._at(sender, 5060), self._at(other, 5060), text.encode(), True)

    def signalling(self):
        uri = f"sip:{DEVICE}@{self._named('device')}"
        end = MEDIA_BEGIN - BEGIN + PACKETS * 0.02
        return [self._sip(0, "far", f"INVITE {uri} SIP/2.0", "1 INVITE", False, self._sdp("far")),
                self._sip(0.1, "device", "SIP/2.0 180 Ringing", "1 INVITE"),
                self._sip(0.3, "device", "SIP/2.0 200 OK", "1 INVITE", True, self._sdp("device")),
                self._sip(0.31, "far", f"ACK {uri} SIP/2.0", "1 ACK"),
                self._sip(end, "far", f"BYE {uri} SIP/2.0", "2 BYE"),
                self._sip(end + 0.01, "device", "SIP/2.0 200 OK", "2 BYE")]

    def rtp(self, side):
        """The packets that `side` sends, as an independent reader would give them."""
        low, high = ((300, 1000), (1200, 2100))[side == "device"]
        sound = audio.encode_ulaw(peers.sweep(PACKETS * 0.02, low, high))
        return [wire.RtpPacket(MEDIA_BEGIN + 0.02 * n + (0.005 if side == "device" else 0), 0, 100 + n, SAMPLES * n,
                               SSRCS[side], sound[SAMPLES * n:SAMPLES * (n + 1)]) for n in range(PACKETS)]

    def media(self):
        for side, other in (("far", "device"), ("device", "far")):
            for packet in self.rtp(side):
                payload = wire.rtp_bytes(0, packet.sequence, packet.timestamp, packet.ssrc, packet.payload,
                                         packet.timestamp == 0)
                yield Datagram(packet.time, self._at(side), self._at(other), payload, False)

    def datagrams(self):
        return sorted([*self.signalling(), *self.media()], key=lambda d: d.time)

    def streams(self):
        """{(source, destination, ssrc): side} as they must be found."""
        def text(side):
            return f"{self._named(side)}:{PORTS[side]}"
        return {(text("far"), text("device"), SSRCS["far"]): "far", (text("device"), text("far"), SSRCS["device"]): "device"}

    def packets(self, fragment_bytes=None, reverse=False):
        """(time, IP packet): whole, or SIP in fragments of so many bytes, the last one first if `reverse`."""
        one, many = (layers.ip6, layers.ip6_fragments) if ":" in self.hosts["far"] else (layers.ip4, layers.ip4_fragments)
        for number, each in enumerate(self.datagrams()):
            body = layers.udp(each.source, each.target, each.payload)
            ends = each.source[0], each.target[0], layers.UDP, body
            if fragment_bytes is None:
                yield each.time, one(*ends)
                continue
            pieces = many(*ends, fragment_bytes, 1000 + number)
            for delay, piece in enumerate(reversed(pieces) if reverse else pieces):
                yield each.time + delay * 1e-5, piece

    def tcp_packets(self, segment_bytes=500, reverse=False):
        """(time, IP packet) with the SIP in one TCP connection, in segments that end anywhere; media as ever.

        reverse: the segments of a message come in the wrong order.
        """
        one = layers.ip6 if ":" in self.hosts["far"] else layers.ip4
        ends = {"far": (self.hosts["far"], 51000), "device": (self.hosts["device"], 5060)}
        said = {"far": 1000, "device": 0xFFFFFF00}  # the device's numbers wrap

        def segment(time, sender, sequence, flags, payload=b""):
            other = "device" if sender == "far" else "far"
            body = layers.tcp(ends[sender], ends[other], sequence & 0xFFFFFFFF, said[other] & 0xFFFFFFFF, flags, payload)
            return time, one(ends[sender][0], ends[other][0], layers.TCP, body)

        syn, ack, push = 2, 16, 24
        yield segment(BEGIN - 0.003, "far", said["far"] - 1, syn)
        yield segment(BEGIN - 0.002, "device", said["device"] - 1, syn | ack)
        yield segment(BEGIN - 0.001, "far", said["far"], ack)
        for each in self.datagrams():
            if not each.is_sip:
                yield each.time, one(each.source[0], each.target[0], layers.UDP,
                                     layers.udp(each.source, each.target, each.payload))
                continue
            sender = "far" if each.source[0] == self.hosts["far"] else "device"
            cuts = list(range(0, len(each.payload), segment_bytes))
            for delay, at in enumerate(reversed(cuts) if reverse else cuts):
                yield segment(each.time + delay * 1e-5, sender, said[sender] + at, push,
                              each.payload[at:at + segment_bytes])
            said[sender] += len(each.payload)
