"""Writes and names a bundle of the system's certificate authorities and mitmproxy's: what a client should trust.

Its place is mitmproxy's confdir. mitmproxy's authority is made if it is not there yet.
"""

import os
import re
import ssl
import sys
from pathlib import Path

import certifi

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def ca_bundle(confdir: Path) -> Path:
    bundle = confdir.expanduser().absolute() / "latehook-ca-bundle.pem"
    certificates = dict.fromkeys([*_mitmproxy_authority(bundle.parent), *_system_authorities()])
    text = "\n".join([*certificates, ""])
    if not bundle.exists() or bundle.read_text() != text:
        draft = bundle.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(bundle)  # at once: another process may be reading it
    return bundle


def _mitmproxy_authority(confdir: Path) -> list[str]:
    certificate = confdir / "mitmproxy-ca-cert.pem"
    if not certificate.exists():
        from mitmproxy.certs import CertStore  # takes a while, so only when needed

        CertStore.from_store(confdir, "mitmproxy", 2048)
    return _certificates(certificate)


def _system_authorities() -> list[str]:
    named = os.environ.get("SSL_CERT_FILE")  # a company's own authority, perhaps
    openssl = ssl.get_default_verify_paths().openssl_cafile
    for file in (named, *SYSTEM_BUNDLES, openssl, certifi.where()):
        if file and (certificates := _certificates(Path(file))):
            return certificates
    return []


def _certificates(file: Path) -> list[str]:
    return CERTIFICATE.findall(file.read_text(errors="replace")) if file.is_file() else []


if __name__ == "__main__":
    print(ca_bundle(Path(sys.argv[1])))
