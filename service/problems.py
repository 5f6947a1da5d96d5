"""RFC 9457 problem details: the list of all error codes, with their HTTP status and title."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.errors import UnexpectedReply

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """One kind of error.

    Attributes:
        status: HTTP status; None for errors that only occur on the command line.
        title: one sentence, the same for every occurrence.
        private: True if the message is for the operator only, because it may name files. It goes to the log, and the
            caller gets the title.
    """

    status: int | None
    title: str
    private: bool = False

    @property
    def exit_code(self) -> int:
        """Exit code of the command line: 2 for errors of the caller, 1 for errors of the installation."""
        return 1 if self.status is not None and self.status >= 500 else 2


def exit_code(code: str) -> int:
    """Exit code for an error code. A code that is not in the list is not the caller's error."""
    return PROBLEMS[code].exit_code if code in PROBLEMS else 1


PROBLEMS: dict[str, Problem] = {
    # The request
    "bad_request": Problem(400, "The request is not well-formed."),
    "invalid_request": Problem(422, "A field or parameter is missing or out of its range."),
    "unknown_field": Problem(422, "A field or parameter has an unknown name."),
    "not_multipart": Problem(422, "The clip did not come as a file in a multipart form."),
    "caller_gone": Problem(499, "The caller disconnected before the work was done."),
    "route_not_found": Problem(404, "There is nothing at this address."),
    "method_not_allowed": Problem(405, "This address does not take this method."),
    "unauthorised": Problem(401, "A valid API key is needed."),
    "forbidden": Problem(403, "The caller is not allowed to do this."),
    "rate_limited": Problem(429, "Too many requests came with this key."),
    "too_large": Problem(413, "The clip exceeds a limit on bytes, pixels, frames or duration."),
    "idempotency_mismatch": Problem(422, "This Idempotency-Key came with another request before."),
    "in_progress": Problem(409, "The same request is still being processed."),
    "upload_timeout": Problem(408, "The request's body did not arrive in time."),
    # The clip
    "bad_clip": Problem(422, "The clip cannot be used."),
    "empty_upload": Problem(422, "The clip has no bytes."),
    "unsupported_media": Problem(415, "The clip's container or codec is not supported."),
    "undecodable": Problem(422, "The clip is damaged or cut short."),
    "no_video": Problem(422, "The file has no video."),
    "too_short": Problem(422, "People were seen, but not long enough to recognise a gait."),
    "no_person": Problem(422, "No walking person was found in the clip."),
    "multiple_people": Problem(422, "Several people walk in the clip, and the request does not choose one."),
    "cut_off": Problem(422, "The picture's edge cuts the walker in all frames."),
    "not_upright": Problem(422, "The clip's people do not stand upright in the picture."),
    "unknown_handle": Problem(404, "No walkers are kept for this caller under this handle: look at the clip again."),
    "track_not_found": Problem(422, "The clip has no such track."),
    "sandbox_unavailable": Problem(503, "Clips cannot be decoded in a sandbox on this machine.", private=True),
    "nvdec_unavailable": Problem(503, "The GPU's decoder of clips cannot be used.", private=True),
    # The gallery
    "not_found": Problem(404, "There is no such collection, subject or template."),
    "conflict": Problem(409, "The request contradicts what is stored."),
    "clip_of_other_subject": Problem(409, "The same walker of the same clip is enrolled as another subject."),
    "looks_like_other_subject": Problem(409, "The walker matches another enrolled subject."),
    "poor_quality": Problem(422, "The walker's quality is too low for enrolment."),
    "likeness_changed": Problem(422, "The track may show two people: the appearance changes during it."),
    "fingerprint_mismatch": Problem(409, "Embeddings of different fingerprints are not compared."),
    "overtaken": Problem(409, "Another request changed the collection in the meantime."),
    "shadow_behind": Problem(409, "Some templates have no embedding by the new network yet."),
    "bad_subject": Problem(422, "The subject's id, name or metadata is invalid."),
    "bad_collection": Problem(422, "The collection's name is invalid."),
    "bad_camera": Problem(422, "The camera's name is invalid."),
    "bad_fpir": Problem(422, "The false-positive identification rate is out of range or not calibrated."),
    "bad_fmr": Problem(422, "The false match rate is out of range or not calibrated."),
    "bad_embedding": Problem(500, "The network returned an embedding that is not finite.", private=True),
    "bad_calibration": Problem(500, "A calibration cannot be read.", private=True),
    "unknown_store": Problem(500, "The store's URL has an unknown scheme.", private=True),
    "bad_store": Problem(500, "The store contains data that cannot be read.", private=True),
    "store_unavailable": Problem(503, "The store cannot be reached or written now.", private=True),
    "bad_archive": Problem(422, "The file is not an archive of a collection, or it is damaged."),
    "bad_store_key": Problem(500, "The store's key is missing or wrong.", private=True),
    "store_not_durable": Problem(500, "The store can lose acknowledged writes.", private=True),
    # Networks and weights
    "unknown_network": Problem(422, "No network has this name."),
    "weights_missing": Problem(503, "A weights file is not on this machine.", private=True),
    "weights_corrupt": Problem(503, "A weights file does not match the manifest.", private=True),
    "licence_not_accepted": Problem(503, "A licence must be accepted first.", private=True),
    "bad_checkpoint": Problem(None, "A checkpoint does not exist, or cannot be imported."),
    "export_unavailable": Problem(None, "The packages that write ONNX files are not installed."),
    "export_differs": Problem(None, "The outputs of an exported network differ from those of its source."),
    "device_unavailable": Problem(503, "The device for the networks cannot be used.", private=True),
    "bad_sequence": Problem(500, "A gait sequence cannot be read.", private=True),
    "heatmaps_missing": Problem(409, "The network reads heatmaps, and the sequence was stored without them."),
    # The service and the connection to it
    "overloaded": Problem(503, "All workers are busy and the queue is full."),
    "deadline": Problem(504, "The work was not finished in the time that a request may take."),
    "job_cancelled": Problem(409, "The job was cancelled."),
    "bad_message": Problem(400, "A message of the live stream is not valid at this point."),
    "stream_timeout": Problem(408, "The live stream was silent for too long, or exceeded its maximum duration."),
    "source_not_allowed": Problem(403, "The camera's source is not on the list of allowed sources."),
    "source_unavailable": Problem(None, "A camera or file cannot be opened."),
    "source_refused": Problem(None, "The camera refuses the user name and password."),
    "bad_source": Problem(422, "The camera's source cannot be used."),
    "password_in_source": Problem(422, "The camera's source contains a password, which belongs into a secret."),
    "secret_missing": Problem(422, "There is no such secret of a camera."),
    "bad_watchlist": Problem(422, "The watch list's name is invalid."),
    "mqtt_unavailable": Problem(None, "The MQTT broker cannot be reached, or refuses the connection."),
    "not_ready": Problem(503, "The service is running but cannot process clips."),
    "server_unreachable": Problem(502, "No service replies at this address."),
    "unexpected_reply": Problem(502, "The server at this address does not implement this API."),
    "bad_settings": Problem(None, "A setting, or the settings file, is invalid."),
    "key_not_found": Problem(None, "There is no such API key."),
    "not_loopback": Problem(None, "Without keys the service listens on loopback only."),
    "cannot_write": Problem(None, "A file cannot be written at this path."),
    "not_a_file": Problem(None, "There is no readable file at this path."),
    "no_archive": Problem(None, "There is no archive of clips at this place, or it cannot be read."),
    "other_results": Problem(None, "The file of results belongs to another run."),
    "cluster_unavailable": Problem(None, "There is no Ray cluster for this work, or these settings do not allow it."),
    "hosts_unavailable": Problem(503, "The hosts that should do the work were lost."),
    # Training
    "bad_dataset": Problem(None, "A data set does not exist, or does not have the layout of its reader."),
    "unsafe_pickle": Problem(None, "A pickle contains something other than numpy arrays."),
    "unknown_format": Problem(None, "No data set format, partition or protocol has this name."),
    "no_clear_gait": Problem(None, "A measured walk has too few clean gait cycles."),
    "input_missing": Problem(None, "The data set lacks an input that the network reads."),
    "bad_evaluation": Problem(None, "This evaluation cannot be run here."),
    "bad_training_config": Problem(None, "A training configuration cannot be used."),
    "training_diverged": Problem(None, "A training's loss or gradient is no longer finite."),
    "training_running": Problem(None, "Another process is training in this folder."),
    "training_too_large": Problem(None, "A training needs more memory than is free."),
    "training_unmeasured": Problem(None, "The process that measures a training ended early."),
    "bodies_missing": Problem(None, "The packages that render real bodies are not installed."),
    "bad_asset": Problem(None, "A garment is missing, or does not match the manifest."),
    "internal": Problem(500, "An internal error occurred; the request is not at fault.", private=True),
}


def body(error: GaitkeeperError) -> dict[str, Any]:
    """The problem document of an error, with its extra fields next to the standard ones."""
    problem = PROBLEMS[error.code]
    return {
        **({} if problem.private else error.extra),
        "type": f"urn:gaitkeeper:problem:{error.code}",
        "title": problem.title,
        "status": problem.status or 500,
        "code": error.code,
        "detail": problem.title if problem.private else error.detail,
    }


def from_body(document: Mapping[str, Any]) -> GaitkeeperError:
    """The error of a problem document, in the class that the service raised."""
    code, detail = document.get("code"), document.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        raise UnexpectedReply("The server's error is not a problem document with a code and a sentence.")
    extra = {k: v for k, v in document.items() if k not in {"type", "title", "status", "code", "detail"}}
    kind = classes().get(code)
    # A newer server may use codes that this client does not know.
    return kind(detail, **extra) if kind else UnexpectedReply(f"{detail} ({code})")


def classes() -> dict[str, type[GaitkeeperError]]:
    """All loaded error classes, by code."""
    found: dict[str, type[GaitkeeperError]] = {}
    waiting: list[type[GaitkeeperError]] = [GaitkeeperError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found
