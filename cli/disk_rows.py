"""`system df -v`: each image, layer, container and stray by itself."""

from __future__ import annotations

from cli import orphans
from cli.disk import Disk
from cli.escape import json_line
from cli.render import Column, human_size, listing, local_time
from cli.report import echo
from effects.sizes import taken
from machine.errors import InvalidValue
from machine.projections import long_status, visible
from machine.settings import SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = {
    "Images": [
        Column("Name", "NAME"),
        Column("CreatedAt", "CREATED"),
        Column("Size", "TAR"),
        Column("Layers", "LAYERS"),
        Column("Containers", "CONTAINERS"),
    ],
    "Layers": [Column("ID", "LAYER"), Column("Size", "SIZE"), Column("Images", "IMAGES")],
    "Containers": [
        Column("ID", "CONTAINER ID"),
        Column("Names", "NAME"),
        Column("Image", "IMAGE"),
        Column("Size", "FILES"),
        Column("Log", "LOG"),
        Column("Status", "STATUS"),
    ],
    "Strays": [Column("Path", "PATH"), Column("Size", "SIZE")],
}


def tell(disk: Disk, form: str | None) -> None:
    """`form`: None or table for people, or json."""
    if form not in (None, "table", "json"):
        raise InvalidValue("--format", str(form), "with --verbose there is table and json")
    rows = {
        "Images": _images(disk),
        "Layers": _layers(disk),
        "Containers": _containers(disk),
        "Strays": [{"Path": path, "Size": human_size(taken(path))} for path in orphans.find(disk.session)],
    }
    if form == "json":
        echo(json_line({**rows, "Journal": human_size(disk.taken("journal"))}))
        return
    for title, columns in COLUMNS.items():
        echo(f"{title}:")
        for line in listing(rows[title], columns):
            echo(line)
        echo()
    echo(f"Journal: {human_size(disk.taken('journal'))}")


def _images(disk: Disk) -> list[dict[str, Any]]:
    return [
        {
            "Name": image.name,
            "CreatedAt": local_time(image.created),
            "Size": human_size(disk.tar(image.name)),
            "Layers": human_size(sum(map(disk.layer, image.layers))),
            "Containers": str(len(disk.users(image))),
        }
        for image in disk.images()
    ]


def _layers(disk: Disk) -> list[dict[str, Any]]:
    return [
        {
            "ID": digest[:SHORT],
            "Size": human_size(disk.layer(digest)),
            "Images": ", ".join(image.name for image in disk.images() if digest in image.layers),
        }
        for digest in disk.layers()
    ]


def _containers(disk: Disk) -> list[dict[str, Any]]:
    return [
        {
            "ID": c.id[:SHORT],
            "Names": c.name,
            "Image": c.image,
            "Size": human_size(disk.files(c)),
            "Log": human_size(disk.log(c)),
            "Status": long_status(c),
        }
        for c in visible(disk.world)
    ]
