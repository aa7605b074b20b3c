"""Views are built and shown while others read them: nobody waits, nobody sees half a state, nothing else goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway.errors import (
    ConfigError,
    ViewInUseError,
    ViewKeyError,
    ViewWritesError,
    WarehouseError,
    WarehouseUnavailableError,
)
from sluiceway.ledger.warehouse import connect
from sluiceway.run import building
from sluiceway.run.views import View

Query = Callable[..., list[tuple[object, ...]]]
Reader = psycopg.Connection[tuple[object, ...]]

ALL = "SELECT id, n FROM city"
WAIT_MS = 200


def view(name: str, select: str, *tables: str, key: tuple[str, ...] = ()) -> View:
    return View(name=name, description="A view", tables=tables or ("city",), select=select, key=key)


KEYED = (
    view("by_id", ALL, key=("id",)),
    view("total", "SELECT 1 AS one, sum(n) AS n FROM by_id", "by_id", key=("one",)),
)
BARE = (view("by_id", ALL), view("total", "SELECT sum(n) AS n FROM public.by_id", "by_id"))


@pytest.fixture(autouse=True)
def city(query: Query) -> None:
    """What the views read: n is the state's number in each row."""
    query("CREATE TABLE city (id integer, n bigint)")
    query("INSERT INTO city SELECT i, 1 FROM generate_series(1, 100) AS i")


@pytest.fixture
def publish(warehouse_url: str) -> Callable[..., None]:
    def run(*views: View) -> None:
        with connect(warehouse_url) as session:
            building.publish(session, views)

    return run


@pytest.fixture
def reader(postgres: Cluster, database: str) -> Iterator[Reader]:
    """Somebody who reads, and waits for no lock for long."""
    with psycopg.connect(postgres.url("sluiceway_reader", database)) as connection:
        connection.execute(f"SET lock_timeout = {WAIT_MS}")
        connection.commit()
        yield connection


@pytest.fixture
def owner(owner_url: str) -> Iterator[Reader]:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


# who reads


@pytest.mark.parametrize("views", [KEYED, BARE], ids=["keyed", "bare"])
def test_who_reads_waits_for_no_view_that_is_built_and_sees_the_old_state(
    publish: Callable[..., None], warehouse_url: str, query: Query, reader: Reader, views: tuple[View, ...]
) -> None:
    publish(*views)
    query("UPDATE city SET n = 2")
    with connect(warehouse_url) as session:
        built = building.build(session, views)
        assert reader.execute("SELECT sum(b.n), min(t.n) FROM by_id b, total t").fetchall() == [(100, 100)]
        reader.commit()
        building.show(session, built)
    assert reader.execute("SELECT sum(b.n), min(t.n) FROM by_id b, total t").fetchall() == [(200, 200)]


def test_a_transaction_that_reads_views_with_keys_sees_those_of_one_run_alone(
    publish: Callable[..., None], query: Query, reader: Reader
) -> None:
    publish(*KEYED)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert reader.execute("SELECT sum(n) FROM by_id").fetchall() == [(100,)]
    query("UPDATE city SET n = 2")
    publish(*KEYED)
    assert reader.execute("SELECT n FROM total").fetchall() == [(100,)]
    reader.commit()
    assert reader.execute("SELECT n FROM total").fetchall() == [(200,)]


def test_a_view_without_a_key_is_one_whole_state_also_to_a_transaction_that_began_before(
    publish: Callable[..., None], query: Query, reader: Reader
) -> None:
    publish(*BARE)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT 1")
    query("UPDATE city SET n = 2")
    publish(*BARE)
    assert reader.execute("SELECT count(*), sum(n) FROM by_id").fetchall() == [(100, 200)]


