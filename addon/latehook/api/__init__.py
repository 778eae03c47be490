"""The contract of the control API: the structures that `control` sends and `client` reads, and the defaults of both."""
