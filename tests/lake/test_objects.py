"""What an object store brings with it: requests that cost, writes that die, readers at the same time, refusals."""

import logging
import re
import socket
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clopos_assets.compute import Rules, compute, open_partition, registered
from clopos_assets.database import connect
from clopos_assets.ingest.day import Day
from clopos_assets.ingest.stored import Stored
from clopos_assets.lake import Lake, LakeError
from clopos_assets.tables import LINE_COGS, RAW, RECIPE_OBSERVED, STOCK_OPERATIONS, ContractError
from tests.lake.places import Place
from tests.lake.relay import refusing_server, relay
from tests.lake.s3 import SECRET, fill
from tests.lake.sample import DAY, OTHER_DAY, operations, stored_ids

PROJECT = Path(__file__).parents[2]
FILE = f"stock_operations/shift_date={DAY}/part-0.parquet"


@pytest.fixture
def place(bucket: str, endpoint: str, tmp_path: Path) -> Place:
    """A prefix of a bucket."""
    return Place(f"s3://{bucket}/lake", str(tmp_path / "locks"), endpoint)


@pytest.fixture
def asked(caplog: pytest.LogCaptureFixture) -> Callable[[], Counter[str]]:
    """Requests at the server since the last question, by method."""
    caplog.set_level(logging.INFO, "werkzeug")

    def count() -> Counter[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
        caplog.clear()
        return Counter(found[1] for found in (re.search(r"([A-Z]+) /bucket", line) for line in lines) if found)

    return count


def test_each_question_is_one_request(place: Place, lake: Lake, asked: Callable[[], Counter[str]]) -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 21)]
    for day in days:
        lake.replace(STOCK_OPERATIONS, day, operations(1), {"note": "x"})
    assert asked() == {"PUT": 20}
    questions: list[tuple[Callable[[], object], dict[str, int]]] = [
        (lambda: lake.read(STOCK_OPERATIONS, DAY), {"GET": 1}),
        (lambda: lake.read(STOCK_OPERATIONS, "2020-01-01"), {"GET": 1}),
        (lambda: lake.partition(STOCK_OPERATIONS, DAY), {"GET": 1}),
        (lambda: lake.notes(STOCK_OPERATIONS, DAY), {"GET": 1}),
        (lambda: lake.source(STOCK_OPERATIONS, DAY), {"GET": 1}),
        (lambda: lake.has(STOCK_OPERATIONS, DAY), {"HEAD": 1}),
        (lambda: lake.has(STOCK_OPERATIONS, "2020-01-01"), {"HEAD": 1}),
        (lambda: lake.has_each([STOCK_OPERATIONS], days), {"GET": 1}),
        (lambda: lake.stamps(STOCK_OPERATIONS), {"GET": 1}),
        (lambda: lake.dates(STOCK_OPERATIONS), {"GET": 1}),
        (lambda: lake.marks(), {"GET": 1}),
        (lambda: lake.mark(DAY, "run"), {"PUT": 1}),
        (lambda: lake.marks(), {"GET": 1}),
        (lambda: lake.waiting(DAY), {"GET": 1}),
        (lambda: lake.stop_waiting(DAY, []), {}),
        (lambda: lake.stop_waiting(DAY, [(1, 1)]), {"GET": 1}),
        (lambda: lake.unstage("operations", DAY), {"GET": 1}),
        (lambda: lake.find(STOCK_OPERATIONS, "id", [1]), {"GET": 21}),
    ]
    for question, cost in questions:
        question()
        assert asked() == cost
    for name in range(30):
        lake.stage("operations", DAY, str(name), b"x")
    asked()
    lake.unstage("operations", DAY)
    assert asked() == {"GET": 1, "POST": 1}, "which lists them, and removes them together"


