"""The HTTP API: the operations as paths, for tests, scripts and the page."""
