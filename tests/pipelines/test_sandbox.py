"""Decoding in a locked-up process: the same pictures, nothing let out, nothing left behind."""

from __future__ import annotations

import io
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import psutil
import pytest

from gaitkeeper.pipelines import decode, sandbox_filter, sandbox_server
from gaitkeeper.pipelines.decode import ClipInfo
from gaitkeeper.pipelines.errors import ClipError, DeadlineExceeded, SandboxUnavailable, TooLarge, Undecodable
from gaitkeeper.pipelines.sandbox import Sandbox, _checked, _json
from gaitkeeper.pipelines.settings import PipelineSettings

pytestmark = pytest.mark.skipif(sandbox_filter.supported() is not None, reason=str(sandbox_filter.supported()))

PATIENCE = 120.0
"""Seconds that a busy machine is given."""

GOOD = ClipInfo(160, 96, 25.0, 20, 0.8, "h264", "mp4")


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def server_of(box: Sandbox) -> psutil.Process:
    """The process that forks the decoders."""
    return psutil.Process(box.pid)


def only_fork(box: Sandbox) -> psutil.Process:
    """The one decoder that is left, once those of clips that are done have ended."""
    assert wait_for(lambda: len(server_of(box).children()) == 1)
    return server_of(box).children()[0]


def wait_for(condition) -> bool:
    end = time.monotonic() + PATIENCE
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return bool(met)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "times"),
    [
        ("a.mp4", "libx264", 25, None),
        ("a.mov", "libx265", 25, None),
        ("a.webm", "libvpx-vp9", 30, None),
        ("a.avi", "mpeg4", 25, None),
        ("a.mp4", "libx264", 60, None),
        ("a.mkv", "libx264", 25, [0, 33, 66, 180, 213, 246, 500, 533]),
    ],
)
def test_the_pictures_are_those_of_the_open_decoder(sandbox, make_clip, name, codec, rate, times):
    path = make_clip(name, codec=codec, rate=rate, times=times)
    info = sandbox.probe(path)
    assert info == decode.probe(path)
    here, there = list(decode.frames(path, info)), list(sandbox.frames(path, info))
    assert [(f.time, f.index) for f in there] == [(f.time, f.index) for f in here]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(here, there, strict=True))


def test_sources(sandbox, make_clip):
    path = make_clip("a.mp4", count=5)
    data = path.read_bytes()
    with path.open("rb") as file, tempfile.TemporaryFile() as large, tempfile.SpooledTemporaryFile() as small:
        small.write(data)
        large.write(data + struct.pack(">I4s", 6 * 2**20, b"free") + bytes(6 * 2**20 - 8))
        for source in (path, str(path), data, io.BytesIO(data), file, small, large):
            assert len(list(sandbox.frames(source, sandbox.probe(source)))) == 5


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04" * 9, b"\0\0\0\x08ftypisom" + bytes(90), b"RIFF....AVI " + bytes(90)]
)
def test_refusals_are_those_of_the_open_decoder(sandbox, data):
    with pytest.raises(ClipError) as here:
        decode.probe(data)
    with pytest.raises(ClipError) as there:
        sandbox.probe(data)
    assert (type(there.value), there.value.detail) == (type(here.value), here.value.detail)


@pytest.mark.parametrize("limit", [{"max_pixels": 1000}, {"max_frames": 10}, {"max_seconds": 0.3}])
def test_limits(make_clip, limit):
    box = Sandbox(PipelineSettings(**limit))
    with pytest.raises(TooLarge):
        box.probe(make_clip("a.mp4", count=20))
    box.close()


