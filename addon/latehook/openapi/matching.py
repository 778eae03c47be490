"""PURE: which operation of an OpenAPI document the requests of a mock are for."""

import re
from collections.abc import Sequence
from urllib.parse import unquote

from latehook.base.errors import LatehookError
from latehook.mocks.matching import Matcher
from latehook.openapi.operations import Operation


def operation_for(matcher: Matcher, operations: Sequence[Operation]) -> Operation:
    """Return the operation with the method and path of a mock. Raises LatehookError if there is none.

    The path is compared with and without that of the operation's servers. Parameters may have any names.
    """
    if matcher.methods is None or len(matcher.methods) != 1 or matcher.matches_rest:
        raise LatehookError(f"{matcher.text!r} is for several operations: name one method and no **")
    [method] = matcher.methods
    own = _erased(matcher.path)
    for with_server in (True, False):
        for one in operations:
            bases = {server.path for server in one.servers} if with_server else {""}
            if one.method == method and any(_erased(f"{base}{one.path}") == own for base in bases):
                return one
    raise LatehookError(f"the document has no operation for {matcher.text!r}")


def _erased(path: str) -> str:
    """Return a path without the names of its parameters, its escapes and its query."""
    plain = path.partition("?")[0].partition("#")[0]
    return unquote(re.sub(r"\{[^{}]*\}|(?<=/):\w+(?=/|$)", "{}", plain))
