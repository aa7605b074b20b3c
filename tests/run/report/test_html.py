from __future__ import annotations

from html.parser import HTMLParser

import pytest

from sluiceway.run.report.html import duration, render, size, without_logs
from sluiceway.run.report.model import RejectGroup, RejectSample, TableMap, TaskReport, WithheldView
from tests.run.report.builders import STARTED, a_report, a_table

SCRIPT = "<script>alert('x')</script>"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, addresses and visible text; fails on a tag that is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_green_page_shows_verdict_commit_and_counts() -> None:
    page = Page(render(a_report(a_table(extracted=1234567, inserted=1234567))))
    assert "Green" in page.text and "1 of 1 table loaded." in page.text
    assert "9f3c2a71b4" in page.text and "1,234,567" in page.text and "8.00 s" in page.text


def test_a_red_page_names_the_failed_table_and_its_error_before_anything_else() -> None:
    lost = a_table("lost", status="failed", error="lost gave no rows")
    html = render(a_report(a_table("good"), lost, status="failed"))
    top = html[html.index("<h1>") : html.index('class="facts"')]
    assert "Red: lost" in top and "lost gave no rows" in top and "good" not in top


def test_a_page_of_no_tables_says_so() -> None:
    page = Page(render(a_report(status="superseded")))
    assert "Superseded" in page.text and "This run touched no table." in page.text
    assert "table" not in page.tags


def test_a_page_fetches_nothing_and_runs_nothing() -> None:
    drawing = TableMap(style="dots", width=10, height=10, dot=2, path="M1 1h0", sampled=False)
    html = render(a_report(a_table(map=drawing)))
    page = Page(html)
    assert page.addresses == []
    assert "script" not in page.tags and "@import" not in html and "url(" not in html


def test_markup_in_any_text_is_shown_and_never_obeyed() -> None:
    group = RejectGroup(
        reason=SCRIPT, column_name=SCRIPT, count=1,
        samples=(RejectSample(row_number=1, values=((SCRIPT, SCRIPT),)),),
    )  # fmt: skip
    table = a_table(
        SCRIPT, description=SCRIPT, status="failed", error=SCRIPT, error_type=SCRIPT, rejected=1, rejects=(group,),
        map=TableMap(style="areas", width=9, height=9, dot=1, path=f'"/>{SCRIPT}', sampled=False),
    )  # fmt: skip
    texts = {"run_id": SCRIPT, "dag_id": SCRIPT, "commit_sha": SCRIPT, "deployed_sha": SCRIPT, "trigger_kind": SCRIPT}
    task = TaskReport(name=SCRIPT, state="failed", error_type=SCRIPT, error=SCRIPT, log_url=f"https://x/{SCRIPT}")
    view = WithheldView(name=SCRIPT, reason=SCRIPT)
    told = {"note": SCRIPT, "remark": SCRIPT, "tasks": (task,), "withheld": (view,)}
    html = render(a_report(table, status="failed", **told, **texts))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 17


def test_every_failed_table_and_task_leads_to_its_log() -> None:
    lost = a_table("lost", status="failed", error="no rows", log_url="https://airflow/lost?try_number=2")
    task = TaskReport(
        name="final.aggregate", state="failed", error_type="UndefinedColumn", error="column x\ndoes not exist",
        log_url="https://airflow/aggregate",
    )  # fmt: skip
    page = Page(render(a_report(lost, status="failed", tasks=(task,), note="Both failed.")))
    assert {"https://airflow/lost?try_number=2", "https://airflow/aggregate"} == set(page.addresses)
    assert "Red: lost, final.aggregate" in page.text and "column x\ndoes not exist" in page.text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//x", "https://a b", "ftp://x"])
def test_what_is_no_web_address_is_no_link(address: str) -> None:
    table = a_table(status="failed", error="no", log_url=address)
    task = TaskReport(name="plan", state="failed", error_type=None, error="no", log_url=address)
    assert Page(render(a_report(table, status="failed", note="no", tasks=(task,)))).addresses == []


def test_a_view_that_was_kept_back_is_shown_with_the_reason() -> None:
    view = WithheldView(name="county_area", reason="county failed in shop/r1")
    text = Page(render(a_report(a_table(), withheld=(view,)))).text
    assert "county_area" in text and "county failed in shop/r1" in text and "Green" in text


def test_a_run_whose_every_view_was_kept_back_is_not_said_to_have_published_any() -> None:
    view = WithheldView(name="county_area", reason="county failed in shop/r1")
    text = Page(render(a_report(a_table(), published_at=STARTED, withheld=(view,)))).text
    assert "nothing: every view was kept back" in text


def test_a_remark_stands_beside_the_sentence() -> None:
    html = render(a_report(a_table(), remark="Changed after its verdict: plan success -> failed."))
    assert '<p class="remark">Changed after its verdict: plan success -&gt; failed.</p>' in html


def test_a_table_tells_how_often_it_was_tried_if_more_than_once() -> None:
    assert "3 tries" in render(a_report(a_table(tries=3)))
    assert "tries" not in Page(render(a_report(a_table()))).text


def test_a_list_has_no_room_for_the_addresses_of_logs() -> None:
    assert without_logs("plan failed: no (log: https://x/y?try_number=1). More.") == "plan failed: no. More."


def test_rejects_show_reason_count_and_the_first_rows() -> None:
    group = RejectGroup(
        reason="'12x' is no integer", column_name="elevation", count=40,
        samples=(RejectSample(row_number=17, values=(("icao", "00AA"), ("elevation", "12x"))),),
    )  # fmt: skip
    text = Page(render(a_report(a_table(rejected=42, rejects=(group,))))).text
    assert "40 ×" in text and "'12x' is no integer" in text and "row 17" in text and "00AA" in text
    assert "and 2 more with other reasons" in text


def test_a_failed_tables_map_says_that_it_shows_an_earlier_run() -> None:
    drawing = TableMap(style="areas", width=10, height=10, dot=2, path="M1 1l2 2z", sampled=False)
    assert "as an earlier run left it" in render(a_report(a_table(status="failed", map=drawing), status="failed"))
    assert "as an earlier run left it" not in render(a_report(a_table(map=drawing)))


def test_another_deployed_commit_is_pointed_out() -> None:
    assert "another commit" in render(a_report(a_table(), deployed_sha="0badc0de"))
    assert "another commit" not in render(a_report(a_table()))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.094, "0.09 s"),
        (9.999, "10.0 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations_read_like_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1536, "1.5 KiB"), (236 << 20, "236 MiB"), (3 << 29, "1.50 GiB")],
)
def test_sizes_have_the_units_of_a_tables_file(number: int | None, text: str) -> None:
    assert size(number) == text


def test_what_a_load_leaves_to_a_person_stands_with_its_table() -> None:
    page = render(a_report(a_table("city", note="no row was taken away: the key of 1 reject cannot be read")))
    assert "no row was taken away: the key of 1 reject cannot be read" in page
