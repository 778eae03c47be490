"""The certificate authorities that a client is to trust: mitmproxy's and the system's."""

import os
import re
import ssl
from pathlib import Path

import certifi

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Certificates:
    """The certificates, in PEM, of a mitmproxy with this `confdir`."""

    def __init__(self, confdir: Path) -> None:
        self._folder = confdir.expanduser()
        self.bundle_file = self._folder.absolute() / "latehook-ca-bundle.pem"

    def own(self) -> str:
        """Return mitmproxy's certificate authority. Create it if it is not there yet."""
        certificate = self._folder / "mitmproxy-ca-cert.pem"
        if not certificate.exists():
            from mitmproxy.certs import CertStore  # takes a while, so only when needed

            CertStore.from_store(certificate.parent, "mitmproxy", 2048)
        return _text(_certificates(certificate))

    def bundle(self) -> str:
        """Return mitmproxy's authority and the system's, each certificate once."""
        return _text([*CERTIFICATE.findall(self.own()), *_system()])

    def write_bundle(self) -> Path:
        """Write the bundle beside mitmproxy's authority, if it is not up to date. Return its path. Raises OSError."""
        file, text = self.bundle_file, self.bundle()
        if not file.exists() or file.read_text(errors="replace") != text:
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_text(text)
            draft.replace(file)  # in one step: another process may be reading it
        return file


def _system() -> list[str]:
    named = os.environ.get("SSL_CERT_FILE")  # a company's own authority, perhaps
    openssl = ssl.get_default_verify_paths().openssl_cafile
    for file in (named, *SYSTEM_BUNDLES, openssl, certifi.where()):
        if file and (certificates := _certificates(Path(file))):
            return certificates
    return []


def _certificates(file: Path) -> list[str]:
    return CERTIFICATE.findall(file.read_text(errors="replace")) if file.is_file() else []


def _text(certificates: list[str]) -> str:
    return "\n".join([*dict.fromkeys(certificates), ""])
