"""Which addons and options of mitmproxy act on requests and responses, show them or save them, besides Latehook."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mitmproxy.master import Master

from latehook.proxy import compat

_NEUTRAL_NAMES = """
    add_upstream_certs_to_client_chain block_global block_private cert_passphrase certs ciphers_client ciphers_server
    client_replay_concurrency command_history confdir connect_addr connection_strategy content_view_lines_cutoff
    dns_name_servers dns_use_hosts_file dumper_default_contentview dumper_filter emudhra emudhra_old
    export_preserve_original_ip flow_detail http2 http2_ping_keepalive http3 http_connect_send_host_header ignore_hosts
    allow_hosts intercept_active keep_alt_svc_header keep_host_header keepserving key_size listen_host listen_port mode
    normalize_outbound_headers onboarding onboarding_host protobuf_definitions proxy_debug rawtcp readfile_filter
    request_client_cert rfile save_stream_filter scripts server server_replay_ignore_content server_replay_ignore_host
    server_replay_ignore_params server_replay_ignore_payload_params server_replay_ignore_port server_replay_nopop
    server_replay_refresh server_replay_reuse server_replay_use_headers show_ignored_hosts showhost ssl_insecure
    ssl_verify_upstream_trusted_ca ssl_verify_upstream_trusted_confdir strip_ech tcp_hosts tcp_timeout
    termlog_verbosity tls_ecdh_curve_client tls_ecdh_curve_server tls_version_client_max tls_version_client_min
    tls_version_server_max tls_version_server_min udp_hosts upstream_auth upstream_cert validate_inbound_headers
    websocket
"""

NEUTRAL = frozenset(_NEUTRAL_NAMES.split())
"""mitmproxy's options that change neither the head nor the body of a request or response, and save neither.

Any other option that is not at its default counts as acting: one that a newer mitmproxy brings, too.
"""

_NEUTRAL_PREFIXES = ("mock_", "web_", "view_", "console_")
_SAVING = ("save_stream_file", "hardump")
_WHATEVER_THE_TLS = frozenset(("proxyauth", "client_replay"))
"""Options that act also where TLS is not decrypted: on a CONNECT, and on saved requests."""

_BODIES_PRINTED_FROM = 3
"""The lowest `flow_detail` with which mitmdump prints bodies."""


@dataclass(slots=True)
class Observers:
    """What other addons do with flows, by mitmproxy's options and addons.

    `modifies`: one may change a flow, refuse it or act on it. `records`: one shows or saves each step of a flow.
    `lists`: one keeps a list of flows. `prints`: one prints flows that have ended. `prints_bodies`: with their bodies.
    `names` are the options and scripts that do so to a flow whose TLS is decrypted.
    """

    modifies: bool = True
    records: bool = True
    lists: bool = True
    prints: bool = True
    prints_bodies: bool = True
    names: tuple[str, ...] = ()

    def update(self, master: Master) -> None:
        """Look at the options and addons again. Call it when they change: this takes some hundred microseconds."""
        options = master.options
        changed = [name for name in sorted(options.keys()) if options.has_changed(name)]
        saving = [name for name in changed if name in _SAVING]
        acting = [name for name in changed if name not in _SAVING and not _is_neutral(name)]
        scripts = [f"the script {script}" for script in options.scripts[1:]]
        self.modifies = bool(acting or scripts) or any(map(_acts, compat.all_addons(master)))
        self.lists = master.addons.get("view") is not None
        self.records = self.lists or bool(saving)
        self.prints = master.addons.get("dumper") is not None and options.flow_detail > 0
        self.prints_bodies = self.prints and options.flow_detail >= _BODIES_PRINTED_FROM
        self.names = (*(name for name in acting if name not in _WHATEVER_THE_TLS), *saving, *scripts)

    @property
    def needs_bodies(self) -> bool:
        """Whether an addon acts on whole messages, shows their bodies or saves them."""
        return self.modifies or self.records or self.prints_bodies


def _is_neutral(option: str) -> bool:
    return option in NEUTRAL or option.startswith(_NEUTRAL_PREFIXES)


def _acts(addon: Any) -> bool:
    """Return whether an addon of a program has hooks for flows. mitmproxy's own act by their options."""
    package, _, module = type(addon).__module__.partition(".")
    if package == "latehook" or (package == "mitmproxy" and module != "addons.asgiapp"):
        return False
    return any(callable(getattr(addon, hook, None)) for hook in _flow_hooks())


def _flow_hooks() -> Iterator[str]:
    return (name for name in compat.all_hooks if name not in ("load", "configure", "running", "done"))
