"""PURE: Where the control API is, and what is known of the origin at which a request reaches it."""

CONTROL_PATH = "/_latehook"
"""The path of the control API; all its paths are below."""

OWN_ORIGIN = "latehook.own_origin"
"""A member of an ASGI scope's `extensions`: no page of another server can be at the origin of the request."""
