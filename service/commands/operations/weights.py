"""Commands for weights files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gaitkeeper.service.commands.console.terminal import ERR, OUT, progress

app = typer.Typer(help="Weights of networks.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the known weights, and whether they are on this machine."""
    with progress("verifying"):
        from gaitkeeper.models.weights import manifest
        from gaitkeeper.service.operations.doctor import weights_state

        states = {name: weights_state(name) for name in manifest()}
    if as_json:
        typer.echo(
            json.dumps([asdict(entry) | {"state": states[name]} for name, entry in manifest().items()], indent=2)
        )
        return
    from gaitkeeper.service.commands.console import tables

    OUT.print(tables.weights(manifest().values(), states))


@app.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names from the list; by default, the default weights.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch weights into the cache and verify them. Some licences must be accepted first."""
    _ask(names or ())
    states: dict[str, str] = {}
    with progress("pulling") as tell:
        from gaitkeeper.models.weights import Entry, entry, pull

        def on_entry(item: Entry, state: str) -> None:
            states[item.name] = state
            tell(f"{item.name} ({item.licence})", 0.0)

        paths = pull(names or (), on_entry=on_entry)
        licence = {name: entry(name).licence for name in states}
    rows = [
        {"name": name, "state": states[name], "licence": licence[name], "path": str(path)}
        for name, path in zip(states, paths, strict=True)
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        OUT.print(f"{row['name']}: {row['state']}, {row['licence']} ({row['path']})", soft_wrap=True)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A published checkpoint: a state dict saved by torch.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    network: Annotated[
        str, typer.Option("--network", "-n", help="gaitset, gaitpart, gaitgl, gaitbase, deepgaitv2 or skeletongaitpp.")
    ],
    format_: Annotated[str, typer.Option("--format", help="Naming scheme of the checkpoint's entries.")] = "opengait",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Convert a published checkpoint to a weights file, and list what was left out."""
    with progress("importing") as tell, _written(target) as partial:
        from gaitkeeper.models.importers import import_checkpoint

        tell(source.name, 0.0)
        done = import_checkpoint(network, format_, source, partial)
    if as_json:
        typer.echo(json.dumps(asdict(done) | {"path": str(target)}, indent=2))
        return
    OUT.print(f"{done.network}: {done.parameters:,} parameters, weights {done.weights_id} ({target})", soft_wrap=True)
    config = ", ".join(f"{name}={value}" for name, value in done.config.items())
    OUT.print(f"read from the tensors: {config}", soft_wrap=True, markup=False)
    OUT.print(f"dropped: {', '.join(done.dropped) or 'nothing'}", soft_wrap=True, markup=False)


@app.command()
def export(
    source: Annotated[str, typer.Argument(metavar="NETWORK_OR_FILE", help="A network's name, or a .safetensors file.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .onnx file to write.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a network with its weights as an ONNX file that takes any number of sequences of any lengths."""
    with progress("exporting") as tell, _written(target) as partial:
        from gaitkeeper.models import load
        from gaitkeeper.models.export import export_onnx

        tell("reading", 0.0)
        network = load(source)
        tell(f"tracing {network.name}", 0.1)
        export_onnx(network, partial)
    if not network.trained:
        ERR.print(f"{network.name} has no weights here: those in the file are random.", soft_wrap=True)
    shapes = zip(network.inputs, network.frame_shapes, strict=True)
    inputs = {name: ["N", "T", *shape] for name, shape in shapes} | {"lengths": ["N"]}
    about = {"network": network.name, "weights_id": network.weights_id, "inputs": inputs}
    outputs = {"embeddings": ["N", *network.out_shape]}
    if as_json:
        typer.echo(json.dumps({**about, "outputs": outputs, "path": str(target)}, indent=2))
        return
    OUT.print(f"{network.name}: weights {network.weights_id} ({target})", soft_wrap=True, markup=False)
    for title, slots in (("input", inputs), ("output", outputs)):
        for name, dims in slots.items():
            OUT.print(f"{title} {name} ({', '.join(map(str, dims))})", soft_wrap=True, markup=False)


@app.command("export-pose")
def export_pose(
    config: Annotated[str, typer.Argument(help="A name of the list, or a configuration of mmpose.")],
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint of mmpose. If CONFIG is a name, the pulled one.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The .onnx file to write. By default in the cache, or next to the checkpoint."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a pose network of mmpose as an ONNX file for any number of crops, and compare it with PyTorch."""
    from gaitkeeper.models import cache
    from gaitkeeper.models.weights import export_path, locate, manifest
    from gaitkeeper.service.errors import InvalidRequest

    with progress("exporting") as tell:
        from gaitkeeper.pipelines.perception.pose_export import export_pose

        listed = manifest().get(config)
        if listed is None and checkpoint is None:
            raise InvalidRequest(f"{config!r} is not in `gaitkeeper weights list`: give a checkpoint, too.")
        source = checkpoint or locate(config)
        target = out or (export_path(config) if listed else source.with_suffix(".onnx"))
        tell(source.name, 0.0)
        with _written(target) as partial:
            done = export_pose((listed.config if listed else None) or config, source, partial)
        # Use a cached file only if its content is what was written.
        cache.lock_file(target).unlink(missing_ok=True)
        cache.record(target, cache.digest_of(target))
    if as_json:
        typer.echo(json.dumps(asdict(done) | {"path": str(target)}, indent=2))
        return
    OUT.print(
        f"{Path(done.config).stem}: {done.parameters:,} parameters, heatmaps as {done.codec} has them, at most "
        f"{done.difference:.1e} from PyTorch's ({target})",
        soft_wrap=True,
        markup=False,
    )


def _ask(names: Iterable[str]) -> None:
    """Ask the user to accept the licences that require it, if there is a terminal."""
    from gaitkeeper.models import licences
    from gaitkeeper.models.weights import entry

    if not sys.stdin.isatty():
        return
    for item in map(entry, names):
        if licences.accepted(item.licence):
            continue
        ERR.print(
            f"{item.name} is under {item.licence}. A service that uses it is bound by that licence as a whole.",
            soft_wrap=True,
        )
        if typer.confirm("Do you accept?", err=True):
            licences.accept(item.licence)


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """Context manager: a temporary file next to ``target`` with the same suffix. It replaces ``target`` on success and
    is deleted otherwise.

    Raises:
        CannotWrite: the file cannot be created.
    """
    from gaitkeeper.service.errors import CannotWrite

    partial = target.with_name(f".{target.stem}-{os.getpid()}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise CannotWrite(f"{target} cannot be written: it is a folder.")
        partial.touch()
    except OSError as error:
        raise CannotWrite(f"{target} cannot be written: {error.strerror}.") from error
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
