"""The console command. Each command imports the heavy parts that it needs, so ``--help`` is fast."""

from __future__ import annotations

import sys

import typer

from gaitkeeper.service.commands import (
    batch,
    cameras,
    clips,
    collections,
    sightings,
    strangers,
    subjects,
    watch,
    watching,
)
from gaitkeeper.service.commands.operations import demo, doctor, gallery, keys, serve, size, weights
from gaitkeeper.training import cli as training
from gaitkeeper.training.cli_data import calibrate, dataset, evaluate
from gaitkeeper.training.walkers.cli import app as walkers

app = typer.Typer(
    name="gaitkeeper",
    help="Names people by the way they walk.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("enroll")(clips.enroll)
app.command("identify")(clips.identify)
app.command("verify")(clips.verify)
app.command("look")(clips.look)
app.command("forget")(clips.forget)
app.command("inspect")(clips.inspect)
app.command("watch")(watch.watch)
app.add_typer(batch.app, name="batch")
app.add_typer(subjects.app, name="subjects")
app.add_typer(strangers.app, name="strangers")
app.add_typer(sightings.app, name="sightings")
app.add_typer(cameras.app, name="cameras")
app.add_typer(watching.watchlists, name="watchlists")
app.add_typer(collections.app, name="collections")
app.command("serve")(serve.serve)
app.add_typer(gallery.app, name="gallery")
app.add_typer(keys.app, name="keys")
app.add_typer(weights.app, name="weights")
app.command("size")(size.size)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(walkers, name="walkers")
app.add_typer(dataset, name="dataset")
app.command("evaluate")(evaluate)
app.command("refit")(training.refit)
app.command("fuse")(training.fuse)
app.command("calibrate")(calibrate)
app.command("train")(training.train)
app.command("cross-validate")(training.cross_validate)


def main() -> None:
    """Run the command. Errors are printed on stderr as message and code, never as a traceback."""
    try:
        app()
    except Exception as error:
        from gaitkeeper.service.commands.console.failure import report

        sys.exit(report(error))
