# SPDX-License-Identifier: AGPL-3.0-or-later
"""RTP streams of a capture counted twice: by our worker (tests/tools/stream_census.cc) and by tshark."""

import json
import os
import re
from dataclasses import dataclass

from support import programs

STREAM_CENSUS = os.path.join(programs.BUILD, "tests", "tools", "stream_census")

# Start, end, source, port, destination, port, SSRC, payload names (with blanks), packets, lost.
_ROW = re.compile(r"^ *[\d.]+ +[\d.]+ +(\S+) +(\d+) +(\S+) +(\d+) +(0x[0-9A-F]+) .*?(\d+) +(-?\d+) \(-?[\d.]+%\) ")
_ANY_PORT_IS_RTP = ("-d", "udp.port==1-65535,rtp")


@dataclass(frozen=True)
class Count:
    packets: int  # all of them, those seen twice too
    duplicates: int
    lost: int

    def __add__(self, other):
        return Count(self.packets + other.packets, self.duplicates + other.duplicates, self.lost + other.lost)


def _endpoint(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tshark(path, *arguments):
    done = programs.run("tshark", "-n", "-r", path, *arguments)
    # A capture that was cut short is read as far as it goes.
    assert done.returncode == 0 or "cut short" in done.stderr, done.stderr
    return done.stdout


def _fields(path, names, *arguments):
    listed = [part for name in names for part in ("-e", name)]
    for line in _tshark(path, "-T", "fields", "-E", "occurrence=a", *listed, *arguments).splitlines():
        yield line.split("\t")


def hosts(path):
    """Every address of the capture, in tunnels too."""
    names = ("ip.src", "ip.dst", "ipv6.src", "ipv6.dst")
    return sorted({host for row in _fields(path, names) for field in row for host in field.split(",") if host})


def _last(field):
    return field.split(",")[-1]


def _repeats(rows):
    """{stream: packets whose sequence number and time stamp were there before}."""
    seen, repeats = set(), {}
    for row in rows:
        source4, source6, source_port, target4, target6, target_port, ssrc, sequence, timestamp = map(_last, row)
        key = (_endpoint(source4 or source6, source_port), _endpoint(target4 or target6, target_port), int(ssrc, 16))
        repeats[key] = repeats.get(key, 0) + ((key, sequence, timestamp) in seen)
        seen.add((key, sequence, timestamp))
    return repeats


def by_tshark(path, decode_as=_ANY_PORT_IS_RTP):
    """{(source, destination, ssrc): Count}. `lost` as a receiver would say it: tshark takes what came twice off."""
    names = ("ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport", "rtp.ssrc", "rtp.seq",
             "rtp.timestamp")
    rows = list(_fields(path, names, "-z", "rtp,streams", "-Y", "rtp.ssrc && !icmp && !icmpv6", *decode_as))
    repeats = _repeats(row for row in rows if len(row) == len(names))
    counts = {}
    for line in (row[0] for row in rows if len(row) == 1):
        row = _ROW.match(line)
        if row is None:
            continue
        source, source_port, target, target_port, ssrc, packets, lost = row.groups()
        key = (_endpoint(source, source_port), _endpoint(target, target_port), int(ssrc, 16))
        counts[key] = counts.get(key, Count(0, 0, 0)) + Count(int(packets), 0, int(lost))
    return {key: Count(c.packets, repeats.get(key, 0), c.lost + repeats.get(key, 0)) for key, c in counts.items()}


def by_us(path):
    """{(source, destination, ssrc): Count}; a flow that was forgotten and came back is one."""
    done = programs.run(STREAM_CENSUS, path, *hosts(path))
    assert done.returncode == 0, done.stderr
    counts = {}
    for stream in json.loads(done.stdout)["streams"]:
        key = (stream["source"], stream["destination"], stream["ssrc"])
        assert stream["dropped_us"] == 0, key
        assert stream["frames"] == stream["stored"], f"{key}: what is on the ring is not what was counted"
        count = Count(stream["stored"] + stream["duplicates"], stream["duplicates"], stream["lost"])
        counts[key] = counts.get(key, Count(0, 0, 0)) + count
    return counts