def test_what_a_shift_date_holds_is_one_request_a_table(
    place: Place, lake: Lake, asked: Callable[[], Counter[str]]
) -> None:
    for table in RAW:
        lake.replace(table, DAY, table.schema.empty_table(), {})
    asked()
    assert Stored.load(lake, DAY).exists
    assert asked() == {"GET": 2}, "receipts and their lines"
    assert Day.load(lake, DAY).stored is not None
    assert asked() == {"GET": 3}, "and stock operations"


def test_ids_are_sought_where_they_can_be(place: Place, lake: Lake, asked: Callable[[], Counter[str]]) -> None:
    """The first search reads all partitions; later ones a listing, what has changed, and where an id may stand."""
    days = [f"2026-01-{day:02}" for day in range(1, 21)]
    for number, day in enumerate(days):
        lake.replace(STOCK_OPERATIONS, day, operations(3, first_id=10 * number), {})
    asked()

    def find(*ids: int) -> tuple[dict[str, set[int]], int]:
        found = lake.find(STOCK_OPERATIONS, "id", ids)
        return found, asked()["GET"]

    assert find(11) == ({days[1]: {11}}, 21)
    assert find(11) == ({days[1]: {11}}, 2)
    assert find(11, 192, 500) == ({days[1]: {11}, days[19]: {192}}, 3)
    assert find(5, 15, 500) == ({}, 1)
    assert lake.find(STOCK_OPERATIONS, "receipt_id", [100]) == {day: {100} for day in days}
    # Another process moves one, makes one more and takes one away.
    other = place.open()
    other.replace(
        STOCK_OPERATIONS, days[5], pa.concat_tables([operations(3, first_id=50), operations(1, first_id=11)]), {}
    )
    other.replace(STOCK_OPERATIONS, days[1], STOCK_OPERATIONS.schema.empty_table(), {})
    other.replace(STOCK_OPERATIONS, "2026-01-21", operations(1, first_id=300), {})
    asked()
    assert find(11, 300) == ({days[5]: {11}, "2026-01-21": {300}}, 4)
    assert find(11, 300) == ({days[5]: {11}, "2026-01-21": {300}}, 3)
    # What can't be read is not taken for empty.
    whole = place.get(f"stock_operations/shift_date={days[5]}/part-0.parquet")
    place.put(f"stock_operations/shift_date={days[5]}/part-0.parquet", b"torn")
    assert lake.find(STOCK_OPERATIONS, "id", [11]) == {}
    place.put(f"stock_operations/shift_date={days[5]}/part-0.parquet", whole)
    assert lake.find(STOCK_OPERATIONS, "id", [11]) == {days[5]: {11}}


def test_a_query_sees_the_declared_columns_of_what_an_older_version_wrote(place: Place, lake: Lake) -> None:
    body = pa.BufferOutputStream()
    pq.write_table(operations(2).drop_columns(["storage_name"]), body)
    place.put(FILE, body.getvalue().to_pybytes())
    source = open_partition(lake, STOCK_OPERATIONS, DAY)
    with connect() as connection, registered(connection, {"operations": source}):
        found = connection.execute("select id, storage_name from operations order by id").fetchall()
    assert found == [(1, None), (2, None)]
    assert lake.take_older()


