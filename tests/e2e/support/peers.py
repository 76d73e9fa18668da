# SPDX-License-Identifier: AGPL-3.0-or-later
"""Real SIP peers in the two namespaces of a Mirror, and a witness of our own: tcpdump on the mirror port."""

import math
import os
import shutil
import signal
import subprocess
import time

from support import audio, wire
from support.programs import PATIENCE

SCENARIOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scenarios")


def sweep(seconds, low_hz, high_hz, rate=8000):
    """A tone that rises once a second from low to high: no two packets of it are alike. 16-bit samples."""
    samples, phase = [], 0.0
    for n in range(round(seconds * rate)):
        phase += 2 * math.pi * (low_hz + (high_hz - low_hz) * (n % rate) / rate + n / 4000) / rate
        samples.append(round(9000 * math.sin(phase)))
    return samples


class Witness:
    """Everything that passes the mirror port, written by tcpdump."""

    def __init__(self, interface, path, what="udp"):
        self.path = str(path)
        self.process = subprocess.Popen(
            ["nice", "-n", "-10", "tcpdump", "-i", interface, "-B", "65536", "-s", "0", "-U", "-w", self.path, *what.split()],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert "listening on" in self.process.stderr.readline()

    def stop(self):
        """Ends it and returns (calls, streams) as seen."""
        if self.process.poll() is None:
            time.sleep(1.2)  # its buffer is handed over once a second, and what is left in it at the end is lost
            self.process.send_signal(signal.SIGINT)
        report = self.process.communicate(timeout=20)[1]
        assert "\n0 packets dropped by kernel" in report, f"the witness itself missed packets: {report}"
        return wire.read_wire(self.path)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class SippCalls:
    """Calls from namespace a to b, all at once, each with its own media ports and G.711 in both directions."""

    def __init__(self, mirror, directory, calls, seconds, rate_cps, prefix="7", media_seconds=None,
                 transport="u1"):
        self.calls, self.seconds = calls, seconds
        os.makedirs(directory, exist_ok=True)
        media_seconds = media_seconds or seconds
        # sipp looks for the media beside the scenario.
        for name, ssrc, low, high in (("caller", 0x0CA11E12, 300, 1100), ("callee", 0x0CA11EE0, 1300, 2300)):
            shutil.copy(os.path.join(SCENARIOS, name + ".xml"), directory)
            wire.write_rtp_pcap(os.path.join(directory, name + ".pcap"),
                                audio.encode_ulaw(sweep(media_seconds, low, high)), ssrc)
        self.logs = [open(os.path.join(directory, name), "w+", encoding="utf-8") for name in ("uas.log", "uac.log")]
        common = ["-nostdin", "-trace_err", "-buff_size", "4194304", "-m", str(calls),
                  "-t", transport, *(["-max_socket", "1000"] if transport.startswith("t") else [])]
        self.callee = self._start(mirror.b, directory, self.logs[0], "-sf", "callee.xml", "-i", mirror.ADDRESS_B, "-mi",
                                  mirror.ADDRESS_B, *common)
        time.sleep(0.5)
        self.caller = self._start(mirror.a, directory, self.logs[1], "-sf", "caller.xml", "-i", mirror.ADDRESS_A, "-mi",
                                  mirror.ADDRESS_A, "-key", "prefix", prefix, "-r", str(rate_cps), "-l", str(calls),
                                  "-d", str(round(seconds * 1000)), *common, mirror.ADDRESS_B)

    @staticmethod
    def _start(namespace, directory, log, *arguments):
        # Before everything else on a busy machine: a late peer would look like a recorder that misses calls.
        return subprocess.Popen(["nice", "-n", "-10", "ip", "netns", "exec", namespace, "sipp", *arguments], cwd=directory,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def wait(self, timeout_s=60):
        """Until all calls ended; each must have succeeded for sipp."""
        assert self.caller.wait(timeout_s * PATIENCE) == 0, "sipp's caller had failed calls"
        assert self.callee.wait(timeout_s * PATIENCE) == 0, "sipp's callee had failed calls"

    def kill(self):
        for process in (self.caller, self.callee):
            if process.poll() is None:
                process.kill()
                process.wait()
        for log in self.logs:
            log.close()


class Baresip:
    """One baresip softphone in a namespace, playing a WAV file and answering by itself."""

    def __init__(self, namespace, address, directory, user, wav, codec, seconds, dial=None):
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, "config"), "w", encoding="utf-8") as file:
            file.write(f"""sip_listen {address}:5060
audio_player aufile,{directory}/played.wav
audio_source aufile,{wav}
audio_alert aufile,/dev/null
audio_level no
rtp_ports 30000-30100
rtcp_mux no
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
""")
        with open(os.path.join(directory, "accounts"), "w", encoding="utf-8") as file:
            file.write(f"<sip:{user}@{address}>;regint=0;answermode=auto;audio_codecs={codec}/8000/1\n")
        open(os.path.join(directory, "contacts"), "w", encoding="utf-8").close()
        command = ["ip", "netns", "exec", namespace, "baresip", "-4", "-f", directory, "-t", str(seconds)]
        if dial:
            command += ["-e", f"/dial {dial}"]
        self.log = open(os.path.join(directory, "log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
