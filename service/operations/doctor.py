"""Checks an installation by testing each part."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.models.errors import GaitkeeperError, WeightsCorrupt, WeightsMissing
from gaitkeeper.service.settings import Settings, load_settings

MIN_PYTHON = (3, 11)
EXCLUSIVE = (
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("onnxruntime", "onnxruntime-gpu"),
)
"""Distributions that contain the same files: the one installed last overwrites the other, and removing it breaks
both.
"""


@dataclass(frozen=True)
class Check:
    """One part of the installation.

    Attributes:
        name: name of the part.
        ok: False if action is needed.
        finding: what was found, or what is wrong and what to do.
    """

    name: str
    ok: bool
    finding: str


def examine(store: str | None = None) -> Iterator[Check]:
    """Run all checks, and yield each result."""
    yield _python(sys.version_info[:3])
    installed = {name: found for group in EXCLUSIVE for name in group if (found := _version(name))}
    for group in EXCLUSIVE:
        yield exclusive(group, installed)
    try:
        settings = load_settings(**({"store": store} if store else {}))
    except GaitkeeperError as error:
        yield Check("settings", False, error.detail)
        return
    yield Check("settings", True, "usable")
    yield from _weights()
    for name, try_out in (
        ("decoder", _decode),
        ("device", _device),
        ("perception", _perceive),
        ("store", _store),
        ("access", _access),
        ("mqtt", _mqtt),
    ):
        yield _tried(name, try_out, settings)


def exclusive(group: tuple[str, ...], installed: dict[str, str]) -> Check:
    """Check that at most one distribution of a group is installed.

    Args:
        group: distributions that overwrite each other's files.
        installed: version by distribution.
    """
    there = [f"{name} {installed[name]}" for name in group if name in installed]
    if len(there) <= 1:
        return Check(group[0], True, there[0] if there else "not installed")
    names = " ".join(name for name in group if name in installed)
    return Check(
        group[0],
        False,
        f"{' and '.join(there)} are installed and overwrite each other's files: run `pip uninstall -y {names}`, "
        "then install one of them.",
    )


def weights_state(name: str) -> str:
    """ "present", "missing" or "corrupt": state of a manifest entry on this machine."""
    from gaitkeeper.models.weights import locate

    try:
        locate(name)
    except WeightsMissing:
        return "missing"
    except WeightsCorrupt:
        return "corrupt"
    return "present"


def _python(found: tuple[int, ...]) -> Check:
    text = ".".join(map(str, found))
    if found[:2] < MIN_PYTHON:
        return Check("python", False, f"{text} is too old: {'.'.join(map(str, MIN_PYTHON))} or newer is needed.")
    return Check("python", True, text)


def _weights() -> Iterator[Check]:
    from gaitkeeper.models.weights import locate, manifest

    for name, entry in manifest().items():
        if not entry.default:
            continue
        try:
            yield Check(f"weights {name}", True, str(locate(name)))
        except GaitkeeperError as error:
            yield Check(f"weights {name}", False, error.detail)


def _tried(name: str, try_out: Callable[[Settings], str], settings: Settings) -> Check:
    try:
        return Check(name, True, try_out(settings))
    except GaitkeeperError as error:
        return Check(name, False, error.detail)
    except Exception as error:  # an installation can be broken in any way
        return Check(name, False, f"{type(error).__name__}: {error}")


def _decode(settings: Settings) -> str:
    import av

    from gaitkeeper.pipelines.pipeline import Pipeline
    from gaitkeeper.service.recognition.canary import clip

    source, pipeline = clip(), Pipeline(settings.pipeline)
    decoder = pipeline.decoder
    try:
        seen = sum(1 for _ in decoder.frames(source, decoder.probe(source)))
    finally:
        pipeline.close()
    where = (
        "in a process of its own, behind a seccomp filter"
        if settings.pipeline.sandbox
        else "in this process: GAITKEEPER_PIPELINE__SANDBOX=0, which is for clips that you trust"
    )
    return f"PyAV {av.__version__} decoded {seen} frames of a clip that it had just encoded, {where}"


def _device(settings: Settings) -> str:
    import torch

    from gaitkeeper.pipelines.device import require_device

    device = require_device(settings.pipeline.device)
    torch.ones(8, device=device).sum().item()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"torch {torch.__version__} works on {device} ({where}); {_runtime()}"


def _runtime() -> str:
    """The devices that onnxruntime lists. The check of the perception tests whether they work."""
    try:
        import onnxruntime
    except ImportError:
        return "onnxruntime is not installed"
    kinds = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    return f"onnxruntime {onnxruntime.__version__} is built for {kinds}"


def _perceive(settings: Settings) -> str:
    from gaitkeeper.pipelines.pipeline import Pipeline
    from gaitkeeper.service.recognition.canary import picture

    perception = Pipeline(settings.pipeline).perception
    perception.watch().see(picture(), 0.0)
    return f"{perception.name} looked at a picture"


def _store(settings: Settings) -> str:
    from gaitkeeper.gallery.stores.open import open_store, store_file

    file = store_file(settings.store)
    if file is not None and not file.exists():
        # Opening would create the file, and a check must leave nothing behind.
        if not os.access(file.parent, os.W_OK):
            raise StoreUnavailable(f"The store's folder {file.parent} cannot be written.")
        return f"{settings.store_shown} is not there yet and can be made"
    store = open_store(settings.store_url, settings.vault)
    try:
        store.ping()
    finally:
        store.close()
    return f"{settings.store_shown} can be written and read"


def _access(settings: Settings) -> str:
    from gaitkeeper.service.auth.keys import Keys
    from gaitkeeper.service.http.admission import rate_of
    from gaitkeeper.service.operations.listening import require_loopback
    from gaitkeeper.service.state import State

    file = settings.state_path
    if file.exists():
        state = State(file)
        try:
            listed = Keys(state).list()
        finally:
            state.close()
        if listed:
            good = sum(key.revoked is None for key in listed)
            return f"{good} of {len(listed)} API keys in {file} are good, {rate_of(settings.rate)} each"
    if not settings.published_on_loopback:
        require_loopback(settings.host)
    return "no API key was ever made: loopback only"


def _mqtt(settings: Settings) -> str:
    from gaitkeeper.service.cameras.broker import try_out

    return try_out(settings)


PARTS: dict[str, Callable[[Settings], str]] = {
    "decoder": _decode,
    "device": _device,
    "perception": _perceive,
    "store": _store,
    "access": _access,
    "mqtt": _mqtt,
}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
