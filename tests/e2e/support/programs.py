# SPDX-License-Identifier: AGPL-3.0-or-later
"""The programs under test: where they are, running the command line, starting and ending the appliance."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.join(ROOT, os.environ.get("SPANTAPE_BUILD", "build"))
CAPTURES = os.path.abspath(os.environ.get("SPANTAPE_CAPTURES", os.path.join(ROOT, "..", "shared", "captures")))

SPANTAPED = os.path.join(BUILD, "appliance", "spantaped")
SPANTAPE = os.path.join(BUILD, "tools", "spantape")
# The generator is no part of what is tested: a build without one borrows the ordinary one.
SPANTAPE_GEN = os.path.join(BUILD, "tools", "spantape-gen")
if not os.access(SPANTAPE_GEN, os.X_OK):
    SPANTAPE_GEN = os.path.join(ROOT, "build", "tools", "spantape-gen")

# A sanitizer build is several times slower; waits are stretched by this.
PATIENCE = float(os.environ.get("SPANTAPE_PATIENCE", "1"))


def missing(*names):
    """A reason to skip when a peer program is not installed, else None."""
    absent = [name for name in names if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def run(*arguments, timeout_s=60, **options):
    """Runs a program to its end; the result has returncode, stdout, stderr."""
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False,
                          timeout=timeout_s * PATIENCE, **options)


def spantape_json(*arguments, timeout_s=60):
    """Runs `spantape … --json`, which must succeed, and returns what it printed."""
    done = run(SPANTAPE, *arguments, "--json", timeout_s=timeout_s)
    assert done.returncode == 0, f"spantape {arguments} exits {done.returncode}: {done.stderr[-2000:]}"
    return json.loads(done.stdout)


def wait_until(condition, timeout_s, what):
    """Polls until condition() is true and returns its value; fails naming `what`."""
    end = time.monotonic() + timeout_s * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)


def before_all_others():
    """This thread runs as soon as it is due: a packet that a busy machine sends late would look like a fault of ours."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_FIFO, os.sched_param(1))


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value)
    return str(value)


def toml_table(header, values):
    return "\n".join([header, *(f"{key} = {toml_value(value)}" for key, value in values.items())]) + "\n"


class Daemon:
    """One spantaped. Only ever ended by its own process id."""

    def __init__(self, directory, sources, **sections):
        self.directory = str(directory)
        self.store = os.path.join(self.directory, "store")
        self.log_path = os.path.join(self.directory, "spantaped.log")
        self.config_path = os.path.join(self.directory, "spantape.toml")
        os.makedirs(self.store, exist_ok=True)
        settings = {
            "capture": {"sources": sources},
            "storage": {"path": self.store},
            "api": {"xml": "127.0.0.1:0", "events": "127.0.0.1:0"},
            "webapi": {"listen": "127.0.0.1:0", "tls": ""},
        }
        tables = {section: values for section, values in sections.items() if isinstance(values, list)}
        for section, values in sections.items():
            if section not in tables:
                settings.setdefault(section, {}).update(values)
        with open(self.config_path, "w", encoding="utf-8") as file:
            for section, values in settings.items():
                file.write(toml_table(f"[{section}]", values))
            for section, each in tables.items():
                file.writelines(toml_table(f"[[{section}]]", values) for values in each)
        self.process = None
        self.ports = {}

    def start(self, timeout_s=20):
        with open(self.log_path, "ab") as log:
            # A session of its own: nothing that ends the tests' group ends it unseen.
            self.process = subprocess.Popen([SPANTAPED, "--config", self.config_path], stdout=subprocess.PIPE,
                                            stderr=log, cwd=self.directory)
        line = self._first_line(timeout_s * PATIENCE)
        assert line.startswith("ready "), f"no ready line but {line!r}; log: {self.log()[-3000:]}"
        self.ports = {}
        for name, port in re.findall(r"(\w+)=\S+?:(\d+)(?=\s|$)", line):
            self.ports[name] = int(port)
        return self

    def _first_line(self, timeout_s):
        end = time.monotonic() + timeout_s
        text = b""
        while not text.endswith(b"\n"):
            left = end - time.monotonic()
            readable, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            piece = os.read(self.process.stdout.fileno(), 1) if readable else b""
            if not piece:
                break
            text += piece
        return text.decode(errors="replace").rstrip("\n")

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def stop(self, how=signal.SIGTERM, timeout_s=20):
        """Asks it to end; returns the exit code."""
        if self.alive():
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout_s * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"spantaped did not end within {timeout_s} s; log: {self.log()[-3000:]}") from None
        self.process.stdout.close()
        return code

    def kill(self):
        """kill -9, as a power button would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
