"""Certificates that are not mitmproxy's."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """What a TLS server needs (`context`), and the file of the CA that its clients must trust (`ca`)."""

    context: ssl.SSLContext
    ca: str


def certificate(folder: Path, *names: str) -> Certificate:
    """Return a certificate for these host names from a CA of its own, whose files are in `folder`."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from mitmproxy.certs import CertStore

    folder.mkdir(exist_ok=True)
    entry = CertStore.from_store(folder, "other", 2048).get_cert(names[0], [x509.DNSName(name) for name in names])
    chain = folder / "server.pem"
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(entry.cert.to_pem() + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Certificate(context, str(folder / "other-ca-cert.pem"))