def test_a_view_that_is_read_for_long_keeps_only_its_own_successor_waiting_and_the_error_names_who_reads(
    publish: Callable[..., None],
    query: Query,
    reader: Reader,
    postgres: Cluster,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "PATIENCE_S", 1.0)
    publish(*BARE)
    reader.execute("SELECT 1 FROM by_id LIMIT 1")
    query("UPDATE city SET n = 2")
    with (
        reading(postgres.url("sluiceway_reader", database), "SELECT sum(n) FROM by_id") as seen,
        pytest.raises(WarehouseUnavailableError, match=r"view by_id is held by session \d+ of sluiceway_reader[ ,(]"),
    ):
        publish(*BARE)
    assert {value for value, _ in seen} == {100}
    reader.commit()
    publish(*BARE)
    assert reader.execute("SELECT sum(n) FROM by_id").fetchall() == [(200,)]


@contextmanager
def reading(url: str, *statements: str, readers: int = 1) -> Iterator[list[tuple[object, float]]]:
    """Others who read in a loop meanwhile; raises what they got wrong. Gives each value with how long it took."""
    seen: list[tuple[object, float]] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not stop.is_set():
                for statement in statements:
                    began = time.monotonic()
                    (found,) = connection.execute(statement).fetchall()
                    seen.append((found[0] if len(found) == 1 else found, time.monotonic() - began))

    with ThreadPoolExecutor(readers) as threads:
        reads = [threads.submit(read) for _ in range(readers)]
        try:
            yield seen
        finally:
            stop.set()
    for each in reads:
        each.result()


@pytest.mark.parametrize("views", [KEYED, BARE], ids=["keyed", "bare"])
def test_many_who_read_while_runs_publish_see_whole_states_and_no_error(
    publish: Callable[..., None], query: Query, postgres: Cluster, database: str, views: tuple[View, ...]
) -> None:
    publish(*views)
    asked = ("SELECT count(*), min(n), max(n) FROM by_id", "SELECT 100, n / 100, n / 100 FROM total")
    with reading(postgres.url("sluiceway_reader", database), *asked, readers=5) as seen:
        for state in range(2, 10):
            query("UPDATE city SET n = %s", state)
            publish(*views)
    assert {value for value, _ in seen} <= {(100, state, state) for state in range(1, 10)}
    assert len({value for value, _ in seen}) > 2


@pytest.mark.parametrize("order", [("by_id", "total"), ("total", "by_id")], ids=["as-built", "the-other-way"])
def test_who_reads_several_views_in_one_transaction_does_not_keep_the_new_ones_out_for_ever(
    publish: Callable[..., None], query: Query, postgres: Cluster, database: str, order: tuple[str, str]
) -> None:
    publish(*BARE)
    query("UPDATE city SET n = 2")
    both = f"BEGIN; SELECT sum(n) FROM {order[0]}; SELECT pg_sleep(0.02); SELECT sum(n) FROM {order[1]}; COMMIT"
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(both)

    with ThreadPoolExecutor(3) as threads:
        reads = [threads.submit(read) for _ in range(3)]
        try:
            publish(*BARE)
        finally:
            stop.set()
    for each in reads:
        each.result()
    assert query("SELECT n FROM total") == [(200,)]


# what stays


def test_a_view_with_a_key_is_refreshed_in_place_and_follows_its_file_when_the_key_changes(
    publish: Callable[..., None], query: Query
) -> None:
    publish(*KEYED)
    before = query("SELECT 'by_id'::regclass::oid")
    query("DELETE FROM city WHERE id > 10")
    publish(*KEYED)
    assert query("SELECT count(*) FROM by_id") == [(10,)]
    assert query("SELECT 'by_id'::regclass::oid") == before
    publish(view("by_id", ALL, key=("n", "id")), KEYED[1])
    assert query("SELECT indexdef FROM pg_indexes WHERE tablename = 'by_id'") == [
        ("CREATE UNIQUE INDEX by_id_view_key ON public.by_id USING btree (n, id)",)
    ]
    publish(view("by_id", ALL), KEYED[1])
    assert query("SELECT count(*) FROM pg_indexes WHERE tablename = 'by_id'") == [(0,)]


