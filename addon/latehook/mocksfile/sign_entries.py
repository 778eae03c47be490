"""The keys of `sign` in a `webhook`: their types, and what each means."""

from typing import Annotated, Any

from msgspec import UNSET, UnsetType

from latehook.base import timestamps
from latehook.mocksfile.shared_entries import Entry
from latehook.mocksfile.value_types import SignedDuration, about, one_of
from latehook.mocksfile.words import describe_scheme
from latehook.webhooks import jws, keys, templates
from latehook.webhooks.schemes import SCHEMES, JwtScheme, Scheme

DEFAULT_SCHEME = Scheme()
SIGN_VALUES = {
    "algorithm": keys.ALGORITHMS,
    "secret_encoding": keys.SECRET_ENCODINGS,
    "encoding": templates.ENCODINGS,
    "timestamp_format": timestamps.FORMATS,
}
"""The keys of `sign` that have a fixed set of values, and these values."""

SchemeName = Annotated[str, one_of({name: describe_scheme(scheme) for name, scheme in SCHEMES.items()})]


class SecretFile(Entry):
    """A secret in a file of its own, such as a private key."""

    file: Annotated[str, about("The file's name, relative to the mocks file.", examples=["private-key.pem"])]


class JwtEntry(Entry):
    """A JSON Web Token, or another JSON Web Signature. Its keys change those of the scheme."""

    algorithm: Annotated[
        Annotated[str, one_of(jws.ALGORITHMS)] | UnsetType,
        about("The algorithm by its name in JWTs.", default=JwtScheme().algorithm),
    ] = UNSET
    header: Annotated[
        dict[str, Any] | UnsetType,
        about(
            "Members of the header, besides `alg`, `typ` and `kid`. Their texts are templates; null leaves a member "
            "out."
        ),
    ] = UNSET
    claims: Annotated[
        dict[str, Any] | UnsetType,
        about(
            "The claims. Their texts are templates; null leaves a claim out.",
            otherwise="the payload is the body",
            examples=[{"iat": "{timestamp}", "body_hash": "{sha256}"}],
        ),
    ] = UNSET


class SignEntry(Entry):
    """How a webhook is signed: a scheme and a secret. The other keys change the scheme, or describe one of your own."""

    secret: Annotated[
        str | SecretFile | list[str | SecretFile | None],
        about(
            "The key of the signature; a private key is PEM. A list makes one signature for each secret, as while a "
            "secret is rotated."
        ),
    ]
    scheme: Annotated[SchemeName | UnsetType, about("How a known provider signs.", examples=["standard-webhooks"])] = (
        UNSET
    )
    algorithm: Annotated[
        Annotated[str, one_of(SIGN_VALUES["algorithm"])] | UnsetType,
        about("How the signature is computed.", default=DEFAULT_SCHEME.algorithm),
    ] = UNSET
    secret_encoding: Annotated[
        Annotated[str, one_of(SIGN_VALUES["secret_encoding"])] | UnsetType,
        about("How the text of the secret becomes the bytes of the key.", default=DEFAULT_SCHEME.secret_encoding),
    ] = UNSET
    message: Annotated[
        str | UnsetType,
        about("A template of what is signed.", default=DEFAULT_SCHEME.message, examples=["{timestamp}.{body}"]),
    ] = UNSET
    encoding: Annotated[
        Annotated[str, one_of(SIGN_VALUES["encoding"])] | UnsetType,
        about("How the bytes of the signature become text.", default=DEFAULT_SCHEME.encoding),
    ] = UNSET
    timestamp_format: Annotated[
        Annotated[str, one_of(SIGN_VALUES["timestamp_format"])] | UnsetType,
        about("How `{timestamp}` is written.", default=DEFAULT_SCHEME.timestamp_format),
    ] = UNSET
    headers: Annotated[
        dict[str, str] | UnsetType,
        about(
            "The headers that the signature adds: a map from name to template.",
            examples=[{"x-signature": "t={timestamp},v1={signature}"}],
        ),
    ] = UNSET
    fields: Annotated[
        dict[str, str] | UnsetType,
        about(
            "Fields that are written into the body: a map from JSON pointer or form field to template.",
            examples=[{"/event/hash": "{signature}"}],
        ),
    ] = UNSET
    key_id: Annotated[
        str | UnsetType,
        about(
            "The name by which the receiver finds the key: `{key_id}` in templates, `kid` of a JWT, `keyid` of an HTTP "
            "message signature.",
            otherwise="none",
        ),
    ] = UNSET
    jwt: Annotated[
        JwtEntry | UnsetType, about("A JSON Web Token is signed instead of `message`.", otherwise="none")
    ] = UNSET
    components: Annotated[
        list[str] | UnsetType,
        about(
            "What an HTTP message signature (RFC 9421) covers: names of headers in lower case, and derived components.",
            otherwise="none",
            examples=[["@method", "@target-uri", "content-digest"]],
        ),
    ] = UNSET
    parameters: Annotated[
        dict[str, Any] | UnsetType,
        about(
            "Parameters of the HTTP message signature, besides `created`, `alg` and `keyid`. Null leaves one out.",
            examples=[{"tag": "webhook"}],
        ),
    ] = UNSET
    skew: Annotated[
        SignedDuration | UnsetType,
        about("How far the sender's clock is wrong: a duration, negative if it is slow.", default=0, examples=["-10m"]),
    ] = UNSET
