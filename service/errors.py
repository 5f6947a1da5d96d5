"""Errors of requests, of the service, and of the connection to it."""

from __future__ import annotations

from gaitkeeper.models.errors import GaitkeeperError


class BadRequest(GaitkeeperError):
    """The request is not well-formed HTTP or multipart."""

    code = "bad_request"


class InvalidRequest(GaitkeeperError):
    """A field or parameter is missing or out of its range; ``errors`` lists them."""

    code = "invalid_request"


class UnknownField(GaitkeeperError):
    """The operation has no parameter or field of this name; ``errors`` gives the ``nearest`` valid one for each."""

    code = "unknown_field"


class NotMultipart(GaitkeeperError):
    """The clip was sent as JSON, as text or as the raw body, not as a file in a multipart form."""

    code = "not_multipart"


class CallerGone(GaitkeeperError):
    """The caller disconnected before the work was done."""

    code = "caller_gone"


class RouteNotFound(GaitkeeperError):
    """The path does not exist."""

    code = "route_not_found"


class MethodNotAllowed(GaitkeeperError):
    """The path does not support this method."""

    code = "method_not_allowed"


class Overloaded(GaitkeeperError):
    """All workers are busy and the queue is full; ``retry_after`` is in seconds."""

    code = "overloaded"


class UploadTimeout(GaitkeeperError):
    """The request's body did not arrive within the time limit."""

    code = "upload_timeout"


class Unauthorised(GaitkeeperError):
    """The key is missing, unknown or revoked."""

    code = "unauthorised"


class Forbidden(GaitkeeperError):
    """The key does not permit this, or the request's origin or host name is not allowed."""

    code = "forbidden"


class RateLimited(GaitkeeperError):
    """The key exceeded its rate limit; ``retry_after`` is in seconds."""

    code = "rate_limited"


class KeyNotFound(GaitkeeperError):
    """No API key has this id."""

    code = "key_not_found"


class UnknownHandle(GaitkeeperError):
    """The handle has expired or was erased, or it belongs to another key or another process of the service."""

    code = "unknown_handle"


class IdempotencyMismatch(GaitkeeperError):
    """An Idempotency-Key was used again with another request."""

    code = "idempotency_mismatch"


class InProgress(GaitkeeperError):
    """The same request is being processed; ``retry_after`` is in seconds."""

    code = "in_progress"


class JobCancelled(GaitkeeperError):
    """The caller cancelled the job while it was running."""

    code = "job_cancelled"


class BadMessage(GaitkeeperError):
    """A message of a live stream is not valid at this point."""

    code = "bad_message"


class StreamTimeout(GaitkeeperError):
    """A live stream was silent for too long, did not read its events, or exceeded its maximum duration."""

    code = "stream_timeout"


class SourceNotAllowed(GaitkeeperError):
    """A camera's URL is not on the list of allowed sources."""

    code = "source_not_allowed"


class SourceUnavailable(GaitkeeperError):
    """A camera or file cannot be opened, or gives no pictures in a supported format."""

    code = "source_unavailable"


class SourceRefused(GaitkeeperError):
    """A camera refuses the user name and password."""

    code = "source_refused"


class BadSource(GaitkeeperError):
    """A camera's source is neither an address, nor a file, nor a webcam."""

    code = "bad_source"


class PasswordInSource(GaitkeeperError):
    """A camera's address contains a user name, a password or a token, which belong into a secret."""

    code = "password_in_source"


class SecretMissing(GaitkeeperError):
    """The secret of a camera does not exist or is not of the form ``user:password``."""

    code = "secret_missing"


class BadWatchlist(GaitkeeperError):
    """The name of a watch list is invalid."""

    code = "bad_watchlist"


class MqttUnavailable(GaitkeeperError):
    """The MQTT broker cannot be reached, or refuses the connection."""

    code = "mqtt_unavailable"


class NotReady(GaitkeeperError):
    """The service runs but cannot process clips; ``checks`` says why."""

    code = "not_ready"


class BadSettings(GaitkeeperError):
    """A setting or the settings file is invalid."""

    code = "bad_settings"


class NotLoopback(GaitkeeperError):
    """The service has no keys and should listen on an address that is not loopback."""

    code = "not_loopback"


class ServerUnreachable(GaitkeeperError):
    """No service answers at the given address."""

    code = "server_unreachable"


class UnexpectedReply(GaitkeeperError):
    """The server at the address does not implement this API."""

    code = "unexpected_reply"


class CannotWrite(GaitkeeperError):
    """A file cannot be written at the requested path."""

    code = "cannot_write"


class NotAFile(GaitkeeperError):
    """The path is not a readable file: it is a folder, pipe or socket, does not exist, or cannot be read."""

    code = "not_a_file"


class NoArchive(GaitkeeperError):
    """There is no archive of clips at the given place, or it cannot be read."""

    code = "no_archive"


class OtherResults(GaitkeeperError):
    """The file of results belongs to another order, or another run is writing it."""

    code = "other_results"


class ClusterUnavailable(GaitkeeperError):
    """There is no Ray cluster for the work, or it does not work with these settings."""

    code = "cluster_unavailable"


class HostsUnavailable(GaitkeeperError):
    """The hosts for the work were lost repeatedly."""

    code = "hosts_unavailable"
