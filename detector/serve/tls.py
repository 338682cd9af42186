"""A certificate of our own: phones give the camera to secure pages only."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from detector.errors import DetectorError

if TYPE_CHECKING:
    from cryptography import x509

_DAYS = 365
_RENEW_DAYS = 30
_ANY = {"0.0.0.0", "::", ""}  # "every address" is no name to certify


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """(certificate, private key), PEM files in `folder`: those of an earlier start, or new ones.

    Kept, since a browser asks again about a certificate it has not seen. Valid for a year, for
    localhost, this machine's name and `host`. The key is readable by its owner only.
    Raises DetectorError where the cryptography package is missing or the folder cannot be written.
    """
    names = sorted({host, "localhost", "127.0.0.1", "::1", socket.gethostname()} - _ANY)
    certificate, key = folder / "serve-cert.pem", folder / "serve-key.pem"
    try:
        if key.is_file() and _serves(certificate, names):
            return certificate, key
        pem, key_pem = make(names)
        folder.mkdir(parents=True, exist_ok=True)
        _write(key, key_pem)
        _write(certificate, pem)
    except OSError as error:
        raise DetectorError(f"--tls: cannot keep a certificate in {folder} ({error})") from error
    except ImportError as error:
        raise DetectorError(
            "--tls: making a certificate needs cryptography; pip install 'mobilenet-ssd[serve]', "
            "or give your own with --tls-cert and --tls-key"
        ) from error
    return certificate, key


def make(names: list[str]) -> tuple[bytes, bytes]:
    """A new self-signed certificate for names and addresses, and its private key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "detector serve")])
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    return certificate.public_bytes(pem), private


def _name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _serves(certificate: Path, names: list[str]) -> bool:
    """Whether a kept certificate is for exactly these names and good for another month."""
    from cryptography import x509

    if not certificate.is_file():
        return False
    try:
        kept = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError:
        return False
    alternatives = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = {_name(n) for n in names}
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=_RENEW_DAYS)
    return set(alternatives) == wanted and kept.not_valid_after_utc > soon


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    part = path.with_suffix(f".{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)
