"""PURE: Where the control API is."""

CONTROL_PATH = "/_latehook"
"""The path of the control API; all its paths are below."""
