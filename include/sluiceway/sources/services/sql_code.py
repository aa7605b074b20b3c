"""SQL that somebody wrote into a file, judged before a database sees it: one SELECT that only reads.

The parser (sqlglot) takes a third of a second and 40 MB to import, so it is imported where a text is judged, and what
plainly reads is not asked of it by a sensor, which looks from a small process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

POSTGRES = "postgres"
TOO_DEEP = "it is nested too deeply; write it flatter, or a part of it as a column of its own"
DIALECTS = {
    "postgresql": POSTGRES,
    "mysql": "mysql",
    "mariadb": "mysql",
    "mssql": "tsql",
    "oracle": "oracle",
    "sqlite": "sqlite",
    "bigquery": "bigquery",
    "snowflake": "snowflake",
    "redshift": "redshift",
    "clickhouse": "clickhouse",
    "databricks": "databricks",
    "trino": "trino",
    "teradata": "teradata",
    "exasol": "exasol",
}
"""SQLAlchemy's name of a database -> the parser's; any other one is read as the parser's own."""

GUARDED = frozenset({POSTGRES, "sqlite"})
"""There a text runs as one statement, by the protocol, which cannot write: a transaction that only reads, or a file."""
_READING = frozenset({"select", "with", "values", "table"})
_NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|(\$\w*\$).*?\1", re.DOTALL)
_MAY_WRITE = re.compile(r"\b(with|into|for|insert|update|delete|merge|replace|lock|table)\b", re.IGNORECASE)
_CALL = re.compile(r"""(?P<name>\w+)["`\]]?\s*\(""")
_ACTS = re.compile(
    r"dblink\w*|lo_(import|export|create|creat|unlink|put|from_bytea)|pg_(terminate|cancel)_backend|pg_notify"
    r"|pg_(read|ls|file)_\w+|pg_stat_file|pg_(try_)?advisory_\w+|pg_(reload_conf|rotate_logfile|switch_wal|promote)"
    r"|pg_create_\w+|pg_drop_\w+|pg_replication_\w+|pg_logical_\w+|pg_wal_\w+|(query|cursor)_to_xml\w*"
    r"|load_file|load_extension|get_lock|release_lock|sys_exec|sys_eval"
    r"|openrowset|opendatasource|openquery|external_query"
)
"""Functions that reach out of a transaction that only reads: to files, other sessions and other servers."""


class NotOneSelectError(ValueError):
    """What is wrong with a text, as it follows upon the name of its key."""


class UnreadSqlError(NotOneSelectError):
    """The parser does not understand it, so nothing is known of it."""


def check_select(text: str, *, refused: str | None = None) -> None:
    """Raise unless a text of PostgreSQL's SQL is one SELECT (or VALUES) whose parts, too, do nothing but read.

    :param refused: a pattern of functions that may not be called, beside those that act beyond a transaction.
    :raises UnreadSqlError: the parser does not understand the text.
    :raises NotOneSelectError: it is another statement, or one of its parts is.
    """
    _parse(text, [POSTGRES], refused)


def check_reads(text: str, dialects: Sequence[str]) -> None:
    """The same of a text for a database of another kind, or for one that runs it in a transaction which only reads.

    :param dialects: the parser's names of the databases that it may be for; it is right for one of them.
    """
    if GUARDED.issuperset(dialects):
        code = code_of(text)
        if ";" in code:
            raise NotOneSelectError("holds more than one statement; it must be one SELECT")
        found = re.match(r"[(\s]*(\w*)", code)
        word = found[1] if found else ""
        if word.lower() not in _READING:
            raise NotOneSelectError(f"begins with {word.upper()!r}; it must be one SELECT")
        _check_calls(text)
        if not _MAY_WRITE.search(code):
            return
    _parse(text, dialects)


def check_reads_somewhere(text: str) -> None:
    """The same where nobody knows which database it is for: right for one kind of them at least."""
    wrong: list[NotOneSelectError] = []
    for dialect in dict.fromkeys(DIALECTS.values()):
        try:
            return check_reads(text, [dialect])
        except NotOneSelectError as error:
            wrong.append(error)
    raise wrong[0]


def check_condition(text: str, dialects: Sequence[str]) -> None:
    """The same of what stands behind WHERE."""
    code = code_of(text)
    if ";" in code:
        raise NotOneSelectError("holds more than one statement; write what would stand behind WHERE")
    _check_calls(text)
    if GUARDED.issuperset(dialects) and not _MAY_WRITE.search(code) and _brackets_match(code):
        return
    # a line of its own: a comment at its end hides no bracket
    tree = _parse(f"SELECT 1 WHERE (\n{text}\n)", dialects)
    if {key for key, value in tree.args.items() if value} != {"expressions", "where"}:
        raise NotOneSelectError("is more than a condition; write what would stand behind WHERE")


def check_expression(text: str) -> None:
    """Raise unless a text of PostgreSQL's SQL is one value over the columns of one row.

    :raises NotOneSelectError: the parser does not understand it, or it asks more than one row.
    """
    from sqlglot import exp

    try:
        tree = _tree(f"SELECT (\n{text}\n)", POSTGRES)
    except UnreadSqlError as error:
        # its line is one of the SELECT around
        said = _said_by_parser(error.__cause__).partition(". Line ")[0]
        raise UnreadSqlError(f"cannot be read as SQL: {said}") from error
    odd = any(isinstance(node, exp.Alias | exp.Star) for node in tree.walk())
    if odd or {key for key, value in tree.args.items() if value} != {"expressions"}:
        raise NotOneSelectError("is not one value; put an operator between two")
    asks = sum(isinstance(node, exp.AggFunc | exp.Window | exp.UDTF | exp.Query) for node in tree.walk())
    if asks > 1:
        raise NotOneSelectError("sees one row, and asks no others; make a view of it")


