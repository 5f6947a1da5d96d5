"""The demo command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaitkeeper.service.commands.console.terminal import ERR, OUT, AnyClipsArgument, print_json, progress


def demo(
    clips: AnyClipsArgument = None,
    out: Annotated[Path, typer.Option(help="Folder for gallery and report.", file_okay=False)] = Path("demo"),
    people: Annotated[int, typer.Option(min=2, max=5, help="Number of rendered people, if no clips are given.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the identify replies as JSON.")] = False,
) -> None:
    """Enrol people, identify them in other clips, and write a report; without clips, of rendered people who ship."""
    with progress("demo") as tell:
        from gaitkeeper.service.operations import demo as demo_
        from gaitkeeper.service.operations.report import render
        from gaitkeeper.service.recognition.engine import Engine
        from gaitkeeper.service.settings import load_settings

        if clips:
            gallery, probes = demo_.split(clips)
        else:
            gallery, probes = demo_.shipped_walks(people)
        out.mkdir(parents=True, exist_ok=True)
        with Engine(load_settings(store=demo_.fresh_store(out))) as engine:
            shown = demo_.run(engine, gallery, probes, rendered=not clips, on_progress=tell)
        report = out / "report.html"
        report.write_text(render(shown), encoding="utf-8")
    if as_json:
        print_json(shown.reply(report))
        return
    from gaitkeeper.service.commands.console import tables

    for probe in shown.probes:
        OUT.print(f"[bold]{tables.plain(probe.clip.name)}[/]")
        for person in probe.reply.people:
            OUT.print(tables.person(person, probe.truth))
    for clip, error in shown.failed:
        ERR.print(f"{tables.plain(clip.name)}: {error.detail} \\[{error.code}]")
    hits, known = shown.rank1
    if known:
        OUT.print(f"rank 1: [bold]{hits} of {known}[/] walkers nearest to themselves")
    tables.notes(OUT, shown.fingerprint, shown.fingerprint.trained, ())
    if not shown.calibrated:
        OUT.print("no calibration for this network: verdicts are inconclusive, only the ranking counts", style="dim")
    OUT.print(f"report: {report}", soft_wrap=True)