@pytest.mark.parametrize("select", [ALL, "SELECT id, n, 2 AS more FROM city"], ids=["refreshed", "edited"])
def test_indexes_grants_and_comments_made_by_hand_stay(
    publish: Callable[..., None], query: Query, owner: Reader, select: str
) -> None:
    publish(view("big", ALL))
    query("CREATE INDEX by_hand ON big (n DESC) WHERE id > 5")
    query("CREATE UNIQUE INDEX once ON big (id)")
    query("GRANT SELECT ON big TO sluiceway_jobs WITH GRANT OPTION")
    query("REVOKE SELECT ON big FROM sluiceway_reader")
    query("COMMENT ON COLUMN big.n IS 'how many'")
    asked = (
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'big' ORDER BY 1",
        "SELECT relacl::text FROM pg_class WHERE relname = 'big'",
        "SELECT col_description('big'::regclass, 2)",
    )
    before = [query(each) for each in asked]
    publish(view("big", select))
    assert [query(each) for each in asked] == before
    assert query("SELECT count(*) FROM pg_class WHERE relnamespace = 'etl_staging'::regnamespace") == [(0,)]


def test_a_view_whose_index_has_lost_its_column_stays_as_it_is_and_the_error_names_the_index(
    publish: Callable[..., None], query: Query
) -> None:
    publish(view("big", ALL))
    query("CREATE INDEX by_hand ON big (n)")
    with pytest.raises(
        ViewInUseError, match=r'big was edited, and its index by_hand cannot .* "n" does not exist\. Drop'
    ):
        publish(view("big", "SELECT id FROM city"))
    assert query("SELECT sum(n) FROM big") == [(100,)]


def test_what_others_made_upon_a_view_stays_while_it_is_refreshed_and_is_named_when_it_is_edited(
    publish: Callable[..., None], query: Query, owner: Reader
) -> None:
    publish(view("big", ALL))
    query("GRANT SELECT ON big TO sluiceway_owner")
    owner.execute("CREATE VIEW theirs AS SELECT sum(n) AS n FROM big")
    owner.execute("CREATE VIEW more AS SELECT n FROM theirs")
    query("UPDATE city SET n = 2")
    publish(view("big", ALL))
    assert owner.execute("SELECT n FROM more").fetchall() == [(200,)]
    with pytest.raises(
        ViewInUseError, match=r"big was edited, and public\.more and public\.theirs reads it, which this"
    ):
        publish(view("big", ALL + " WHERE id > 50"))
    publish(view("big", ALL, key=("id",)))
    query("UPDATE city SET n = 3")
    publish(view("big", ALL, key=("id",)))
    assert owner.execute("SELECT n FROM more").fetchall() == [(300,)]


def test_a_new_description_makes_nothing_anew(publish: Callable[..., None], query: Query, owner: Reader) -> None:
    publish(*KEYED)
    before = query("SELECT 'by_id'::regclass::oid")
    publish(KEYED[0].model_copy(update={"description": "Other words"}), KEYED[1])
    assert query("SELECT 'by_id'::regclass::oid") == before
    assert str(query("SELECT obj_description('by_id'::regclass)")[0][0]).startswith("Other words [")


# what is refused


def test_a_key_that_is_there_twice_is_named_and_the_old_state_stays(publish: Callable[..., None], query: Query) -> None:
    publish(*KEYED)
    query("UPDATE city SET n = 2")
    query("INSERT INTO city VALUES (1, 2)")
    with pytest.raises(
        ViewKeyError, match=r"by_id holds a key twice: .*\(1.*\) Its line|by_id holds a key twice: Key \(id\)"
    ):
        publish(*KEYED)
    assert query("SELECT sum(n) FROM by_id") == [(100,)]
    with pytest.raises(
        ViewKeyError, match=r"other holds a key twice: Key \(id\)=\(1\) is duplicated\. Its line `-- key: id`"
    ):
        publish(view("other", ALL, key=("id",)))


@pytest.mark.parametrize("key", ["idd", "nothing"])
def test_a_key_that_is_no_column_is_named_with_the_nearest(publish: Callable[..., None], key: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"sql/big\.sql: key: the SELECT gives no column '{key}'; (did you|known: id, n)"
    ):
        publish(view("big", "SELECT * FROM city", key=(key,)))


