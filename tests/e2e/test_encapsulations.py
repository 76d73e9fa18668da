# SPDX-License-Identifier: AGPL-3.0-or-later
"""One short call in every encapsulation, link layer and file format: tshark reads it, and it is recorded whole."""

import pytest

from support import audio, capture_files, layers, programs, short_call
from support.short_call import HOSTS6, ShortCall

pytestmark = pytest.mark.skipif(programs.missing("tshark") is not None, reason="needs tshark")

V4, V6 = ShortCall(), ShortCall(HOSTS6)
LONG4, LONG6 = ShortCall(padding=2000), ShortCall(HOSTS6, padding=2000)
TCP4, TCP6 = ShortCall(transport="TCP"), ShortCall(HOSTS6, transport="TCP")


def in_ethernet(wrap, call=V4):
    """A capture whose every IP packet was put through `wrap`, which gives an Ethernet frame."""
    def write(path):
        capture_files.write_pcap(path, [(time, wrap(packet)) for time, packet in call.packets()])
    return call, write


def tunnelled(wrap, call=V4):
    """…through `wrap`, which gives an IP packet."""
    return in_ethernet(lambda packet: layers.ethernet(wrap(packet)), call)


def mirrored(wrap, inner=layers.ethernet, call=V4):
    """…as an Ethernet frame through `wrap`, which gives an IP packet."""
    return in_ethernet(lambda packet: layers.ethernet(wrap(inner(packet))), call)


def on_link(link, wrap, call=V4, **options):
    def write(path):
        capture_files.write_pcap(path, [(time, wrap(packet)) for time, packet in call.packets()], link, **options)
    return call, write


def of_packets(call, packets):
    def write(path):
        capture_files.write_pcap(path, [(time, layers.ethernet(packet)) for time, packet in packets()])
    return call, write


def erf_file(path):
    capture_files.write_pcap(path, [(time, layers.erf(layers.ethernet(packet), time)) for time, packet in V4.packets()],
                             capture_files.ERF)


def two_interfaces(order):
    """Each direction on an interface of its own, of another link type and another resolution."""
    def write(path):
        frames = []
        for each, (time, packet) in zip(V4.datagrams(), V4.packets()):
            near = each.source[0] == V4.hosts["far"]
            frames.append((time, 0, layers.ethernet(packet)) if near else (time, 1, layers.cooked_1(packet)))
        capture_files.write_pcapng(path, frames, [capture_files.ETHERNET, capture_files.COOKED_1], order)
    return V4, write


def vlan_inside(packet):
    return layers.tagged(packet, (layers.VLAN, 30))


CASES = {
    "ethernet": in_ethernet(layers.ethernet),
    "vlan": in_ethernet(lambda p: layers.tagged(p, (layers.VLAN, 20))),
    "qinq": in_ethernet(lambda p: layers.tagged(p, (layers.QINQ, 20), (layers.VLAN, 30))),
    "vlan_four_deep": in_ethernet(lambda p: layers.tagged(p, *[(layers.VLAN, n) for n in (20, 21, 22, 23)])),
    "snap": in_ethernet(layers.snap),
    "mpls_one_label": in_ethernet(lambda p: layers.ethernet(layers.mpls(p, 17), layers.MPLS)),
    "mpls_three_labels": in_ethernet(lambda p: layers.ethernet(layers.mpls(p, 17, 18, 19), layers.MPLS)),
    "mpls_ipv6": in_ethernet(lambda p: layers.ethernet(layers.mpls(p, 17), layers.MPLS), V6),
    "pppoe": in_ethernet(lambda p: layers.ethernet(layers.pppoe(p), layers.PPPOE)),
    "pppoe_ipv6": in_ethernet(lambda p: layers.ethernet(layers.pppoe(p), layers.PPPOE), V6),
    "gre": tunnelled(lambda p: layers.gre(layers.ethertype_of(p), p)),
    "gre_key_sequence_checksum": tunnelled(lambda p: layers.gre(layers.ethertype_of(p), p, 5, 6, True)),
    "gre_ipv6": tunnelled(lambda p: layers.gre(layers.ethertype_of(p), p), V6),
    "gre_ethernet": mirrored(lambda f: layers.gre(layers.TEB, f)),
    "gre_ethernet_vlan": mirrored(lambda f: layers.gre(layers.TEB, f), vlan_inside),
    "gre_mpls": tunnelled(lambda p: layers.gre(layers.MPLS, layers.mpls(p, 17))),
    "gre_ppp": tunnelled(layers.gre_ppp),
    "gre_in_vlan": in_ethernet(lambda p: layers.tagged(layers.gre(layers.IPV4, p), (layers.VLAN, 20))),
    "erspan_1": mirrored(layers.erspan_1),
    "erspan_2": mirrored(layers.erspan_2),
    "erspan_2_vlan": mirrored(layers.erspan_2, vlan_inside),
    "erspan_3": mirrored(layers.erspan_3),
    "erspan_3_platform": mirrored(lambda f: layers.erspan_3(f, platform=True)),
    "vxlan": mirrored(layers.vxlan),
    "vxlan_vlan": mirrored(layers.vxlan, vlan_inside),
    "vxlan_ipv6": mirrored(layers.vxlan, call=V6),
    "ip_in_ip": tunnelled(lambda p: layers.tunnel4(layers.IPIP, p)),
    "ip6_in_ip4": tunnelled(lambda p: layers.tunnel4(layers.IP6IN, p), V6),
    "ip4_in_ip6": tunnelled(lambda p: layers.ip6(*layers.OUTER6, layers.IPIP, p)),
    "l2tp": tunnelled(layers.l2tp),
    "l2tp_length_and_sequence": tunnelled(lambda p: layers.l2tp(p, sequenced=True)),
    "gtp_u": tunnelled(layers.gtp_u),
    "gtp_u_sequence": tunnelled(lambda p: layers.gtp_u(p, sequenced=True)),
    "gtp_u_ipv6": tunnelled(layers.gtp_u, V6),
    "tzsp": mirrored(layers.tzsp),
    "ipv6": in_ethernet(layers.ethernet, V6),
    "ipv6_options": of_packets(V6, lambda: (
        (d.time, layers.ip6_with_options(d.source[0], d.target[0], layers.UDP, layers.udp(d.source, d.target, d.payload)))
        for d in V6.datagrams())),
    "ipv4_fragments": of_packets(LONG4, lambda: LONG4.packets(1480)),
    "ipv4_many_fragments_reversed": of_packets(LONG4, lambda: LONG4.packets(200, reverse=True)),
    "ipv4_fragments_of_media": of_packets(V4, lambda: V4.packets(96)),
    "ipv6_fragments": of_packets(LONG6, lambda: LONG6.packets(1448)),
    "ipv6_many_fragments_reversed": of_packets(LONG6, lambda: LONG6.packets(200, reverse=True)),
    "tcp": of_packets(TCP4, TCP4.tcp_packets),
    "tcp_out_of_order": of_packets(TCP4, lambda: TCP4.tcp_packets(100, reverse=True)),
    "tcp_ipv6": of_packets(TCP6, TCP6.tcp_packets),
    "linux_cooked_1": on_link(capture_files.COOKED_1, layers.cooked_1),
    "linux_cooked_2": on_link(capture_files.COOKED_2, layers.cooked_2),
    "raw_ip": on_link(capture_files.RAW, bytes),
    "raw_ipv6": on_link(capture_files.RAW, bytes, V6),
    "null": on_link(capture_files.NULL, lambda p: layers.loopback(p, "<")),
    "null_ipv6": on_link(capture_files.NULL, lambda p: layers.loopback(p, "<"), V6),
    "null_big_endian": on_link(capture_files.NULL, lambda p: layers.loopback(p, ">"), order=">"),
    "loop": on_link(capture_files.LOOP, lambda p: layers.loopback(p, ">")),
    "erf": (V4, erf_file),
    "pcap_nanoseconds": on_link(capture_files.ETHERNET, layers.ethernet, nanoseconds=True),
    "pcap_big_endian": on_link(capture_files.ETHERNET, layers.ethernet, order=">"),
    "pcap_big_endian_nanoseconds": on_link(capture_files.ETHERNET, layers.ethernet, order=">", nanoseconds=True),
    "pcap_gzip": on_link(capture_files.ETHERNET, layers.ethernet, compressed=True),
    "pcapng_two_interfaces": two_interfaces("<"),
    "pcapng_two_interfaces_big_endian": two_interfaces(">"),
}


