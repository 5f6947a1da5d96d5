"""Builds an image's file tree from its Dockerfile's own lines, and runs it, without a container engine.

Debian comes by debootstrap in place of the base image, with Debian's Python under the name that the base image gives
its own. ``RUN`` runs in a chroot; ``ARG``, ``COPY``, ``ENV``, ``FROM``, ``USER`` and ``WORKDIR`` are carried out,
``CMD``, ``HEALTHCHECK`` and ``VOLUME`` kept. Any other instruction is refused, so that nothing is left out unnoticed.
All of it needs root; whatever is mounted is mounted in namespaces of their own and goes with them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "ca-certificates,netbase,tzdata,python3,python3-venv"
PRIVATE = "mount --make-rprivate / && mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev"


@dataclass(frozen=True)
class Image:
    """A stage: its tree and what its lines said.

    Attributes:
        root: the tree.
        env: variables.
        workdir: where commands run.
        user: "UID:GID".
        volumes: paths.
        command: of the service.
        check: of its health.
    """

    root: Path
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, "LANG": "C.UTF-8"})
    workdir: str = "/"
    user: str = "0:0"
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    check: tuple[str, ...] = ()


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and value of every line that is no comment."""
    with dockerfile.open("rb") as file:
        lines = DockerfileParser(fileobj=file, env_replace=False).structure
    return [(line["instruction"], line["value"]) for line in lines if line["instruction"] != "COMMENT"]


def context(root: Path, folder: Path) -> Path:
    """What the engine would be sent: the names that ``.dockerignore`` lets through."""
    patterns = [line for line in (root / ".dockerignore").read_text().splitlines() if line]
    assert patterns[0] == "*" and patterns[-1] == "**/__pycache__", "another way of saying what is sent"
    for pattern in patterns[1:-1]:
        assert re.fullmatch(r"![\w./-]+", pattern), f"{pattern} is not understood here"
        source, target = root / pattern[1:], folder / pattern[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def debian(folder: Path, suite: str) -> Path:
    """A fresh Debian with Python in ``folder``, kept for the next time."""
    if (folder / "complete").is_file():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    program, env = shutil.which("debootstrap"), dict(os.environ)
    if program is None:  # it is a script that needs no installing
        tools = folder.with_name("debootstrap")
        tools.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "debootstrap"], cwd=tools, check=True)
        (package,) = tools.glob("debootstrap_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(tools)], check=True)
        program = str(tools / "usr/sbin/debootstrap")
        env["DEBOOTSTRAP_DIR"] = str(tools / "usr/share/debootstrap")
    command = [
        program,
        "--variant=minbase",
        f"--include={PACKAGES}",
        suite,
        str(folder),
        "http://deb.debian.org/debian",
    ]
    subprocess.run(command, env=env, check=True)
    for name in ("python", "python3"):
        (folder / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    (folder / "complete").touch()
    return folder


class Builder:
    """Carries out the lines of a Dockerfile.

    Args:
        sent: the files that ``COPY`` may take.
        folder: for the stages' trees, one each.
        base: of Debian, by :func:`debian`.
        lent: variables of this machine that its package clients need, for ``RUN`` alone.
        args: values of ``ARG``.
    """

    def __init__(self, sent: Path, folder: Path, base: Path, lent: Mapping[str, str], args: Mapping[str, str]) -> None:
        self.sent, self.folder, self.base, self.lent, self.given = sent, folder, base, lent, args
        self.args: dict[str, str] = {}
        self.stages: dict[str, Image] = {}

    def build(self, lines: list[tuple[str, str]]) -> Image:
        """The last stage."""
        image = Image(Path())
        for instruction, value in lines:
            image = getattr(self, f"_{instruction.lower()}")(image, value)
        return image

    def _words(self, image: Image, text: str) -> list[str]:
        return [Template(word).substitute({**self.args, **image.env}) for word in shlex.split(text)]

    def _arg(self, image: Image, value: str) -> Image:
        name, _, default = value.partition("=")
        self.args[name] = self.given.get(name, default)
        return image

    def _from(self, image: Image, value: str) -> Image:
        source, *rest = self._words(Image(Path()), value)
        name = rest[1] if rest else "last"
        known = self.stages.get(source)
        if known is None:
            assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", source), source
            known = Image(self.base)
        new = replace(known, root=self.folder / name)
        subprocess.run(["cp", "-a", "--reflink=auto", str(known.root), str(new.root)], check=True)
        return self._kept(name, new)

    def _kept(self, name: str, image: Image) -> Image:
        self.stages[name] = image
        return image

    def _changed(self, image: Image, **changes: object) -> Image:
        name = next(name for name, stage in self.stages.items() if stage.root == image.root)
        return self._kept(name, replace(image, **changes))

    def _env(self, image: Image, value: str) -> Image:
        pairs = (word.partition("=") for word in self._words(image, value))
        return self._changed(image, env={**image.env, **{name: text for name, _, text in pairs}})

    def _workdir(self, image: Image, value: str) -> Image:
        (image.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return self._changed(image, workdir=value)

    def _copy(self, image: Image, value: str) -> Image:
        *sources, target = shlex.split(value)
        origin = self.sent
        if sources[0].startswith("--"):
            origin = self.stages[sources.pop(0).removeprefix("--from=")].root
        goal = image.root / os.path.normpath(f"{image.workdir}/{target}" if target[0] != "/" else target).lstrip("/")
        for source in (origin / name.lstrip("/") for name in sources):
            into = goal / source.name if source.is_file() and target.endswith("/") else goal
            into.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "-T", "--reflink=auto", str(source), str(into)], check=True)
        return image

    def _run(self, image: Image, value: str) -> Image:
        lent = [path for path in ("/etc/resolv.conf", "/etc/ssl/certs") if Path(path).exists()]
        lent += [text for text in shlex.split(self.lent.get("PIP_FIND_LINKS", "")) if Path(text).is_dir()]
        mounts = [PRIVATE.format(root=shlex.quote(str(image.root)))]
        for path in lent:
            inside = shlex.quote(f"{image.root}{path}")
            make = f"mkdir -p {inside}" if Path(path).is_dir() else f"touch {inside}"
            mounts.append(f"{make} && mount --bind {shlex.quote(path)} {inside}")
        env = {**self.args, **self.lent, **image.env}
        inside = ["env", "-i", *(f"{name}={text}" for name, text in env.items()), "sh", "-ec"]
        command = shlex.join(["chroot", str(image.root), *inside, f"cd {image.workdir} && {value}"])
        script = " && ".join([*mounts, f"exec {command}"])
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script], check=True)
        return image

    def _user(self, image: Image, value: str) -> Image:
        return self._changed(image, user=value)

    def _volume(self, image: Image, value: str) -> Image:
        return self._changed(image, volumes=tuple(json.loads(value)))

    def _cmd(self, image: Image, value: str) -> Image:
        return self._changed(image, command=tuple(json.loads(value)))

    def _healthcheck(self, image: Image, value: str) -> Image:
        return self._changed(image, check=tuple(json.loads(value.partition("CMD ")[2])))

    def _expose(self, image: Image, value: str) -> Image:
        return image


