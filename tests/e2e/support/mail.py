# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real SMTP server (aiosmtpd) that keeps what it gets, and says no where a test wants it to."""

import email
import email.policy
import socket
import ssl
import subprocess
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Inbox:
    """Handler of aiosmtpd: `mails` as email.message objects, with the envelope beside."""

    def __init__(self):
        self.mails = []
        self.envelopes = []
        self.busy = 0  # so many transactions are told to come again
        self.arrived = threading.Condition()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user here"
        with self.arrived:
            if self.busy:
                self.busy -= 1
                return "451 4.3.2 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        with self.arrived:
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.arrived.notify_all()
        return "250 kept"

    def wait(self, count, timeout_s=20):
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.mails) >= count, timeout_s), f"{len(self.mails)} mails"
            return self.mails[count - 1]


def certificate(directory):
    """A certificate for localhost; (certificate, key) as paths."""
    paths = directory / "mail.crt", directory / "mail.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
                   check=True, capture_output=True)
    return paths


class MailServer:
    def __init__(self, directory=None, login=None):
        """directory: offers STARTTLS with a certificate made there. login: (user, password) that is asked for."""
        self.inbox = Inbox()
        options = {}
        if directory:
            self.certificate, key = certificate(directory)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, key)
            options["tls_context"] = context
        if login:
            options["auth_required"] = True
            options["authenticator"] = lambda _server, _session, _envelope, _mechanism, data: AuthResult(
                success=(data.login.decode(), data.password.decode()) == login, handled=False)
        self.controller = Controller(self.inbox, hostname="127.0.0.1", port=0, **options)
        # aiosmtpd knocks at its own port when it starts, which it does not know when the system chose it.
        self.controller._trigger_server = lambda: socket.create_connection(("127.0.0.1", self.port)).close()
        self.controller.start()

    @property
    def port(self):
        return self.controller.server.sockets[0].getsockname()[1]

    @property
    def url(self):
        return f"smtp://localhost:{self.port}"

    def close(self):
        self.controller.stop()
