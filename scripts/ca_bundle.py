"""Write a bundle of the system's CA certificates and mitmproxy's, for clients to trust, and print its path.

The bundle is in mitmproxy's confdir, the only argument. If mitmproxy's CA does not exist yet, it is created.
"""

import os
import sys
from pathlib import Path

from latehook.proxy.certificates import Certificates


def ca_bundle(confdir: Path) -> Path:
    """Write the bundle if it is not up to date; return its path."""
    bundle = confdir.expanduser().absolute() / "latehook-ca-bundle.pem"
    text = Certificates(bundle.parent).bundle()
    if not bundle.exists() or bundle.read_text() != text:
        draft = bundle.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(bundle)  # in one step: another process may be reading it
    return bundle


if __name__ == "__main__":
    print(ca_bundle(Path(sys.argv[1])))