class Container:
    """An image that runs: as its user, without capabilities, on a read-only tree, with no network but its own loopback.

    Args:
        image: which.
        folder: for its volumes and its log.
        env: variables beside the image's.
    """

    def __init__(self, image: Image, folder: Path, env: Mapping[str, str]) -> None:
        self.image, self.folder = image, folder
        self.env = {**image.env, **env}
        root = shlex.quote(str(image.root))
        steps = ["ip link set lo up", "mount --make-rprivate /", f"mount --bind {root} {root}"]
        steps += [PRIVATE.format(root=root), f"mount -t tmpfs -o size=64m,noexec,nosuid,nodev tmpfs {root}/tmp"]
        for volume in image.volumes:
            own = folder / volume.strip("/")
            subprocess.run(["cp", "-a", f"{image.root}{volume}", str(own)], check=True)
            steps.append(f"mount --bind {shlex.quote(str(own))} {root}{volume}")
        steps += [f"mount -o remount,bind,ro {root}", f"exec {shlex.join(self._inside(image.command))}"]
        self.log = folder / "log"
        namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*namespaces, "sh", "-ec", " && ".join(steps)], stdout=log, stderr=log)

    def _inside(self, command: tuple[str, ...]) -> list[str]:
        user, _, group = self.image.user.partition(":")
        drop = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        env = [f"{name}={text}" for name, text in self.env.items()]
        setpriv = ["setpriv", *drop, "--bounding-set=-all", "env", "-i", f"--chdir={self.image.workdir}", *env]
        return ["chroot", str(self.image.root), *setpriv, *command]

    @property
    def pid(self) -> int:
        """Of the service, as seen from outside."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (found := children.read_text().split()):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        return int(found[0])

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command beside the service, in the same namespaces and as confined as it."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid"]
        return subprocess.run([*enter, *self._inside(command)], capture_output=True, text=True, check=False)


@contextmanager
def running(image: Image, folder: Path, env: Mapping[str, str]) -> Iterator[Container]:
    """A container for a block; ended if it has not ended by itself."""
    container = Container(image, folder, env)
    try:
        yield container
    finally:
        if container.process.poll() is None:
            # The first of its processes takes all others along; it forgot its parent when it changed its user.
            os.kill(container.pid, signal.SIGKILL)
        container.process.wait()
