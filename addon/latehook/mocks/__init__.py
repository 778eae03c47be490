"""Decides what the third party would do: for a request, a response, a job and its webhooks. Pure: no I/O."""