def attempt(call: str) -> int:
    """The exit status of a locked-up process that runs ``call``: 0 where it passed, 77 where it was refused."""
    code = f"""
import ctypes, mmap, os, socket, threading
from gaitkeeper.pipelines import sandbox_filter
door = socket.socketpair()[0]
libc = ctypes.CDLL(None, use_errno=True)
sandbox_filter.lock()
try:
    {call}
except (OSError, ValueError):
    os._exit(77)
os._exit(0)
"""
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("socket.socket()", -signal.SIGSYS),
        ("socket.socketpair()", -signal.SIGSYS),
        ("door.connect('/tmp/x')", -signal.SIGSYS),
        ("os.execv('/bin/true', ['true'])", -signal.SIGSYS),
        ("os.posix_spawn('/bin/true', ['true'], {})", (-signal.SIGSYS, 77)),
        ("os.fork()", (-signal.SIGSYS, 77)),
        ("libc.ptrace(0, 0, 0, 0)", -signal.SIGSYS),
        ("open('/etc/passwd')", 77),
        ("os.listdir('/')", 77),
        ("os.kill(os.getppid(), 0)", 77),
        ("os.write(1, b'x')", 77),
        ("mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)", 77),
        ("mmap.mmap(-1, 4096)", 0),
        ("t = threading.Thread(target=int); t.start(); t.join()", 0),
    ],
)
def test_a_locked_up_process_opens_starts_and_runs_nothing(call, status):
    assert attempt(call) in (status if isinstance(status, tuple) else (status,))


def answer(program: bytes, arch: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would make of a call: the filter, interpreted."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    steps, at, word = list(struct.iter_unpack("HBBI", program)), 0, 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == sandbox_filter.LOAD:
            (word,) = struct.unpack_from("<I", data, k)
        elif code == sandbox_filter.RETURN:
            return k
        else:
            met = {0x15: word == k, 0x35: word >= k, 0x45: word & k != 0}[code]
            at += yes if met else no


@pytest.mark.parametrize(("machine", "mmap", "clone", "openat"), [("x86_64", 9, 56, 257), ("aarch64", 222, 220, 56)])
def test_the_filter_of_every_architecture(machine, mmap, clone, openat):
    column, arch = sandbox_filter.ARCHITECTURES[machine]
    program = sandbox_filter.program(machine)
    allow, kill, refuse = sandbox_filter.ALLOW, sandbox_filter.KILL, sandbox_filter.ERRNO | 1
    for table, expected in ((sandbox_filter.ALLOWED, allow), (sandbox_filter.FATAL, kill)):
        for numbers in table.values():
            if numbers[column] is not None:
                assert answer(program, arch, numbers[column]) == expected
    assert answer(program, arch, openat) == refuse
    assert answer(program, arch, mmap, (0, 4096, 3)) == allow
    assert answer(program, arch, mmap, (0, 4096, 5)) == refuse
    assert answer(program, arch, clone, (0x3D0F00,)) == allow  # as pthread_create calls it
    assert answer(program, arch, clone, (signal.SIGCHLD,)) == kill  # as fork does
    assert answer(program, arch, sandbox_filter.CLONE3) == sandbox_filter.ERRNO | 38
    assert answer(program, arch ^ 1, 0) == kill
    if machine == "x86_64":
        assert answer(program, arch, sandbox_filter.X32_BIT) == kill
    known = {n[column] for t in (sandbox_filter.ALLOWED, sandbox_filter.FATAL) for n in t.values()}
    rest = set(range(600)) - known - {n[column] for n in sandbox_filter.MAPPING} - {clone, sandbox_filter.CLONE3}
    assert {answer(program, arch, number) for number in rest} == {refuse}


def test_decoders_are_bounded_and_have_nothing_of_the_services(make_clip, monkeypatch):
    monkeypatch.setenv("GAITKEEPER_SECRET", "of-the-service")
    with Path("/dev/null").open() as secret:  # stands for any file that the service holds open
        os.set_inheritable(secret.fileno(), True)
        box = Sandbox(PipelineSettings(max_decode_cpu=7))
        path = make_clip("a.mp4", count=40)
        stream = box.frames(path, box.probe(path))
        next(stream)
        server = server_of(box)
        child = only_fork(box)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{child.pid}/status").read_text().splitlines())
        assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
        for what, most in ((psutil.RLIMIT_CPU, 7), (psutil.RLIMIT_FSIZE, 0), (psutil.RLIMIT_NOFILE, 8)):
            assert child.rlimit(what) == (most, most)
        assert child.rlimit(psutil.RLIMIT_AS)[1] < 2**31
        assert b"of-the-service" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        assert psutil.Process(child.pid).num_fds() == 6
        stream.close()
    box.close()
    assert not server.is_running()


def test_too_little_memory_is_a_clip_that_cannot_be_decoded(make_clip):
    box = Sandbox(PipelineSettings(max_decode_memory=2**26))
    large = make_clip("a.mp4", count=3, pictures=lambda i: np.full((2304, 4096, 3), i, np.uint8))
    with pytest.raises(Undecodable):
        list(box.frames(large, box.probe(large)))
    small = make_clip("b.mp4", count=3)
    assert len(list(box.frames(small, box.probe(small)))) == 3
    box.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_decoder_that_dies_is_a_clip_that_cannot_be_decoded(sandbox, make_clip, number):
    path = make_clip("a.mp4", count=60)
    stream = sandbox.frames(path, sandbox.probe(path))
    next(stream)
    server = server_of(sandbox)
    for child in server.children():
        child.send_signal(number)
    with pytest.raises(Undecodable, match="made its decoder fail"):
        list(stream)
    assert len(list(sandbox.frames(path, sandbox.probe(path)))) == 60
    assert wait_for(lambda: not server.children())


@pytest.mark.parametrize("late", [False, True])
def test_a_decoder_that_hangs_is_ended(make_clip, monkeypatch, late):
    """By its patience, or by the deadline where that comes first."""
    path = make_clip("a.mp4", count=60)
    box = Sandbox(PipelineSettings(decode_patience=PATIENCE if late else 1.0))
    info = box.probe(path)
    stream = box.frames(path, info, time.monotonic() + 10 * PATIENCE)
    next(stream)
    child = only_fork(box)
    child.suspend()
    if late:  # as if all that time had passed
        monkeypatch.setattr(sandbox_server, "_left", lambda deadline: deadline - time.monotonic() - 10 * PATIENCE)
    with pytest.raises(DeadlineExceeded if late else Undecodable):
        list(stream)
    assert wait_for(lambda: not child.is_running())
    box.close()


def test_the_next_clip_starts_what_was_killed(make_clip):
    path, box = make_clip("a.mp4", count=3), Sandbox()
    info = box.probe(path)
    server = server_of(box)
    server.kill()
    assert box.probe(path) == info
    assert server_of(box) != server
    box.close()
    assert not server.is_running()


def test_a_clip_waits_for_the_process_as_long_as_its_deadline_allows(make_clip):
    path, box = make_clip("a.mp4", count=3), Sandbox()
    info = box.probe(path)
    server = server_of(box)
    server.suspend()  # as a machine does that has other things to do
    with pytest.raises(DeadlineExceeded):
        box.probe(path, time.monotonic() + 0.3)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(box.probe, path, time.monotonic() + PATIENCE) for _ in range(2)]
        with pytest.raises(DeadlineExceeded):  # where another clip waits already, too
            box.probe(path, time.monotonic() + 0.3)
        server.resume()
        assert [each.result() for each in waiting] == [info, info]
    assert server_of(box) == server
    assert wait_for(lambda: not server.children())  # nor is the decoder kept of the clip that was given up
    box.close()


