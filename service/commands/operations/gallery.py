"""Commands for the whole store: its log, its keys, and its collections as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaitkeeper.service.commands.console.terminal import (
    ERR,
    OUT,
    ArchiveArgument,
    CollectionOption,
    JsonOption,
    StoreOption,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from gaitkeeper.gallery.stores.encryption import Vault
    from gaitkeeper.gallery.stores.protocol import Store

app = typer.Typer(help="The gallery's store: audit, backup, keys.", no_args_is_help=True)
PlainOption = Annotated[
    bool, typer.Option("--plain", help="Do not encrypt the archive, even if the store is encrypted.")
]


@contextmanager
def _opened(store: str | None) -> Iterator[tuple[Store, Vault | None]]:
    from gaitkeeper.gallery.stores.audit import acting
    from gaitkeeper.gallery.stores.open import open_store
    from gaitkeeper.service.errors import CannotWrite
    from gaitkeeper.service.settings import load_settings

    settings = load_settings(**({"store": store} if store else {}))
    vault = settings.vault
    opened = open_store(settings.store_url, vault)
    try:
        with acting("command line"):
            yield opened, vault
    except OSError as error:
        raise CannotWrite(f"{error.filename or 'The file'}: {error.strerror}.") from error
    finally:
        opened.close()


@app.command()
def audit(collection: CollectionOption = "default", store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show who did what to a collection, and check for leftovers of erased subjects. Exit code 1 if there are any."""
    with progress("looking through the store"), _opened(store) as (opened, _):
        report = opened.audit(collection)
    if as_json:
        print_json(report)
    else:
        from gaitkeeper.service.commands.console import tables

        OUT.print(tables.audit(report.entries))
        waiting = "; erased bytes may still lie in the store's files" if report.pending else ""
        found = ", ".join(report.left) or "nothing of them is left"
        OUT.print(f"{report.erased} erased subject(s): {found}{waiting}", markup=False)
    if report.left:
        raise typer.Exit(1)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="File to write.", dir_okay=False)],
    collection: CollectionOption = "default",
    plain: PlainOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a collection to one file, encrypted if the store is encrypted."""
    from gaitkeeper.gallery.stores.archive import export_collection

    with progress("writing the archive"), _opened(store) as (opened, vault):
        written = export_collection(opened, collection, file, None if plain else vault)
    _tell(file, written.templates, written.subjects, "written", as_json)
    if written.key is None:
        ERR.print("It is not encrypted.", style="yellow")


@app.command("import")
def import_(
    file: ArchiveArgument,
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="Name of the new collection. By default, the name in the archive."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, then import the collection in it."""
    from gaitkeeper.gallery.stores.archive import import_collection

    with progress("reading the archive"), _opened(store) as (opened, vault):
        read = import_collection(opened, file, collection, vault)
    _tell(file, read.templates, read.subjects, f"read into {read.collection}", as_json)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="Folder to write to, one archive per collection.", file_okay=False)],
    plain: PlainOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every collection to a separate file in a folder, which is created if missing."""
    from gaitkeeper.gallery.names import enrolled_only
    from gaitkeeper.gallery.stores.archive import export_collection

    written = {}
    with progress("writing the archives") as tell, _opened(store) as (opened, vault):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        collections = enrolled_only(opened.collections())
        for i, collection in enumerate(collections):
            tell(collection.name, i / len(collections))
            file = folder / f"{collection.name}.gallery"
            written[str(file)] = export_collection(opened, collection.name, file, None if plain else vault).templates
    if as_json:
        typer.echo(json.dumps(written, indent=2))
        return
    for name, templates in written.items():
        OUT.print(f"{name}: {templates} template(s)", markup=False)


@app.command("rotate-key")
def rotate_key(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Rotate keys: replace the other keys in GAITKEEPER_STORE_KEY by the first one."""
    from gaitkeeper.gallery.errors import BadStoreKey

    with progress("changing keys"), _opened(store) as (opened, vault):
        if vault is None:
            raise BadStoreKey(
                "The key is missing: set GAITKEEPER_STORE_KEY to the new key and the old one, separated by a comma."
            )
        done = opened.rotate_key()
    if as_json:
        typer.echo(json.dumps({"collections": done}))
        return
    OUT.print(f"{done} collection(s) got a new key; the old one is needed no more, but for archives made with it.")


def _tell(file: Path, templates: int, subjects: int, what: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file), "templates": templates, "subjects": subjects}, indent=2))
        return
    OUT.print(f"{file}: {templates} template(s) of {subjects} subject(s) {what}", markup=False)
