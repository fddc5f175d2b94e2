"""Mail by SMTP (RFC 5321), with TLS: `starttls` on port 587 or `implicit` on port 465 (RFC 8314)."""

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from consumers.channels.http_request import trusting
from consumers.channels.message import Message, in_language, plain_text
from consumers.channels.outcome import Outcome
from consumers.channels.settings import Channel
from engine.addresses import ChannelAway, look_up

FOREVER = 500
"""From here on a reply code says that no other try does better; below that, that one may (RFC 5321, 4.2.1)."""

READY = 220


class NamedTls:
    """TLS to an address that was looked up: the certificate must be of the name, which smtplib does not know then."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._context, self._host = context, host

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        """A socket that speaks TLS; what smtplib takes for the name is the address."""
        return self._context.wrap_socket(sock, server_hostname=self._host)


def mail_of(channel: Channel, message: Message, addresses: tuple[str, ...]) -> EmailMessage:
    """The mail. Its Message-ID is the same each time, so that a reader's program knows a repeat."""
    mail = EmailMessage()
    mail["From"] = channel.sender
    mail["To"] = ", ".join(addresses)
    mail["Subject"] = in_language(message.subject, channel.language)
    mail["Date"] = formatdate(message.at / 1000)
    mail["Message-ID"] = f"<{message.id}@{channel.sender.rpartition('@')[2].strip('> ')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(plain_text(message, channel.language) + "\n")
    return mail


def send(channel: Channel, message: Message, now_ms: int) -> Outcome:
    """Hand it to the mail server."""
    addresses = channel.to.get(message.recipient, channel.everyone)
    if not addresses:
        return Outcome("refused", "the file of channels has no address for this post", whole=False)
    mail = mail_of(channel, message, addresses)
    try:
        with connected(channel) as server:
            refused = server.send_message(mail)
    except smtplib.SMTPAuthenticationError as error:
        words = f"the mail server does not know user and password ({error.smtp_code})"
        return Outcome("again", words, said=_text(error.smtp_error))
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        words = f"the mail server does not take mail for this address ({code})"
        return Outcome("refused" if code >= FOREVER else "again", words, whole=False, said=_text(text))
    except smtplib.SMTPResponseException as error:
        words = f"the mail server did not take the mail ({error.smtp_code})"
        return Outcome("again", words, whole=error.smtp_code < FOREVER, said=_text(error.smtp_error))
    except ssl.SSLCertVerificationError as error:
        words = (
            f"the certificate of {channel.host} is not trusted ({error.verify_message}): name who signed it with `ca`"
        )
        return Outcome("again", words)
    except smtplib.SMTPNotSupportedError:
        return Outcome("again", "the mail server does not offer what is asked for: see `tls` and `user`")
    except TimeoutError:
        return Outcome("again", f"{channel.host} takes longer than {channel.timeout_s:g} s to answer")
    except (OSError, smtplib.SMTPException) as error:
        return Outcome("again", f"the connection to {channel.host} broke ({type(error).__name__})")
    if refused:
        return Outcome("sent", f"taken, but not for {len(refused)} of {len(addresses)} addresses")
    return Outcome("sent", "taken by the mail server")


def connected(channel: Channel) -> smtplib.SMTP:
    """A connection to a checked address of the mail server, that speaks TLS and has logged in."""
    tls: Any = NamedTls(trusting(channel.ca), channel.host)
    why: OSError | None = None
    ourselves = channel.sender.rpartition("@")[2].strip("> ")  # asking the machine for its name may take seconds
    for address in look_up(channel.host, channel.port, channel.private):
        server: smtplib.SMTP
        if channel.tls == "implicit":
            server = smtplib.SMTP_SSL(local_hostname=ourselves, timeout=channel.timeout_s, context=tls)
        else:
            server = smtplib.SMTP(local_hostname=ourselves, timeout=channel.timeout_s)
        try:
            code, text = server.connect(address, channel.port)
        except ssl.SSLError:
            server.close()
            raise
        except OSError as error:
            server.close()
            why = error
            continue
        try:
            if code != READY:
                raise smtplib.SMTPConnectError(code, text)
            if channel.tls == "starttls":
                server.starttls(context=tls)
            if channel.user:
                server.login(channel.user, channel.secret.reveal())
        except BaseException:
            server.close()
            raise
        return server
    raise ChannelAway(f"nobody answers at {channel.where} ({getattr(why, 'strerror', None) or why})") from why


def _text(said: bytes | str) -> str:
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:300]
