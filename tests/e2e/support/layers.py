# SPDX-License-Identifier: AGPL-3.0-or-later
"""Protocol layers written by hand from their RFCs, inside out: each function takes what it carries and gives bytes."""

import ipaddress
import struct

# Ethertypes, and the protocol numbers of IP
IPV4, IPV6, VLAN, QINQ, MPLS, PPPOE, TEB, PPP, ERSPAN_II, ERSPAN_III = (
    0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864, 0x6558, 0x880B, 0x88BE, 0x22EB)
IPIP, TCP, UDP, IP6IN, FRAGMENT, GRE = 4, 6, 17, 41, 44, 47

# Who carries the tunnels: routers or switches between the phones.
OUTER4 = ("203.0.113.1", "203.0.113.2")
OUTER6 = ("2001:db8:ffff::1", "2001:db8:ffff::2")


def checksum(data):
    data += b"\x00" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo(source, target, protocol, length):
    source, target = ipaddress.ip_address(source), ipaddress.ip_address(target)
    return source.packed + target.packed + (
        struct.pack(">BBH", 0, protocol, length) if source.version == 4 else struct.pack(">IHBB", length, 0, 0, protocol))


def udp(source, target, payload):
    """source and target are (address, port)."""
    head = struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0)
    proof = checksum(_pseudo(source[0], target[0], UDP, 8 + len(payload)) + head + payload) or 0xFFFF
    return head[:6] + struct.pack(">H", proof) + payload


def tcp(source, target, sequence, acknowledged, flags, payload=b""):
    head = struct.pack(">HHIIBBHHH", source[1], target[1], sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    proof = checksum(_pseudo(source[0], target[0], TCP, len(head) + len(payload)) + head + payload)
    return head[:16] + struct.pack(">H", proof) + head[18:] + payload


def ip4(source, target, protocol, payload, identity=0, offset=0, more=False):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), identity, offset // 8 | (0x2000 if more else 0), 64,
                       protocol, 0) + ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ip6(source, target, protocol, payload):
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + ipaddress.ip_address(source).packed + \
        ipaddress.ip_address(target).packed + payload


def ip6_with_options(source, target, protocol, payload):
    """Hop-by-hop and destination options of padding (RFC 8200 §4.3, §4.6) before the payload."""
    padding = b"\x01\x04" + bytes(4)
    return ip6(source, target, 0, bytes([60, 0]) + padding + bytes([protocol, 0]) + padding + payload)


def ip4_fragments(source, target, protocol, payload, size, identity):
    """In pieces of `size` bytes (a multiple of 8)."""
    return [ip4(source, target, protocol, payload[at:at + size], identity, at, at + size < len(payload))
            for at in range(0, len(payload), size)] if len(payload) > size else [ip4(source, target, protocol, payload)]


def ip6_fragments(source, target, protocol, payload, size, identity):
    if len(payload) <= size:
        return [ip6(source, target, protocol, payload)]
    return [ip6(source, target, FRAGMENT,
                struct.pack(">BBHI", protocol, 0, at | (at + size < len(payload)), identity) + payload[at:at + size])
            for at in range(0, len(payload), size)]


def version_of(packet):
    return packet[0] >> 4


def ethertype_of(packet):
    return IPV4 if version_of(packet) == 4 else IPV6


def ethernet(packet, ethertype=None):
    return b"\x02\x00\x5e\x00\x00\x02\x02\x00\x5e\x00\x00\x01" + struct.pack(">H", ethertype or ethertype_of(packet)) + packet


def tagged(packet, *tags):
    """(ethertype, VLAN) from the outermost on."""
    inner = ethertype_of(packet)
    for kind, number in reversed(tags):
        packet, inner = struct.pack(">HH", number, inner) + packet, kind
    return ethernet(packet, inner)


def snap(packet):
    """802.3 with LLC and SNAP (RFC 1042)."""
    body = b"\xaa\xaa\x03\x00\x00\x00" + struct.pack(">H", ethertype_of(packet)) + packet
    return ethernet(body, len(body)) if len(body) <= 1500 else ethernet(packet)


def mpls(packet, *labels):
    """RFC 3032: the last label has the bottom-of-stack bit."""
    return b"".join(struct.pack(">I", label << 12 | (at == len(labels) - 1) << 8 | 64)
                    for at, label in enumerate(labels)) + packet


