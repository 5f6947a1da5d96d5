"""How much memory a process can still take: of the machine, and of its control groups, as containers have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# Files of a control group: limit, use, and the line of memory.stat for cached files, which the kernel gives back.
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process can still take without swapping; None if the system does not say (not Linux).

    Args:
        proc: the folder of processes.
        groups: the folder of control groups, of version 1 or 2.
    """
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        machine = int(known["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    return max(0, min([machine, *_left_in_groups(proc, groups)]))


def _left_in_groups(proc: Path, groups: Path) -> Iterator[int]:
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            root, names = groups, V2
        elif "memory" in controllers.split(","):
            root, names = groups / "memory", V1
        else:
            continue
        # A group is also held to the limits of the groups that it is in. In a container the path may be the host's.
        inner = root / path.strip("/")
        for folder in (inner, *inner.parents):
            left = _left_in(folder, *names)
            if left is not None:
                yield left
            if folder == root:
                break


def _left_in(folder: Path, limit: str, use: str, cached: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        if most == "max":
            return None
        used = int((folder / use).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(most) - used + int(stat.get(cached, 0))
    except (OSError, ValueError):
        return None
