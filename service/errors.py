"""What can be wrong with a request, with the service, or with the way to it."""

from __future__ import annotations

from models.errors import GaitkeeperError


class BadRequest(GaitkeeperError):
    """The request is not well-formed HTTP or multipart."""

    code = "bad_request"


class InvalidRequest(GaitkeeperError):
    """A field or parameter is missing or out of its range; ``errors`` lists them."""

    code = "invalid_request"


class UnknownField(GaitkeeperError):
    """A parameter or field has a name that the operation does not take; ``errors`` has the ``nearest`` to each."""

    code = "unknown_field"


class NotMultipart(GaitkeeperError):
    """A clip came as JSON, as text or as the body itself, and not as a file in a multipart form."""

    code = "not_multipart"


class CallerGone(GaitkeeperError):
    """The caller hung up before the work was done."""

    code = "caller_gone"


class RouteNotFound(GaitkeeperError):
    """No such address."""

    code = "route_not_found"


class MethodNotAllowed(GaitkeeperError):
    """The address exists but not for this method."""

    code = "method_not_allowed"


class Overloaded(GaitkeeperError):
    """All workers are busy and the queue is full; ``retry_after`` is in seconds."""

    code = "overloaded"


class UploadTimeout(GaitkeeperError):
    """The request's body did not come in the time that it may take."""

    code = "upload_timeout"


class Unauthorised(GaitkeeperError):
    """No key came, or one that is unknown or revoked."""

    code = "unauthorised"


class Forbidden(GaitkeeperError):
    """The key is not for this, or the caller's page or the name it used is not one that may ask."""

    code = "forbidden"


class RateLimited(GaitkeeperError):
    """More requests came with this key than may; ``retry_after`` is in seconds."""

    code = "rate_limited"


class KeyNotFound(GaitkeeperError):
    """There is no API key of that id."""

    code = "key_not_found"


class IdempotencyMismatch(GaitkeeperError):
    """An Idempotency-Key came again with another request."""

    code = "idempotency_mismatch"


class InProgress(GaitkeeperError):
    """The same request is being worked on; ``retry_after`` is in seconds."""

    code = "in_progress"


class JobCancelled(GaitkeeperError):
    """The caller gave up the job while it was worked on."""

    code = "job_cancelled"


class BadMessage(GaitkeeperError):
    """A message of a live stream is not what was to come."""

    code = "bad_message"


class StreamTimeout(GaitkeeperError):
    """A live stream was silent for too long, did not take its events, or went on for longer than it may."""

    code = "stream_timeout"


class SourceNotAllowed(GaitkeeperError):
    """A camera's address is not on the list of those that may be watched."""

    code = "source_not_allowed"


class SourceUnavailable(GaitkeeperError):
    """A camera or file cannot be opened, or gives no pictures that are read here."""

    code = "source_unavailable"


class NotReady(GaitkeeperError):
    """The service is up but cannot answer for clips; ``checks`` says why."""

    code = "not_ready"


class BadSettings(GaitkeeperError):
    """A setting, or the file that holds them, cannot be used."""

    code = "bad_settings"


class NotLoopback(GaitkeeperError):
    """The service has no keys and was asked to listen to more than this machine."""

    code = "not_loopback"


class ServerUnreachable(GaitkeeperError):
    """No service answers at the address given."""

    code = "server_unreachable"


class UnexpectedReply(GaitkeeperError):
    """Something answered that does not speak this API."""

    code = "unexpected_reply"


class CannotWrite(GaitkeeperError):
    """A file cannot be written where the caller asked for it."""

    code = "cannot_write"


class NotAFile(GaitkeeperError):
    """What was named as a file is a folder, a pipe, a socket or nothing, or may not be read."""

    code = "not_a_file"


class NoArchive(GaitkeeperError):
    """There is no archive of clips at the place given, or it cannot be read from here."""

    code = "no_archive"


class OtherResults(GaitkeeperError):
    """A file of results is of another run, or is being written by one."""

    code = "other_results"


class ClusterUnavailable(GaitkeeperError):
    """There is no Ray cluster that could do the work, or not with these settings."""

    code = "cluster_unavailable"


class HostsUnavailable(GaitkeeperError):
    """The hosts that were to do the work were lost, again and again."""

    code = "hosts_unavailable"