def condition_tree(text: str) -> exp.Expr | None:
    """What the parser makes of a condition of PostgreSQL, once it is checked as above; None where it is empty.

    :raises NotOneSelectError: it is more than a condition, or cannot be read.
    """
    if not _brackets_match(code_of(text)):
        raise NotOneSelectError("has brackets that do not match")
    try:
        check_condition(text, [POSTGRES])
        tree = _parse(f"SELECT 1 WHERE (\n{text}\n)", [POSTGRES])
    except UnreadSqlError as error:
        said = _said_by_parser(error.__cause__)
        raise NotOneSelectError(f"is no condition that can be read: {said}") from error
    inside: exp.Expr | None = tree.args["where"].this.this
    return None if inside is None else inside.copy()


def code_of(text: str) -> str:
    """Without comments, quoted text, and semicolons at its end: another one in it begins a second statement."""
    return _NO_CODE.sub(" ", text).strip().rstrip("; \n")


def columns_of(text: str) -> list[str] | None:
    """What a SELECT of PostgreSQL that was checked calls its columns; None where only the database knows."""
    from sqlglot import exp

    tree = _tree(text, POSTGRES)
    names = [str(name) for name in tree.named_selects] if isinstance(tree, exp.Query) else ["*"]
    return None if "*" in names or "" in names else names


def tables_of(text: str) -> set[str]:
    """What a SELECT of PostgreSQL that was checked reads of schema public, by name."""
    from sqlglot import exp

    tree = _tree(text, POSTGRES)
    own = {each.alias for each in tree.find_all(exp.CTE)}
    found = {each.name for each in tree.find_all(exp.Table) if each.db in {"", "public"}}
    return {name for name in found if name not in own}


def unqualified(text: str, schema: str, names: Sequence[str]) -> str:
    """A SELECT of PostgreSQL whose tables of these names stand there without their schema."""
    from sqlglot import tokenize

    cuts: list[tuple[int, int]] = []
    tokens = tokenize(text, read=POSTGRES)
    for first, dot, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if first.text == schema and dot.text == "." and name.text in names:
            cuts.append((first.start, name.start))
    for start, end in reversed(cuts):
        text = text[:start] + text[end:]
    return text


def _check_calls(text: str) -> None:
    # names in quotes stay: "pg_notify"('a') calls it, too
    code = _NO_CODE.sub(lambda found: found[0] if found[0][0] in '"`' else " ", text)
    for call in _CALL.finditer(code):
        _check_call(call["name"])


def _check_call(name: str, refused: str | None = None) -> None:
    if _ACTS.fullmatch(name.lower()) or (refused is not None and re.fullmatch(refused, name.lower())):
        raise NotOneSelectError(f"calls {name}, which does more than read; it must only read")


def _brackets_match(code: str) -> bool:
    depth = 0
    for letter in code:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0


def _parse(text: str, dialects: Sequence[str], refused: str | None = None) -> exp.Expr:
    """What the parser makes of it in the first of these dialects in which it understands it."""
    from sqlglot import TokenType, tokenize

    for dialect in dialects:
        try:
            tree = _tree(text, dialect)
        except UnreadSqlError:
            if dialect == dialects[-1]:
                raise
            continue
        tokens = tokenize(text, read=dialect)
        for token, following in pairwise(tokens):
            if following.token_type == TokenType.L_PAREN and token.token_type != TokenType.STRING:
                _check_call(token.text, refused)
        return tree
    raise UnreadSqlError("is for no database that is known")


@lru_cache(maxsize=64)
def _tree(text: str, dialect: str) -> exp.Expr:
    """What the parser makes of one SELECT."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        found = [each for each in _parsed(text, dialect) if each is not None and not isinstance(each, exp.Semicolon)]
    except (SqlglotError, RecursionError) as error:
        raise UnreadSqlError(
            f"is no SELECT that can be read: {_said_by_parser(error)}; write it in another way, or make a view "
            f"there and name that"
        ) from error
    if len(found) != 1:
        raise NotOneSelectError(f"holds {'more than one' if found else 'no'} statement; it must be one SELECT")
    tree = found[0]
    if not isinstance(tree, exp.Query | exp.Values):
        raise NotOneSelectError(f"is {_word(tree)}; it must be one SELECT")
    for node in tree.walk():
        if isinstance(node, exp.DML | exp.DDL | exp.Command):
            raise NotOneSelectError(f"holds {_word(node)}; it must only read")
        if isinstance(node, exp.CTE) and not isinstance(node.this, exp.Query | exp.Values):
            raise NotOneSelectError(f"holds {_word(node.this)}; it must only read")
        if isinstance(node, exp.Into):
            raise NotOneSelectError("holds INTO, which writes what it selects; it must only read")
        if isinstance(node, exp.Lock):
            raise NotOneSelectError("holds FOR UPDATE or FOR SHARE, which locks rows; it must only read")
    return tree


def _said_by_parser(error: object) -> str:
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return " ".join(str(error).split("\n")[0].split()).rstrip(".")


def _parsed(text: str, dialect: str) -> list[exp.Expr | None]:
    import logging

    from sqlglot import parse

    # it warns of what it takes for a command, which is refused with a sentence
    logger = logging.getLogger("sqlglot")
    before, logger.disabled = logger.disabled, True
    try:
        return list(parse(text, read=dialect))
    finally:
        logger.disabled = before


def _word(node: exp.Expr) -> str:
    from sqlglot import exp

    named = isinstance(node, exp.Command) and node.name
    return (named or type(node).__name__).upper()
