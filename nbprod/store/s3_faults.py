"""What S3 servers and the network in front of them refuse, said in one clear paragraph.

No text of the server's is passed on: only its error code, which holds no key.
"""

from __future__ import annotations

from dataclasses import dataclass

from nbprod.errors import NbprodError, SettingsError, StoreUnavailable, StoreUnreachable

__all__ = ["Place", "translated"]

_ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_TAKEN = frozenset({"412", "PreconditionFailed"})
_DENIED = {
    "403": "the server refuses these keys",
    "AccessDenied": "the keys are right, and may not do this here",
    "AllAccessDisabled": "the keys are right, and may not do this here",
    "AccountProblem": "the account is blocked",
    "ExpiredToken": "the keys have expired",
    "InvalidAccessKeyId": "the server does not know this access key",
    "InvalidToken": "the session token is not valid",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
}
_ELSEWHERE = frozenset({"301", "307", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"})
_PASSING = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "XAmzContentSHA256Mismatch",
    }
)
_KEYLESS = frozenset(
    {
        "CredentialRetrievalError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "TokenRetrievalError",
    }
)
_WRONG = frozenset({"InvalidRegionError", "ParamValidationError", "UnknownEndpointError"})
_RIGHTS = "s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket"
_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, for the process that runs nbprod"


@dataclass(frozen=True, slots=True)
class Place:
    """The store that a message is about.

    Args:
        url: its address, without credentials.
        server: host and port, where known.
    """

    url: str
    server: str

    def what(self, doing: str) -> str:
        """Return how a message begins."""
        return f"the store {self.url} cannot be {'written' if doing == 'write' else 'read'}"

    def no_bucket(self, doing: str) -> StoreUnavailable:
        """Make the error for a bucket that is not there."""
        return StoreUnavailable(
            self.what(doing),
            expected="a bucket that exists",
            found="no bucket of that name",
            hint="Create it, or correct `store`: nbprod makes no buckets",
        )


def translated(error: Exception, doing: str, place: Place) -> Exception:
    """Return the error that `Driver` promises for what s3fs raised.

    Args:
        error: by s3fs, botocore or below.
        doing: `read` or `write`.
        place: the store.
    """
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not response:
        return _without_reply(error, doing, place)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return place.no_bucket(doing)
    if code in _ABSENT:
        return FileNotFoundError(code)
    if code in _TAKEN:
        return FileExistsError(code)
    return _refused(code, status, doing, place)


def _refused(code: str, status: int, doing: str, place: Place) -> NbprodError:
    what = place.what(doing)
    if code in _DENIED:
        hint = f"They need {_RIGHTS} on the bucket. {_KEYS}"
        return StoreUnavailable(what, expected="keys with rights", found=f"{_DENIED[code]} ({code})", hint=hint)
    if code == "RequestTimeTooSkewed":
        return StoreUnavailable(what, found="this machine's clock and the server's differ too much", hint="Set it")
    if code in _ELSEWHERE:
        hint = "Set AWS_REGION, or add ?region=NAME to the address"
        return StoreUnavailable(what, expected="the bucket's own region", found=f"another one ({code})", hint=hint)
    if code in _PASSING or status >= 500 or not status:  # noqa: PLR2004 - the server's own fault (RFC 9110, 15.6)
        return StoreUnreachable(
            what,
            expected="a server that is well",
            found=f"{code or status} from {place.server}, at each of several tries",
            hint="Wait, then try again. `nbprod doctor` tries the store",
        )
    return StoreUnavailable(what, found=f"the server refuses: {code} (HTTP {status})")


def _without_reply(error: Exception, doing: str, place: Place) -> NbprodError:
    what, name = place.what(doing), type(error).__name__
    if name in _KEYLESS:
        return StoreUnavailable(what, expected="keys for the server", found=f"none ({name})", hint=_KEYS)
    if name in _WRONG or (
        name == "ValueError" and "endpoint" in str(error)
    ):  # botocore's own check of bucket, region and endpoint
        return SettingsError(
            f"the store's address {place.url} is wrong",
            expected="s3://bucket/prefix, with a bucket's, a region's and a server's name as S3 allows them",
            found=f"what botocore refuses ({name})",
            hint="Correct `store`, AWS_ENDPOINT_URL_S3 and AWS_REGION",
        )
    return StoreUnreachable(
        what,
        expected=f"an answer from {place.server or 'the server'}",
        found=f"{_sign(name)} ({name}), at each of several tries",
        hint="Check the address (AWS_ENDPOINT_URL_S3) and the network. `nbprod doctor` tries the store",
    )


def _sign(name: str) -> str:
    if "EndpointConnection" in name or "ConnectTimeout" in name or "ProxyConnection" in name:
        return "no connection"
    if "SSL" in name:
        return "no secure connection"
    if "Timeout" in name:
        return "silence"
    return "a broken connection"