@pytest.mark.parametrize("made", ["TABLE big (id integer)", "VIEW big AS SELECT 1 AS id"])
def test_a_view_that_has_the_name_of_something_else_is_refused(
    publish: Callable[..., None], query: Query, made: str
) -> None:
    query(f"CREATE {made}")
    with pytest.raises(
        ConfigError, match=r"sql/big\.sql: public\.big is a (table|view that no file .*) in the warehouse, and"
    ):
        publish(view("big", ALL))


@pytest.mark.parametrize(
    ("select", "function"),
    [
        ("SELECT id FROM city WHERE sly(id) > 0", "sly"),
        ("SELECT id ### 1 AS x FROM city", "slyer"),
        ("SELECT n FROM through", "sly"),
        ('SELECT pg_catalog."pg_sleep"(3)::text AS x', "pg_sleep"),
        ("SELECT id FROM city ORDER BY nextval('own')", "nextval"),
        ("SELECT set_config('a.b', 'c', false) AS x", "set_config"),
        ("SELECT lo_import('/etc/hostname') AS x", "lo_import"),
        ("SELECT pg_notify('a', 'b')::text AS x", "pg_notify"),
    ],
)
def test_a_function_that_may_write_is_refused_before_it_is_called_wherever_it_hides(
    publish: Callable[..., None], query: Query, owner: Reader, select: str, function: str
) -> None:
    query("CREATE SEQUENCE own")
    query("GRANT ALL ON city TO sluiceway_owner")
    for name, arguments in (("sly", "integer"), ("slyer", "integer, integer")):
        owner.execute(
            f"CREATE FUNCTION {name}({arguments}) RETURNS integer SECURITY DEFINER LANGUAGE plpgsql AS "
            "$$ BEGIN DELETE FROM city; RETURN 1; END $$"
        )
    owner.execute("CREATE OPERATOR ### (FUNCTION = slyer, LEFTARG = integer, RIGHTARG = integer)")
    owner.execute("CREATE VIEW through AS SELECT sly(1) AS n")
    with pytest.raises(
        ViewWritesError, match=rf"The view big calls {function}\(.*\), which PostgreSQL holds for volatile"
    ):
        publish(view("big", select))
    assert query("SELECT count(*), to_regclass('big') FROM city") == [(100, None)]


def test_a_function_that_turned_volatile_is_seen_at_the_next_publishing(
    publish: Callable[..., None], query: Query, owner: Reader
) -> None:
    owner.execute("CREATE FUNCTION plain(integer) RETURNS integer STABLE LANGUAGE sql AS 'SELECT $1'")
    calls = view("big", "SELECT plain(id) AS id, random() AS r FROM city", key=("id",))
    publish(calls)
    owner.execute("ALTER FUNCTION plain VOLATILE")
    with pytest.raises(ViewWritesError, match=r"say so: ALTER FUNCTION plain\(integer\) STABLE"):
        publish(calls)


def test_what_readers_may_not_see_no_view_shows(publish: Callable[..., None], query: Query) -> None:
    publish(view("runs", "SELECT run_id FROM etl.run"))
    with pytest.raises(
        ViewWritesError, match=r"The view tokens reads etl\.face_token, which sluiceway_reader may not read"
    ):
        publish(view("tokens", "SELECT * FROM etl.face_token"))


def test_a_second_statement_that_no_parser_saw_is_refused_by_the_server(
    publish: Callable[..., None], query: Query
) -> None:
    with pytest.raises(WarehouseError, match="refused the view big: cannot insert multiple commands"):
        publish(
            view("big", "SELECT 1 AS x WITH NO DATA; DELETE FROM city; CREATE MATERIALIZED VIEW more AS SELECT 1 AS y")
        )
    assert query("SELECT count(*) FROM city") == [(100,)]


def test_what_the_server_refuses_is_told_with_the_name_of_the_view(publish: Callable[..., None]) -> None:
    with pytest.raises(
        WarehouseError, match=r'refused the view big: relation "citty" does not exist; correct sql/big\.sql'
    ):
        publish(view("big", "SELECT id FROM citty"))