def test_a_process_that_is_slow_to_start_is_waited_for_by_whoever_has_the_time(make_clip, monkeypatch, tmp_path):
    path, info = make_clip("a.mp4", count=3), None
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(1.5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    box = Sandbox()
    with pytest.raises(DeadlineExceeded):
        box.probe(path, time.monotonic() + 0.2)
    starting = server_of(box)
    info = box.probe(path, time.monotonic() + PATIENCE)
    assert info.frames == 3 and server_of(box) == starting
    box.close()


def test_a_process_that_is_stuck_is_replaced(make_clip, monkeypatch):
    path, box = make_clip("a.mp4", count=3), Sandbox()
    info = box.probe(path)
    stuck = server_of(box)
    stuck.suspend()
    monkeypatch.setattr(sandbox_server, "STUCK_SECONDS", 0.3)
    monkeypatch.setattr(sandbox_server.Server, "close", _once_patient(sandbox_server.Server.close, monkeypatch))
    assert box.probe(path, time.monotonic() + PATIENCE) == info
    assert server_of(box) != stuck and not stuck.is_running()
    box.close()


def test_a_process_that_is_stuck_is_replaced_though_no_deadline_is_as_long_as_its_patience(make_clip, monkeypatch):
    """As by default: a request has less time left than a process that stands still is given."""
    path, box = make_clip("a.mp4", count=3), Sandbox()
    info = box.probe(path)
    stuck = server_of(box)
    stuck.suspend()
    monkeypatch.setattr(sandbox_server, "STUCK_SECONDS", 2.0)
    monkeypatch.setattr(sandbox_server.Server, "close", _once_patient(sandbox_server.Server.close, monkeypatch))
    tries, end = 0, time.monotonic() + PATIENCE
    while server_of(box) == stuck and time.monotonic() < end:
        with suppress(DeadlineExceeded):
            box.probe(path, time.monotonic() + 0.3)
        tries += 1
    assert tries > 1 and not stuck.is_running()
    assert box.probe(path, time.monotonic() + PATIENCE) == info
    box.close()


def _once_patient(close, monkeypatch):
    def closing(server):
        monkeypatch.setattr(sandbox_server, "STUCK_SECONDS", PATIENCE)  # the next one is given its time
        close(server)

    return closing


def test_a_process_that_ends_again_and_again_is_unavailable(make_clip, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SandboxUnavailable, match=r"does not start: the process ended"):
        Sandbox().probe(make_clip("a.mp4", count=3))


def test_who_computes_waits_or_stands_still_is_told_apart(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    looks = iter([(1.0, True)] * 40 + [(1.0, False)] * 10**6)
    monkeypatch.setattr(sandbox_server, "_work", lambda _: next(looks))
    with ours, theirs:
        with pytest.raises(TimeoutError):
            sandbox_server.received(ours, 1, 0.04, time.monotonic() + PATIENCE)
        assert next(looks) == (1.0, False)  # what only waited for the processor was waited for ten times as long
        hot = count()
        monkeypatch.setattr(sandbox_server, "_work", lambda _: (float(next(hot)), True))
        with pytest.raises(TimeoutError):
            sandbox_server.received(ours, 1, 5.0, None)
        assert next(hot) == 7
        monkeypatch.undo()
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        assert wait_for(lambda: sandbox_server._work(busy.pid)[0] > 0.1) and sandbox_server._work(busy.pid)[1]
        busy.kill()
        busy.wait()
        assert sandbox_server._work(busy.pid) == (0, False)


def test_nothing_is_left_behind(sandbox, make_clip):
    path = make_clip("a.mp4", count=30)
    info = sandbox.probe(path)
    server = server_of(sandbox)
    before = psutil.Process().num_fds(), server.num_fds()
    for _ in range(10):
        stream = sandbox.frames(path, info)
        next(stream)
        stream.close()
        with pytest.raises(Undecodable):
            sandbox.probe(path.read_bytes()[:500])
    assert wait_for(lambda: not server.children())
    assert (psutil.Process().num_fds(), server.num_fds()) == before


def test_a_service_that_is_killed_takes_its_decoders_with_it():
    code = """
import os, signal, psutil
from gaitkeeper.pipelines.sandbox import Sandbox
box = Sandbox()
box.start()
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert wait_for(lambda: not psutil.pid_exists(int(done.stdout)))


@pytest.mark.parametrize(
    "lie",
    [
        {"width": 2**20}, {"width": 0}, {"height": 9.5}, {"frames": 10**9}, {"duration": float("nan")},
        {"duration": -1.0}, {"rate": float("inf")}, {"codec": "ffv1"}, {"container": "concat"},
    ],
)  # fmt: skip
def test_measures_that_cannot_be_true_are_not_believed(lie):
    assert _checked(GOOD, PipelineSettings()) == GOOD
    with pytest.raises(ValueError, match="out of range"):
        _checked(ClipInfo(**{**vars(GOOD), **lie}), PipelineSettings())


@pytest.mark.parametrize(
    "data", [b"\x80\x04.", b"[]", b'{"code": "internal", "detail": "x"}', b'{"code": "too_large"}']
)
def test_messages_that_no_decoder_sends_are_not_believed(data):
    with pytest.raises(Undecodable):
        _json(data)


def test_where_there_is_no_seccomp_it_says_how_to_do_without(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxUnavailable, match=r"riscv64.*GAITKEEPER_PIPELINE__SANDBOX=0"):
        Sandbox().start()


def test_a_pipeline_without_sandbox_decodes_here():
    from gaitkeeper.pipelines import Pipeline

    before = psutil.Process().children()
    with pytest.raises(Undecodable):
        Pipeline(PipelineSettings(sandbox=False)).process(b"\0\0\0\x08ftypisom" + bytes(90))
    assert psutil.Process().children() == before
