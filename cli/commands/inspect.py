"""`mydocker inspect`."""

from __future__ import annotations

import json

from cli.declare import argument, command, value
from cli.report import echo
from cli.session import Session, pass_session
from machine import projections


@command()
@value("form", "-f", "--format", metavar="FORM", help="A template such as {{.State.Pid}}.")
@argument("names", many=True)
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None) -> None:
    """Show all that is known of containers, as JSON."""
    found = [projections.inspect(session.find(name), session.root) for name in names]
    if form is None:
        echo(json.dumps(found, indent=4))
        return
    from cli.template import Template

    template = Template(form)
    for document in found:
        echo(template.fill(document))
