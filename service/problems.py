"""RFC 9457 problem details: the list of all error codes, with their HTTP status and title."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import GaitkeeperError
from service.errors import UnexpectedReply

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
    "unknown_field": Problem(422, "A field or parameter has a name that is not known here."),
    "not_multipart": Problem(422, "The clip did not come as a file in a multipart form."),
    "caller_gone": Problem(499, "The caller hung up before the work was done."),
    "route_not_found": Problem(404, "There is nothing at this address."),
    "method_not_allowed": Problem(405, "This address does not take this method."),
    "unauthorised": Problem(401, "An API key is needed, and none came that is good."),
    "forbidden": Problem(403, "This caller may not do that."),
    "rate_limited": Problem(429, "Too many requests came with this key."),
    "too_large": Problem(413, "The clip exceeds a limit on bytes, pixels, frames or duration."),
    "idempotency_mismatch": Problem(422, "This Idempotency-Key came with another request before."),
    "in_progress": Problem(409, "The same request is being worked on."),
    "upload_timeout": Problem(408, "The request's body did not come in time."),
    # The clip
    "bad_clip": Problem(422, "The clip cannot be used."),
    "empty_upload": Problem(422, "The clip has no bytes."),
    "unsupported_media": Problem(415, "The clip's container or codec is not read here."),
    "undecodable": Problem(422, "The clip is damaged or cut short."),
    "no_video": Problem(422, "The file has no video."),
    "too_short": Problem(422, "People were seen, but none for long enough to tell a gait."),
    "no_person": Problem(422, "Nobody was found walking in the clip."),
    "multiple_people": Problem(422, "Several people walk in the clip and none was chosen."),
    "cut_off": Problem(422, "The walker is cut off by the picture's edge all the way."),
    "not_upright": Problem(422, "The clip's people do not stand upright in the picture."),
    "track_not_found": Problem(422, "The clip has no such track."),
    "sandbox_unavailable": Problem(503, "Clips cannot be decoded safely here now.", private=True),
    "nvdec_unavailable": Problem(503, "The GPU's decoder of clips cannot be used.", private=True),
    # The gallery
    "not_found": Problem(404, "There is no such collection, subject or template."),
    "conflict": Problem(409, "What was asked contradicts what is stored."),
    "clip_of_other_subject": Problem(409, "The same walker of the same clip is enrolled as someone else."),
    "looks_like_other_subject": Problem(409, "The walker matches somebody else who is enrolled."),
    "poor_quality": Problem(422, "The walker is seen too poorly to be enrolled."),
    "likeness_changed": Problem(422, "The walker may be two people: the look changes on the way."),
    "fingerprint_mismatch": Problem(409, "Embeddings of different fingerprints are not compared."),
    "overtaken": Problem(409, "Somebody else was enrolled or erased in the meantime."),
    "shadow_behind": Problem(409, "Templates are not embedded by the network that was to take over."),
    "bad_subject": Problem(422, "The subject's id, name or metadata cannot be stored."),
    "bad_collection": Problem(422, "The collection's name cannot be stored."),
    "bad_camera": Problem(422, "The camera's name cannot be stored."),
    "bad_fpir": Problem(422, "The false-positive identification rate is out of range or not covered."),
    "bad_fmr": Problem(422, "The false match rate is out of range or not covered."),
    "bad_embedding": Problem(500, "The network gave numbers that are no embedding.", private=True),
    "bad_calibration": Problem(500, "A calibration cannot be read.", private=True),
    "unknown_store": Problem(500, "The store's URL is of no known kind.", private=True),
    "bad_store": Problem(500, "The store holds something that cannot be read.", private=True),
    "store_unavailable": Problem(503, "The store cannot be reached or written now.", private=True),
    "bad_archive": Problem(422, "The file is no archive of a collection, or is damaged."),
    "bad_store_key": Problem(500, "The store's key is missing, or not the one it was encrypted with.", private=True),
    "store_not_durable": Problem(500, "The store may lose what it has acknowledged.", private=True),
    # Networks and weights
    "unknown_network": Problem(422, "No network has this name."),
    "weights_missing": Problem(503, "A weights file is not on the machine.", private=True),
    "weights_corrupt": Problem(503, "A weights file is not what the manifest says.", private=True),
    "licence_not_accepted": Problem(503, "A licence must be accepted first.", private=True),
    "bad_checkpoint": Problem(None, "A checkpoint is not there, or cannot be imported."),
    "export_unavailable": Problem(None, "The packages that write ONNX files are not installed."),
    "export_differs": Problem(None, "An exported network does not answer as the one that it was made of."),
    "device_unavailable": Problem(503, "The device that networks are to run on cannot be used.", private=True),
    "bad_sequence": Problem(500, "A gait sequence cannot be read.", private=True),
    "heatmaps_missing": Problem(409, "The network reads heatmaps and the sequence was kept without them."),
    # The service and the connection to it
    "overloaded": Problem(503, "All workers are busy and the queue is full."),
    "deadline": Problem(504, "The work was not done in the time that a request may take."),
    "job_cancelled": Problem(409, "The job was cancelled."),
    "bad_message": Problem(400, "A message of the live stream is not what was to come."),
    "stream_timeout": Problem(408, "The live stream was silent, or went on, for too long."),
    "source_not_allowed": Problem(None, "A camera's address is not on the list of those that may be watched."),
    "source_unavailable": Problem(None, "A camera or file cannot be watched."),
    "not_ready": Problem(503, "The service is up but cannot answer for clips."),
    "server_unreachable": Problem(502, "No service answers at the address given."),
    "unexpected_reply": Problem(502, "What answers there does not speak this API."),
    "bad_settings": Problem(None, "A setting, or the file that holds them, cannot be used."),
    "key_not_found": Problem(None, "There is no such API key."),
    "not_loopback": Problem(None, "Without keys the service listens on loopback only."),
    "cannot_write": Problem(None, "A file cannot be written where it was asked for."),
    "not_a_file": Problem(None, "There is no file at this path that can be read."),
    "no_archive": Problem(None, "There is no archive of clips at this place that can be read from here."),
    "other_results": Problem(None, "The file of results belongs to another run."),
    "cluster_unavailable": Problem(None, "There is no Ray cluster that could do this with these settings."),
    "hosts_unavailable": Problem(503, "The hosts that were to do the work were lost."),
    # Training
    "bad_dataset": Problem(None, "A data set is not there, or not in the layout it was said to have."),
    "unsafe_pickle": Problem(None, "A pickle holds something other than numpy arrays."),
    "unknown_format": Problem(None, "No data set format, partition or protocol has this name."),
    "no_clear_gait": Problem(None, "A measured walk has too few clean gait cycles to make a walker of."),
    "input_missing": Problem(None, "A network reads something that the data set does not have."),
    "bad_evaluation": Problem(None, "An evaluation cannot be run here as it was asked for."),
    "bad_training_config": Problem(None, "A training configuration cannot be used."),
    "training_diverged": Problem(None, "A training's loss or gradient is not a finite number any more."),
    "training_running": Problem(None, "Another process trains in this folder just now."),
    "bodies_missing": Problem(None, "The packages that render real bodies are not installed."),
    "bad_asset": Problem(None, "A garment is not there, or is not what the manifest says."),
    "internal": Problem(500, "Something went wrong here, through no fault of the caller.", private=True),
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
