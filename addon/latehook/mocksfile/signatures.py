"""Compiles the `sign` key of a webhook. Every error has the place of the key that is wrong."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from msgspec import UNSET

from latehook.base.errors import MocksError, SigningError
from latehook.expressions.compiler import is_one_expression, split_expressions
from latehook.expressions.expression import Names, reads_of
from latehook.expressions.values import to_text
from latehook.mocks.definitions import SignSpec
from latehook.mocks.signatures import templates_of
from latehook.mocksfile.sign_entries import SIGN_VALUES, JwtEntry, SecretFile, SignEntry
from latehook.mocksfile.source import KeyPath
from latehook.mocksfile.values import Values
from latehook.webhooks import http_signatures, jws, signing
from latehook.webhooks.schemes import SCHEMES, JwtScheme, Scheme
from latehook.webhooks.templates import Template, problem_of, tokens_in


def compile_sign(values: Values, path: KeyPath, sign: Any, names: Names) -> SignSpec | None:
    """Return how a webhook is signed; None if it is not. `names` are those that its expressions may use."""
    return _SignCompiler(values, path, names).compile(sign) if isinstance(sign, SignEntry) else None


class _SignCompiler:
    """Compiles one `sign`."""

    def __init__(self, values: Values, path: KeyPath, names: Names) -> None:
        self._values = values
        self._path = path
        self._names = names
        constant = values.constant
        self._compile_key: dict[str, Callable[[Any, KeyPath], Any]] = {
            **dict.fromkeys(("algorithm", "secret_encoding", "encoding", "timestamp_format"), constant),
            **dict.fromkeys(("message", "key_id", "headers", "fields"), self._texts),
            "components": lambda names, path: tuple(constant(names, path)),
            "parameters": self._data,
        }

    def compile(self, sign: SignEntry) -> SignSpec:
        scheme = self._scheme(sign)
        self._check_values(scheme)
        self._check_what_is_signed(scheme, sign)
        self._check_tokens(scheme)
        secret = self._secret(sign.secret, (*self._path, "secret"))
        self._check_secret(scheme, secret)
        has_expressions = bool(reads_of(list(templates_of(scheme).values())))
        return SignSpec(scheme, has_expressions, secret, self._skew(sign.skew), self._values.place(self._path))

    def _scheme(self, sign: SignEntry) -> Scheme:
        """Return the scheme that `sign` names, with the changes of its other keys."""
        scheme = Scheme()
        if sign.scheme is not UNSET:
            path = (*self._path, "scheme")
            scheme = self._values.preset(str(self._values.constant(sign.scheme, path)), SCHEMES, path, "a scheme")
        changes = {
            key: compile_value(getattr(sign, key), (*self._path, key))
            for key, compile_value in self._compile_key.items()
            if getattr(sign, key) is not UNSET
        }
        if isinstance(sign.jwt, JwtEntry):
            changes["jwt"] = self._jwt(scheme.jwt or JwtScheme(), sign.jwt)
        return replace(scheme, **changes)

    def _jwt(self, base: JwtScheme, entry: JwtEntry) -> JwtScheme:
        """Return a scheme's JWT with the changes of `jwt`: its maps are merged by name."""
        path = (*self._path, "jwt")
        algorithm, header, claims = base.algorithm, base.header, base.claims
        if entry.algorithm is not UNSET:
            algorithm = str(self._values.constant(entry.algorithm, (*path, "algorithm")))
            self._values.preset(algorithm, jws.ALGORITHMS, (*path, "algorithm"), "an algorithm of a JWT")
        if entry.header is not UNSET:
            header = {**header, **self._data(entry.header, (*path, "header"))}
        if entry.claims is not UNSET:
            claims = {**(claims or {}), **self._data(entry.claims, (*path, "claims"))}
        return JwtScheme(algorithm, header, claims)

    # Templates

    def _texts(self, value: Any, path: KeyPath) -> Any:
        """Compile a template, or a map of templates."""
        if isinstance(value, dict):
            return {name: self._template(text, (*path, name)) for name, text in value.items()}
        return self._template(value, path)

    def _data(self, value: Any, path: KeyPath) -> Any:
        """Compile data whose texts are templates. A text that is a single expression keeps its type."""
        if isinstance(value, dict):
            self._values.check_keys(value, path)
            return {key: self._data(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._data(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        return self._compiled(value, path) if is_one_expression(value) else self._template(value, path)

    def _template(self, text: str, path: KeyPath) -> Template:
        """Compile a template: a text, or a tuple of its pieces where some are expressions of the attempt.

        What an expression gives that needs only `env` is a part of the template, as if it were written there.
        """
        try:
            split = split_expressions(text)
        except ValueError as error:
            raise self._values.error(path, str(error)) from None
        pieces = [self._compiled(piece, path) if is_expression else piece for is_expression, piece in split]
        pieces = [piece if callable(piece) else to_text(piece) for piece in pieces]
        return tuple(pieces) if any(map(callable, pieces)) else "".join(pieces)

    def _compiled(self, text: str, path: KeyPath) -> Any:
        return self._values.compile(text, path, self._names)

    # Checks

    def _check_values(self, scheme: Scheme) -> None:
        """Refuse values that are not in a fixed set, and a signature that goes nowhere."""
        for key, known in SIGN_VALUES.items():
            name, path = str(getattr(scheme, key)), (*self._path, key)
            self._values.preset(name, dict.fromkeys(known), path, f"a value of `{key}`")
        if not scheme.headers and not scheme.fields:
            problem = "the signature is sent nowhere: write `headers`, `fields` or a `scheme`"
            raise self._values.error(self._path, problem)

    def _check_what_is_signed(self, scheme: Scheme, sign: SignEntry) -> None:
        """Refuse keys that have no effect beside others, and components that no message has."""
        others = {"jwt": ("message", "algorithm", "encoding", "components"), "components": ("message",)}
        signed = "jwt" if scheme.jwt is not None else "components" if scheme.components else None
        for key in others.get(signed or "", ()):
            if getattr(sign, key) is not UNSET:
                raise self._error(key, f"it has no effect, because `{signed}` says what is signed: remove one of them")
        if signed != "components" and scheme.parameters:
            raise self._error("parameters", "they belong to an HTTP message signature: write `components` too")
        if sign.components is not UNSET and not scheme.components:
            raise self._error("components", "the list is empty: write what is signed, such as content-digest")
        for index, name in enumerate(scheme.components):
            problem = http_signatures.component_problem(name)
            if name in scheme.components[:index]:
                problem = f"{name!r} is there twice: remove one of them"
            if problem is not None:
                raise self._values.error((*self._path, "components", index), problem)
        if signed == "components" and scheme.algorithm not in http_signatures.ALGORITHMS:
            known = ", ".join(http_signatures.ALGORITHMS)
            raise self._error("algorithm", f"an HTTP message signature has one of {known}, not {scheme.algorithm}")

    def _check_tokens(self, scheme: Scheme) -> None:
        """Refuse a token that is not known, and `{key_id}` without a `key_id`."""
        jwt, http = scheme.jwt is not None, bool(scheme.components)
        for key, value in templates_of(scheme).items():
            signed = key in ("headers", "fields")
            for path, template in self._places(key, value):
                for token in tokens_in(template):
                    problem = problem_of(token, signed, jwt and signed, http and signed)
                    if token.name == "key_id" and scheme.key_id is None:
                        problem = f"{token} stands for `key_id`, which is missing: write it"
                    if problem is not None:
                        raise self._values.error(path, problem)

    def _places(self, key: str, value: Any) -> Iterator[tuple[KeyPath, Any]]:
        """Yield the values under a key of the scheme, each with its place."""
        path = (*self._path, "jwt", key) if key in ("header", "claims") else (*self._path, key)
        if isinstance(value, Mapping):
            yield from (((*path, name), item) for name, item in value.items())
        elif value is not None:
            yield path, value

    # Secrets

    def _secret(self, secret: Any, path: KeyPath) -> Any:
        """Compile a secret, or a list of them."""
        if isinstance(secret, list):
            return [self._secret(item, (*path, index)) for index, item in enumerate(secret)]
        if isinstance(secret, SecretFile):
            return self._values.secret_file(secret.file, (*path, "file"))
        return self._compiled(secret, path)

    def _check_secret(self, scheme: Scheme, secret: Any) -> None:
        """Sign with the secrets that are known now, so that a wrong one is an error at load."""
        for one in secret if isinstance(secret, list) else [secret]:
            try:
                if isinstance(one, str):
                    signing.check_secret(scheme, one)
            except SigningError as error:
                raise self._error("secret", str(error)) from None

    def _skew(self, skew: Any) -> float:
        """Return how many seconds the sender's clock is fast; negative if it is slow."""
        if skew is UNSET:
            return 0.0
        path = (*self._path, "skew")
        text = str(self._values.constant(skew, path)).strip()
        return -self._values.seconds(text[1:], path) if text.startswith("-") else self._values.seconds(text, path)

    def _error(self, key: str, problem: str) -> MocksError:
        return self._values.error((*self._path, key), problem)
