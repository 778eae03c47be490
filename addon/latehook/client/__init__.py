"""The client of the control API, for tests and scripts: synchronous, and asynchronous under `aio`."""
