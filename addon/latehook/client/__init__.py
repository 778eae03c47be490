"""The client of the control API, for tests and scripts: sync, and async under `aio`."""