def ppp(packet):
    return struct.pack(">H", 0x0021 if version_of(packet) == 4 else 0x0057) + packet


def pppoe(packet):
    """RFC 2516 §4: a session packet."""
    body = ppp(packet)
    return struct.pack(">BBHH", 0x11, 0, 77, len(body)) + body


def tunnel4(protocol, payload):
    return ip4(*OUTER4, protocol, payload)


def tunnel_udp(port, payload):
    return tunnel4(UDP, udp((OUTER4[0], 50123), (OUTER4[1], port), payload))


def gre(kind, payload, key=None, sequence=None, summed=False):
    """RFC 2784 and 2890."""
    flags = (summed and 0x8000) | (key is not None and 0x2000) | (sequence is not None and 0x1000)
    options = b"" if key is None else struct.pack(">I", key)
    options += b"" if sequence is None else struct.pack(">I", sequence)
    head = struct.pack(">HH", flags, kind)
    if summed:
        options = struct.pack(">HH", checksum(head + bytes(4) + options + payload), 0) + options
    return tunnel4(GRE, head + options + payload)


def gre_ppp(packet, sequence=7):
    """Enhanced GRE, version 1, as PPTP has it (RFC 2637 §4.1)."""
    body = ppp(packet)
    return tunnel4(GRE, struct.pack(">HHHHI", 0x3001, PPP, len(body), 5, sequence) + body)


def erspan_1(frame):
    return gre(ERSPAN_II, frame)


def erspan_2(frame):
    """draft-foschiano-erspan-03 §4.2: version, VLAN, session, index."""
    return gre(ERSPAN_II, struct.pack(">HHI", 1 << 12 | 100, 1 << 11 | 12, 3) + frame, sequence=9)


def erspan_3(frame, platform=False):
    """§4.3: time stamp, group tag, and (O) a platform's subheader."""
    head = struct.pack(">HHIHH", 2 << 12 | 100, 12, 123456, 0, 1 if platform else 0)
    return gre(ERSPAN_III, head + (struct.pack(">II", 3 << 26, 5) if platform else b"") + frame, sequence=9)


def vxlan(frame):
    """RFC 7348 §5."""
    return tunnel_udp(4789, struct.pack(">II", 0x08000000, 4242 << 8) + frame)


def l2tp(packet, sequenced=False):
    """RFC 2661 §3.1, a data message."""
    body = b"\xff\x03" + ppp(packet)
    head = struct.pack(">HHHHHH", 0x4802, 12 + len(body), 11, 22, 3, 0) if sequenced else struct.pack(">HHH", 2, 11, 22)
    return tunnel_udp(1701, head + body)


def gtp_u(packet, sequenced=False):
    """3GPP TS 29.281 §5.1: a G-PDU."""
    body = (struct.pack(">HBB", 9, 0, 0) if sequenced else b"") + packet
    return tunnel_udp(2152, struct.pack(">BBHI", 0x32 if sequenced else 0x30, 0xFF, len(body), 0x1234) + body)


def tzsp(frame):
    """Version 1, a received packet, Ethernet; the tag that ends the tags."""
    return tunnel_udp(37008, b"\x01\x00\x00\x01" + b"\x0a\x01\x05" + b"\x01" + frame)


def cooked_1(packet):
    """LINKTYPE_LINUX_SLL."""
    return struct.pack(">HHH8sH", 0, 1, 6, b"\x02\x00\x5e\x00\x00\x01", ethertype_of(packet)) + packet


def cooked_2(packet):
    """LINKTYPE_LINUX_SLL2."""
    return struct.pack(">HHIHBB8s", ethertype_of(packet), 0, 3, 1, 0, 6, b"\x02\x00\x5e\x00\x00\x01") + packet


def loopback(packet, order):
    """LINKTYPE_NULL (the writer's byte order) and LINKTYPE_LOOP (network order); AF_INET6 as FreeBSD has it."""
    return struct.pack(order + "I", 2 if version_of(packet) == 4 else 28) + packet


def erf(frame, time):
    """LINKTYPE_ERF: an Ethernet record (type 2) with a pad of two bytes, its own time stamp, little-endian."""
    seconds = int(time)
    stamp = seconds << 32 | int((time - seconds) * (1 << 32))
    size = 16 + 2 + len(frame)
    return struct.pack("<Q", stamp) + struct.pack(">BBHHH", 2, 4, size, 0, len(frame)) + b"\x00\x00" + frame