def last(field):
    return field.split(",")[-1]


def dissected(path, call):
    """What tshark sees: the SIP messages by their first words, and {stream: sequence numbers}."""
    names = ("sip.Method", "sip.Status-Code", "ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport",
             "rtp.ssrc", "rtp.seq")
    listed = [part for name in names for part in ("-e", name)]
    done = programs.run("tshark", "-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "sip || rtp", "-T", "fields", *listed)
    assert done.returncode == 0, done.stderr
    messages, streams = [], {}
    for line in done.stdout.splitlines():
        method, status, source4, source6, source_port, target4, target6, target_port, ssrc, sequence = line.split("\t")
        if method or status:
            messages.append(method or status)
            continue
        # The innermost addresses; a tunnel's may be of the other version.
        ends = [f"[{last(v6)}]:{last(port)}" if call.hosts is HOSTS6 else f"{last(v4)}:{last(port)}"
                for v4, v6, port in ((source4, source6, source_port), (target4, target6, target_port))]
        streams.setdefault((*ends, int(ssrc, 16)), []).append(int(sequence))
    return messages, streams


@pytest.fixture(scope="module")
def capture(directory):
    written = {}

    def path(name):
        if name not in written:
            written[name] = directory / f"{name}.pcap"
            CASES[name][1](written[name])
        return written[name]
    return path


@pytest.mark.parametrize("name", CASES)
def test_tshark_sees_the_call(capture, name):
    """Else the builder and the decoder under test could share an error."""
    call = CASES[name][0]
    messages, streams = dissected(capture(name), call)
    assert messages == ["INVITE", "180", "200", "ACK", "BYE", "200"]
    assert streams == {key: list(range(100, 100 + short_call.PACKETS)) for key in call.streams()}


@pytest.mark.parametrize("name", CASES)
def test_the_call_is_recorded_whole(capture, directory, name):
    call = CASES[name][0]
    recordings = programs.spantape_json("record", capture(name), "--out", directory / name)
    assert [r["device_id"] for r in recordings] == [short_call.DEVICE]
    recording = recordings[0]
    ledger = recording["ledger"]
    assert [ledger[k] for k in ("lost_before", "dropped_us", "dropped_kernel", "duplicates")] == [0] * 4
    found = {(s["source"], s["destination"], int(s["ssrc"], 16)): s for s in recording["streams"]}
    assert found.keys() == call.streams().keys()
    wav = audio.Wav(str(directory / name / recording["file"]))
    for key, side in call.streams().items():
        stream = found[key]
        assert (stream["packets"], stream["codec"].upper(), stream["side"]) == (short_call.PACKETS, "PCMU", side)
        assert stream["start"] == pytest.approx(call.rtp(side)[0].time, abs=1e-4)
        matched, compared, missed = audio.match_packets(wav, side, call.rtp(side), recording["recording_time"])
        assert matched == compared >= short_call.PACKETS - 1, missed
