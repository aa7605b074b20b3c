"""`sluiceway access token`: the tokens by which machines read status.json, the badge and the metrics."""

from __future__ import annotations

import sys
from typing import Annotated, get_args

import typer

from sluiceway.cli.console import err, out, plain, print_json, sentences
from sluiceway.cli.options import JsonOption, owner_url
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_records
from sluiceway.errors import ConfigError, nearest
from sluiceway.ledger.face_tokens import Face

app = Commands(help="Tokens by which machines read status.json, the badge and the metrics.")

ALL = "all"
COLUMNS = ("id", "name", "opens", "made (UTC)", "revoked (UTC)")
OwnerOption = Annotated[
    str | None,
    typer.Option("--warehouse", metavar="URL", help="postgresql:// URL as its owner; else SLUICEWAY_OWNER_URL."),
]


@app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to have it, for people.")],
    face: Annotated[
        list[str],
        typer.Option("--face", metavar="FACE", help=f"{', '.join(get_args(Face))}, or {ALL}; repeat it for several."),
    ],
    warehouse: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and show it this once: the ledger keeps its hash alone. It reads its faces and opens nothing else.

    The token is all that goes to the standard output, so that it can be piped into a store of secrets.

    Example: sluiceway access token create prometheus --face metrics
    """
    with sentences():
        from sluiceway.ledger import face_tokens
        from sluiceway.ledger.warehouse import connect

        faces = _faces(face)
        with connect(owner_url(warehouse)) as session:
            made, token = face_tokens.create(session, name, faces)
    if as_json:
        print_json({**made.model_dump(mode="json", exclude={"revoked_at"}), "token": token})
        return
    err.print(plain(f"The token {made.token_id} opens {', '.join(made.faces)}. It is shown this once:"))
    sys.stdout.write(f"{token}\n")


@app.command("list")
def token_list(warehouse: OwnerOption = None, as_json: JsonOption = False) -> None:
    """Show every token that was ever made, never the token itself.

    Example: sluiceway access token list
    """
    with sentences():
        from sluiceway.ledger import face_tokens
        from sluiceway.ledger.warehouse import connect

        with connect(owner_url(warehouse)) as session:
            found = face_tokens.tokens(session)
    if as_json:
        print_json({"tokens": [each.model_dump(mode="json") for each in found]})
        return
    if not found:
        out.print("There is no token yet: `sluiceway access token create` makes one.")
        return
    rows = [
        (
            each.token_id,
            each.name,
            ", ".join(each.faces),
            f"{each.created_at:%Y-%m-%d %H:%M}",
            f"{each.revoked_at:%Y-%m-%d %H:%M}" if each.revoked_at is not None else "",
        )
        for each in found
    ]
    print_records(COLUMNS, rows)


@app.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    warehouse: OwnerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a token open nothing any more, within two seconds. A second time it changes nothing.

    Example: sluiceway access token revoke 1f0c2ab3
    """
    with sentences():
        from sluiceway.ledger import face_tokens
        from sluiceway.ledger.warehouse import connect

        with connect(owner_url(warehouse)) as session:
            revoked = face_tokens.revoke(session, token_id)
    if as_json:
        print_json(revoked.model_dump(mode="json"))
        return
    out.print(plain(f"The token {revoked.token_id} ({revoked.name}) opens nothing any more."))


def _faces(named: list[str]) -> tuple[Face, ...]:
    known: tuple[Face, ...] = get_args(Face)
    for each in named:
        if each not in {*known, ALL}:
            raise ConfigError(f"--face {each!r} is no face{nearest(each, [*known, ALL])}")
    return tuple(face for face in known if face in named or ALL in named)
