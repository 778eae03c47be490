"""Tests of the gallery. A package, so that its proxies end with the last of them."""
