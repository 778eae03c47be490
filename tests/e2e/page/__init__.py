"""Tests of the page. A package, so that the browser, whose loop no test of asyncio bears, ends with the last of them."""
