# SPDX-License-Identifier: AGPL-3.0-or-later
"""Packets, read independently of the recorder: RTP and SIP out of capture files, and frames made by hand."""

import re
import struct
import subprocess
from dataclasses import dataclass, field


@dataclass
class RtpPacket:
    time: float
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


@dataclass
class TcpSegment:
    """A frame of a capture file that carries TCP payload, by its place in read_records()."""
    record: int
    payload: bytes


@dataclass
class Call:
    """A SIP call as the wire shows it."""
    call_id: str
    called: str = ""
    invited: float = 0.0
    answered: float = 0.0
    ended: float = 0.0
    media: list = field(default_factory=list)  # (address, port) of each SDP, the caller's first


def parse_rtp(time, payload):
    """An RTP packet (RFC 3550 §5.1) or None."""
    if len(payload) < 12 or payload[0] >> 6 != 2 or 72 <= payload[1] & 0x7F <= 76:
        return None
    sequence, timestamp, ssrc = struct.unpack_from(">HII", payload, 2)
    start = 12 + 4 * (payload[0] & 0x0F)
    if payload[0] & 0x10:
        if len(payload) < start + 4:
            return None
        start += 4 + 4 * struct.unpack_from(">H", payload, start + 2)[0]
    end = len(payload) - (payload[-1] if payload[0] & 0x20 else 0)
    if start > end:
        return None
    return RtpPacket(time, payload[1] & 0x7F, sequence, timestamp, ssrc, payload[start:end])


def unwrap_timestamps(packets):
    """Makes 32-bit timestamps of one stream comparable across a wrap."""
    base, last = 0, None
    for packet in packets:
        if last is not None and packet.timestamp < last - 0x80000000:
            base += 1 << 32
        last = packet.timestamp
        packet.timestamp += base
    return packets


def tshark_streams(path):
    """{(source, destination, ssrc): [RtpPacket]} of a capture of any link type, as tshark reads it."""
    fields = ["frame.time_epoch", "ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport",
              "udp.payload"]
    command = ["tshark", "-n", "-r", path, "-Y", "udp and not icmp", "-T", "fields", "-E", "occurrence=l"]
    for name in fields:
        command += ["-e", name]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    streams = {}
    for line in output.splitlines():
        time, source4, source6, source_port, target4, target6, target_port, payload = line.split("\t")
        packet = parse_rtp(float(time), bytes.fromhex(payload))
        if packet is not None:
            key = (f"{source4 or source6}:{source_port}", f"{target4 or target6}:{target_port}", packet.ssrc)
            streams.setdefault(key, []).append(packet)
    return {key: unwrap_timestamps(packets) for key, packets in streams.items()}


def read_records(path):
    """(file header, [(seconds, microseconds, frame)]) of a tcpdump file."""
    with open(path, "rb") as file:
        data = file.read()
    records, position = [], 24
    while position + 16 <= len(data):
        seconds, micros, captured, _ = struct.unpack_from("<IIII", data, position)
        records.append((seconds, micros, data[position + 16:position + 16 + captured]))
        position += 16 + captured
    return data[:24], records


def write_records(path, header, records):
    with open(path, "wb") as file:
        file.write(header)
        for seconds, micros, frame in records:
            file.write(struct.pack("<IIII", seconds, micros, len(frame), len(frame)) + frame)


def tcp_segments(records):
    """Those records (Ethernet, IPv4) that carry bytes over TCP."""
    found = []
    for number, (_, _, frame) in enumerate(records):
        if frame[12:14] != b"\x08\x00" or frame[23] != 6:
            continue
        tcp = 14 + 4 * (frame[14] & 0x0F)
        payload = frame[tcp + 4 * (frame[tcp + 12] >> 4):14 + struct.unpack_from(">H", frame, 16)[0]]
        if payload:
            found.append(TcpSegment(number, payload))
    return found


def _text(address):
    return ".".join(str(byte) for byte in address)


def read_wire(path):
    """Calls and streams of a tcpdump file (Ethernet, IPv4, UDP): {call_id: Call}, {(source, destination, ssrc): […]}."""
    calls, streams = {}, {}
    for seconds, micros, frame in read_records(path)[1]:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17:
            continue
        udp = 14 + 4 * (frame[14] & 0x0F)
        source_port, target_port, length = struct.unpack_from(">HHH", frame, udp)
        payload = frame[udp + 8:udp + length]
        time = seconds + micros / 1e6
        if 5060 in (source_port, target_port):
            _read_sip(calls, time, payload.decode(errors="replace"))
        elif (packet := parse_rtp(time, payload)) is not None:
            key = (f"{_text(frame[26:30])}:{source_port}", f"{_text(frame[30:34])}:{target_port}", packet.ssrc)
            streams.setdefault(key, []).append(packet)
    return calls, streams


def _read_sip(calls, time, text):
    call_id = re.search(r"^Call-ID: *(\S+)", text, re.MULTILINE | re.IGNORECASE)
    if not call_id:
        return
    call = calls.setdefault(call_id.group(1), Call(call_id.group(1)))
    if text.startswith("INVITE ") and not call.invited:
        call.invited = time
        call.called = re.match(r"INVITE sip:([^@ ]+)@", text).group(1)
    elif text.startswith("SIP/2.0 200") and re.search(r"^CSeq: *\d+ INVITE", text, re.MULTILINE) and not call.answered:
        call.answered = time
    elif text.startswith("BYE ") and not call.ended:
        call.ended = time
    media = re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    address = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE)
    if media and address:
        call.media.append((address.group(1), int(media.group(1))))


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def udp_frame(source, target, payload):
    """An Ethernet frame with IPv4 and UDP; source and target are (address, port)."""
    udp = struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0)
    addresses = b"".join(bytes(int(part) for part in host.split(".")) for host, _ in (source, target))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0) + addresses
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    # Locally administered addresses, one for each side.
    return bytes([2, 0]) + addresses[4:8] + bytes([2, 0]) + addresses[0:4] + b"\x08\x00" + head + udp + payload


def rtp_bytes(payload_type, sequence, timestamp, ssrc, payload, marker=False):
    return struct.pack(">BBHII", 0x80, payload_type | (0x80 if marker else 0), sequence & 0xFFFF,
                       timestamp & 0xFFFFFFFF, ssrc) + payload


def write_rtp_pcap(path, audio, ssrc, payload_type=0):
    """A capture of one G.711 stream in packets of 20 ms, as sipp's play_pcap_audio wants it."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(len(audio) // 160):
            payload = audio[160 * number:160 * (number + 1)]
            rtp = rtp_bytes(payload_type, 1000 + number, 160 * number, ssrc, payload, number == 0)
            frame = udp_frame(("192.0.2.1", 6000), ("192.0.2.2", 6000), rtp)
            micros = 20000 * number
            file.write(struct.pack("<IIII", 1 + micros // 1000000, micros % 1000000, len(frame), len(frame)) + frame)
