"""Writes and names a bundle of the system's certificate authorities and mitmproxy's: what a client should trust.

Its place is mitmproxy's confdir. mitmproxy's authority is made if it is not there yet.
"""

import os
import sys
from pathlib import Path

from latehook.control import certificates


def ca_bundle(confdir: Path) -> Path:
    bundle = confdir.expanduser().absolute() / "latehook-ca-bundle.pem"
    text = certificates.bundle(bundle.parent)
    if not bundle.exists() or bundle.read_text() != text:
        draft = bundle.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(bundle)  # at once: another process may be reading it
    return bundle


if __name__ == "__main__":
    print(ca_bundle(Path(sys.argv[1])))
