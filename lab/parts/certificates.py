"""Self-made certificates for servers on loopback, by the `openssl` command.

They are PEM files, valid for two days: an authority of their own, and a certificate of it for 127.0.0.1 and localhost.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = "2"
SHORT_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
EXTENSIONS = """subjectAltName = IP:127.0.0.1, DNS:localhost
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
# From Python 3.13 on, an authority that does not say what its key is for is not trusted.
MAY_SIGN = ("-addext", "keyUsage = critical, keyCertSign, cRLSign")


class CertificateFailed(Exception):
    """The certificate could not be made: install the `openssl` command (Debian: apt install openssl)."""


@dataclass(frozen=True)
class Certificate:
    """The files of one certificate. `ca` is what its clients must trust."""

    ca: Path
    certificate: Path
    key: Path
    chain_and_key: Path


def make_certificate(folder: Path, name: str) -> Certificate:
    """Make an authority and a certificate with the subject CN=`name`; the files' names begin with `name`."""
    made = Certificate(*(folder / f"{name}{end}" for end in ("-ca.pem", ".pem", ".key", "-both.pem")))
    ca_key, request, extensions = (folder / f"{name}{end}" for end in ("-ca.key", ".csr", ".ext"))
    extensions.write_text(EXTENSIONS, encoding="ascii")
    _openssl(
        *("req", "-x509", *SHORT_KEY, "-keyout", ca_key, "-out", made.ca),
        *("-days", DAYS, "-subj", "/CN=gridpatrol test authority", *MAY_SIGN),
    )
    _openssl("req", *SHORT_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN={name}")
    _openssl(
        *("x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial"),
        *("-out", made.certificate, "-days", DAYS, "-extfile", extensions),
    )
    made.chain_and_key.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    # PostgreSQL does not take a key that others may read.
    made.key.chmod(0o600)
    made.chain_and_key.chmod(0o600)
    return made


def _openssl(*arguments: str | Path) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CertificateFailed(str(CertificateFailed.__doc__)) from error
    if done.returncode:
        raise CertificateFailed(f"openssl {arguments[0]}: {done.stderr.strip()}")
