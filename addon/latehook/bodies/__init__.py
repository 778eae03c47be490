"""Bodies of requests and answers, decoded within bounds. Pure: no I/O."""
