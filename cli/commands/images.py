"""`mydocker images`."""

from __future__ import annotations

from cli.declare import command, flag, value
from cli.images import tars
from cli.render import Column, human_size, listing, local_time
from cli.report import echo
from cli.session import Session, pass_session
from machine.settings import SHORT

COLUMNS = [
    Column("Name", "NAME"),
    Column("ID", "IMAGE ID"),
    Column("CreatedAt", "CREATED"),
    Column("Size", "SIZE"),
]


@command()
@flag("quiet", "-q", "--quiet", help="Ids only.")
@value("form", "--format", metavar="FORM", help="json, table, or a template such as {{.Name}}.")
@pass_session
def images(session: Session, form: str | None, *, quiet: bool) -> None:
    """List images: those imported, and the tars in ROOT that wait to be."""
    rows = rows_of(session)
    for line in [row["ID"] for row in rows] if quiet else listing(rows, COLUMNS, form or ""):
        echo(line)


def rows_of(session: Session) -> list[dict[str, str]]:
    """One row a name; a tar that nobody has run yet has no id."""
    world, found = session.world, {}
    for name, file in tars(session.root).items():
        found[name] = {
            "Name": name,
            "ID": "",
            "CreatedAt": local_time(file.st_mtime_ns),
            "Size": human_size(file.st_size),
        }
    for image in world.images.values():
        if image.status == "published" and image.layers:
            sizes = [world.layers[d].size for d in image.layers if d in world.layers]
            found[image.name] = {
                "Name": image.name,
                "ID": image.layers[0][:SHORT],
                "CreatedAt": local_time(image.created),
                "Size": human_size(sum(sizes)),
            }
    return [found[name] for name in sorted(found)]
