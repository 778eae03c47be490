"""PURE: the signature of an attempt: the expressions of its `sign` rendered, then the message signed."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from latehook.base.errors import ExpressionError, SigningError
from latehook.expressions.expression import Expression, render
from latehook.expressions.values import to_text
from latehook.mocks.definitions import SignSpec
from latehook.mocks.fields import items_of
from latehook.webhooks.draft import Message
from latehook.webhooks.schemes import JwtScheme, Scheme
from latehook.webhooks.signing import Signed, sign
from latehook.webhooks.templates import Verbatim


def sign_message(spec: SignSpec, message: Message, scope: Mapping[str, Any], corrupt: bool) -> Signed:
    """Return what the signature changes in a message. Raises ExpressionError."""
    secrets = [to_text(secret) for secret in items_of(render(spec.secret, scope)) if secret is not None]
    if not secrets:
        raise ExpressionError(spec.place, "sign.secret is null")
    scheme = _rendered(spec.scheme, scope) if spec.has_expressions else spec.scheme
    try:
        return sign(scheme, secrets, message, corrupt)
    except (SigningError, UnicodeEncodeError) as error:
        raise ExpressionError(spec.place, str(error)) from None


def expressions_of(spec: SignSpec) -> list[Any]:
    """Return everything in a `sign` that may have expressions in it."""
    return [spec.secret, *templates_of(spec.scheme).values()]


def templates_of(scheme: Scheme) -> dict[str, Any]:
    """Return the templates of a scheme, by the key that has them: texts, maps of texts, and data with texts in it."""
    jwt = scheme.jwt or JwtScheme()
    return {
        "message": scheme.message,
        "key_id": scheme.key_id,
        "header": jwt.header,
        "claims": jwt.claims,
        "parameters": scheme.parameters,
        "headers": scheme.headers,
        "fields": scheme.fields,
    }


def _rendered(scheme: Scheme, scope: Mapping[str, Any]) -> Scheme:
    """Return a scheme with the value of each expression in its place."""
    values = {key: _rendered_value(value, scope) for key, value in templates_of(scheme).items()}
    header, claims = values.pop("header"), values.pop("claims")
    jwt = None if scheme.jwt is None else dataclasses.replace(scheme.jwt, header=header, claims=claims)
    return dataclasses.replace(scheme, jwt=jwt, **values)


def _rendered_value(value: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(value, Expression):
        return _verbatim(value(scope))
    if isinstance(value, tuple):
        return tuple(Verbatim(to_text(piece(scope))) if isinstance(piece, Expression) else piece for piece in value)
    if isinstance(value, dict):
        return {name: _rendered_value(item, scope) for name, item in value.items()}
    return [_rendered_value(item, scope) for item in value] if isinstance(value, list) else value


def _verbatim(value: Any) -> Any:
    """Return data whose texts are no templates."""
    if isinstance(value, str):
        return Verbatim(value)
    if isinstance(value, dict):
        return {name: _verbatim(item) for name, item in value.items()}
    return [_verbatim(item) for item in value] if isinstance(value, list) else value
