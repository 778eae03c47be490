"""Latehook stands in for a slow third party: it answers at once and calls the webhook back later.

Rooms, top to bottom; imports go down only:
addon (mitmproxy's hooks) · guard (what is intercepted) · layers (mitmproxy's HTTP layers, ours) · flows (who looks)
engine (every operation) · options (--set) · delivery (attempts) · transport (the HTTP client)
schedule (what is due when) · store (SQLite) · reload (hot edits) · mocksfile (data to mocks) · source (YAML to data)
service (the pure heart) · scope (what expressions see) · expressions · sandbox · matching · bodies · model (the words)
"""
