"""What the third party would do: a request in; a response, a job and its webhooks out. Pure: no I/O."""