@pytest.mark.parametrize("column", ["receipt_product_id", "total_cost"])
def test_a_flipped_bit_is_seen_in_what_duckdb_reads(place: Place, lake: Lake, column: str) -> None:
    for table in RAW:
        lake.replace(table, DAY, operations(300) if table is STOCK_OPERATIONS else table.schema.empty_table(), {})
    body = bytearray(place.get(FILE))
    group = pq.ParquetFile(pa.BufferReader(bytes(body))).metadata.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    (chunk,) = [chunk for chunk in chunks if chunk.path_in_schema == column]
    body[(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1] ^= 1
    place.put(FILE, bytes(body))
    with connect() as connection, pytest.raises(LakeError, match=r"can't be read \("):
        compute(lake, connection, LINE_COGS, DAY, Rules())


def test_a_damaged_date_before_is_no_date_that_is_not_made(place: Place, lake: Lake) -> None:
    for table in (*RAW, LINE_COGS):
        lake.replace(table, OTHER_DAY, table.schema.empty_table(), {})
    place.put(f"recipe_observed/shift_date={DAY}/part-0.parquet", b"torn")
    with connect() as connection, pytest.raises(LakeError, match=rf"can't be read \(.*make {DAY} again"):
        compute(lake, connection, RECIPE_OBSERVED, OTHER_DAY, Rules())


def test_more_names_than_a_page_has(place: Place, lake: Lake, bucket: str) -> None:
    names = {f"{number:04}" for number in range(1100)}
    fill(bucket, (f"lake/_kept/{name}" for name in names))
    assert set(lake.kept_in("_kept")) == names
    lake.discard_folder("_kept")
    assert place.names() == set()


def test_a_bucket_may_be_the_lake(bucket: str, endpoint: str) -> None:
    place = Place(f"s3://{bucket}", "", endpoint)
    lake = place.open()
    lake.replace(STOCK_OPERATIONS, DAY, operations(2), {})
    lake.mark(DAY, "run")
    assert place.names() == {FILE, f"_changed/{DAY}.run"}
    assert (stored_ids(lake), lake.dates(STOCK_OPERATIONS), lake.marks()) == ([1, 2], [DAY], {DAY: {"run"}})
    assert lake.uri(STOCK_OPERATIONS, DAY) == f"s3://{bucket}/{FILE}"


def test_an_object_store_has_no_files(lake: Lake) -> None:
    with pytest.raises(LakeError, match="it has no files of this machine"):
        lake.path(STOCK_OPERATIONS, DAY)
    with pytest.raises(LakeError, match="it has no files of this machine"):
        _ = lake.root


def test_what_cannot_be_written_is_not_begun(lake: Lake, place: Place, asked: Callable[[], Counter[str]]) -> None:
    lake.replace(STOCK_OPERATIONS, DAY, operations(2), {})
    asked()
    with pytest.raises(ContractError):
        lake.replace(STOCK_OPERATIONS, DAY, operations(1).drop_columns(["extra"]), {})
    assert asked() == {}
    assert stored_ids(lake) == [1, 2]


WRITER = """
import sys
from clopos_assets.lake import Lake
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.sample import DAY, operations

Lake(sys.argv[1]).replace(STOCK_OPERATIONS, DAY, operations(20_000, first_id=100), {})
"""


def test_a_writer_that_is_killed_leaves_the_old(
    place: Place, lake: Lake, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of its upload, of which the server has had a part."""
    lake.replace(STOCK_OPERATIONS, DAY, operations(3), {"run": "first"})
    with relay(endpoint, most=100_000) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        with subprocess.Popen([sys.executable, "-c", WRITER, place.root], cwd=PROJECT) as process:
            assert between.is_stuck.wait(60)
            process.kill()
    assert place.names() == {FILE}
    assert stored_ids(lake) == [1, 2, 3]
    assert lake.notes(STOCK_OPERATIONS, DAY) == {"run": "first"}


ADDER = """
import sys
from clopos_assets.tables import STOCK_OPERATIONS
from tests.lake.places import Place
from tests.lake.sample import DAY, operations

lake = Place(sys.argv[1], sys.argv[2]).open()
for _ in range(10):
    with lake.locked([DAY], seconds=60):
        stored = lake.read(STOCK_OPERATIONS, DAY)
        lake.replace(STOCK_OPERATIONS, DAY, operations(stored.num_rows + 1), {})
"""


@pytest.mark.parametrize("locks", ["files", "postgres"])
def test_processes_on_one_partition_go_one_after_the_other(
    place: Place, locks: str, request: pytest.FixtureRequest
) -> None:
    """Each reads and writes on; whoever read before another wrote would undo it."""
    if locks == "postgres":
        place = Place(place.root, request.getfixturevalue("postgres"), place.endpoint)
    lake = place.open()
    lake.replace(STOCK_OPERATIONS, DAY, operations(1), {})
    command = [sys.executable, "-c", ADDER, place.root, place.locks]
    processes = [subprocess.Popen(command, cwd=PROJECT) for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert stored_ids(lake) == list(range(1, 22))


def errors_of(lake: Lake) -> list[LakeError]:
    """What every kind of access says."""
    errors = []
    accesses: list[Callable[[], object]] = [
        lambda: lake.read(STOCK_OPERATIONS, DAY),
        lambda: lake.notes(STOCK_OPERATIONS, DAY),
        lambda: lake.source(STOCK_OPERATIONS, DAY),
        lambda: lake.stamps(STOCK_OPERATIONS),
        lambda: lake.has(STOCK_OPERATIONS, DAY),
        lambda: lake.has_each([STOCK_OPERATIONS], [DAY, OTHER_DAY]),
        lambda: lake.replace(STOCK_OPERATIONS, DAY, operations(1), {}),
        lambda: lake.mark(DAY, "run"),
        lambda: lake.marks(),
        lambda: lake.unmark(DAY, "run"),
        lambda: lake.staged("operations", DAY, newer_than=0.0),
        lambda: lake.unstage("operations", DAY),
        lambda: lake.kept("_kept/x"),
    ]
    for access in accesses:
        with pytest.raises(LakeError) as caught:
            access()
        errors.append(caught.value)
    return errors


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access denied"),
        (403, "InvalidAccessKeyId", "access denied"),
        (403, "SignatureDoesNotMatch", "access denied"),
        (400, "ExpiredToken", "the credentials have expired"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (400, "SomethingElse", "SomethingElse"),
        (500, "InternalError", "the object store is overloaded or fails"),
        (503, "SlowDown", "the object store is overloaded or fails"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_a_refusal_is_one_line_without_secrets(
    status: int, code: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with refusing_server(status, code, f"the key {SECRET} is not known") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for error in errors_of(Lake("s3://bucket/lake")):
            told = str(error)
            # An answer to HEAD has no body, and so no more than its status.
            assert re.fullmatch(
                rf"the lake s3://bucket/lake can't be (read|written) \(({said}|access denied|{status})\): .*, "
                "and run again",
                told,
            )
            assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.usefixtures("bucket")
def test_a_store_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for error in errors_of(Lake("s3://bucket/lake")):
        assert "(the object store does not answer): see whether AWS_ENDPOINT_URL" in str(error)


MALFORMED = "(AWS_ENDPOINT_URL, AWS_DEFAULT_REGION or another AWS_* variable is malformed): set it right"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_ENDPOINT_URL", "no address", MALFORMED),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:99999", MALFORMED),
        ("AWS_DEFAULT_REGION", "no such", MALFORMED),
        ("AWS_MAX_ATTEMPTS", "many", MALFORMED),
        ("AWS_ACCESS_KEY_ID", "", "(no credentials): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("AWS_PROFILE", "nobody's", "(AWS_PROFILE names no profile): set it right"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_an_environment_that_leads_nowhere(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    if name == "AWS_ACCESS_KEY_ID":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for error in errors_of(Lake("s3://bucket/lake")):
        assert said in str(error)


@pytest.mark.usefixtures("bucket")
def test_no_such_bucket() -> None:
    lake = Lake("s3://nobody-has-made-this/lake")
    accesses: list[Callable[[], object]] = [
        lambda: lake.stamps(STOCK_OPERATIONS),
        lambda: lake.read(STOCK_OPERATIONS, DAY),
        lambda: lake.replace(STOCK_OPERATIONS, DAY, operations(1), {}),
    ]
    for access in accesses:
        with pytest.raises(LakeError, match=r"\(there is no such bucket\): create it"):
            access()


def test_without_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(LakeError) as caught:
        Lake("s3://bucket/lake").dates(STOCK_OPERATIONS)
    assert str(caught.value) == (
        "the lake s3://bucket/lake needs the package s3fs: install clopos-assets[s3], or set CLOPOS_LAKE to a folder"
    )
