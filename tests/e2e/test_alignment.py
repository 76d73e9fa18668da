# SPDX-License-Identifier: AGPL-3.0-or-later
"""Both sides where they were spoken, for as long as the call lasts: spantape-gen's calls with loss, jitter, late packets
and a clock that runs wrong; what was spoken is looked for in the WAV file where it came by the capture's clock."""

import array
import json
import math
import random
import wave

import pytest

from support import audio, programs

MINUTES = 12
PTIME = 0.02
SAMPLES = 160


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A WAV file for each side, of noise below 500 Hz: it fits nowhere but where it belongs."""
    place, files = tmp_path_factory.mktemp("spoken"), []
    for side in range(2):
        values = array.array("b", random.Random(side).randbytes(MINUTES * 60 * 1000))
        samples = array.array("h", (value * 64 for value in values for _ in range(8)))
        files.append((str(place / f"{side}.wav"), samples))
        with wave.open(files[-1][0], "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    return files


def offset(channel, wanted, around, within):
    """How many samples from `around` the wanted ones correlate best; None: nowhere well."""
    best, power = (0, None), math.sqrt(sum(v * v for v in wanted))
    for place in range(max(0, around - within), around + within):
        part = channel[place:place + len(wanted)]
        if len(part) < len(wanted):
            break
        norm = math.sqrt(sum(v * v for v in part)) * power
        fit = sum(a * b for a, b in zip(part, wanted)) / norm if norm else 0
        best = max(best, (fit, place - around))
    return best[1] if best[0] > 0.9 else None


CONDITIONS = {
    "even": [],
    "loss": ["--loss", "2"],
    "jitter": ["--jitter", "15"],
    "reordering": ["--reorder", "2"],
    "slow": ["--drift", "100", "--jitter", "5"],
    "fast": ["--drift", "-100", "--jitter", "5"],
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_both_sides_stay_aligned(tmp_path, record_property, spoken, condition):
    options = CONDITIONS[condition]
    capture = tmp_path / "call.pcap"
    done = programs.run(programs.SPANTAPE_GEN, "--calls", 1, "--seconds", MINUTES * 60, "--out", capture, "--manifest",
                        tmp_path / "sent.json", "--audio", *[path for path, _ in spoken], *options)
    assert done.returncode == 0, done.stderr
    [recording] = programs.spantape_json("record", capture, "--store", tmp_path / "store", "--out", tmp_path / "out")
    wav = audio.Wav(str(tmp_path / "out" / recording["file"]))
    assert wav.duration == pytest.approx(recording["duration"], abs=0.001)
    drift = float(options[options.index("--drift") + 1]) * 1e-6 if "--drift" in options else 0
    [call] = json.loads((tmp_path / "sent.json").read_text())["calls"]
    furthest = 0
    for (party, side, rate), (_, samples) in zip((("caller", "far", 1 + drift), ("callee", "device", 1)), spoken):
        channel = array.array("h", wav.channels[0 if side == "device" else 1])
        lost = set(call[party]["lost"])
        began = float(call[party]["first_time"]) - recording["recording_time"]
        found = 0
        for minute in range(MINUTES):
            packet = next(p for p in range(minute * 3000 + 100, minute * 3000 + 200) if lost.isdisjoint(range(p - 1, p + 2)))
            around = round((began + packet * PTIME * rate) * 8000)
            here = offset(channel, samples[packet * SAMPLES:(packet + 2) * SAMPLES], around, 400)
            if here is None:
                continue
            found += 1
            furthest = max(furthest, abs(here))
        assert found >= MINUTES - 2, f"{side}: heard at {found} of {MINUTES} minutes"
    record_property("furthest_ms", furthest / 8)
    print(f"{condition}: at most {furthest / 8:.1f} ms from where it was spoken, in {MINUTES} minutes")
    assert furthest / 8 <= 20
