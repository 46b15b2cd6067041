"""Findings on receipts and lines: given these rows, expect those."""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.sql.day import line, operation, pick, receipt
from tests.variance.books import recipe_row
from tests.variance.findings_oracle import Row
from tests.variance.sale import ENDED, FIGURES, RICE, SALE, Find, names, only, sold


@pytest.mark.parametrize(
    ("paid", "rest", "expected"),
    [
        ("22.50", {}, None),
        ("22.49", {}, None),
        ("22.51", {}, None),
        ("22.489999", {}, ("22.50", "22.489999", "-0.010001")),
        ("22.510001", {}, ("22.50", "22.510001", "0.010001")),
        ("20", {}, ("22.50", "20", "-2.50")),
        ("20", {"remaining": "2.50"}, None),
        ("22.5", {"remaining": "2.50"}, ("20", "22.5", "2.5")),
        (None, {}, ("22.50", "0", "-22.50")),
        (None, {"total": 0}, None),
        ("20", {"remaining": None}, None),
        ("20", {"status": 1, "deleted_at": ENDED}, None),
        ("20", {"deleted_at": ENDED}, None),
    ],
)
def test_payments_match_total(findings: Find, paid: str | None, rest: Row, expected: tuple[str, ...] | None) -> None:
    payments = None if paid is None else [{"id": 1, "name": "Cash", "amount": Decimal(paid)}]
    rows = findings([receipt(123, **{"total": "22.50", "remaining": 0, "payment_methods": payments, **rest})])
    if expected is None:
        assert rows == []
    else:
        row = only(rows, "payments_match_total")
        bound, actual, difference = map(Decimal, expected)
        assert pick(rows, FIGURES) == [(bound, actual, difference, abs(difference))]
        assert pick(rows, "severity venue_id receipt_id receipt_product_id product_id") == [
            ("WARN", 1, 123, None, None)
        ]
        assert row["finding_id"] == hashlib.md5(b"payments_match_total of receipt 123").hexdigest()


def test_the_sentence_of_payments(findings: Find) -> None:
    several = [
        {"id": 1, "name": "Cash", "amount": Decimal("12.5")},
        {"id": 2, "name": "Card", "amount": Decimal("7.5")},
    ]
    short = receipt(123, total="22.5", remaining=0, payment_methods=several)
    over = receipt(124, total="22.5", remaining="5.125", payment_methods=several)
    unknown = receipt(
        125, total="22.5", remaining=0, payment_methods=[*several, {"id": 3, "name": "?", "amount": None}]
    )
    unpaid = receipt(126, total="22.5", remaining="22.5", payment_methods=several)
    rows = {row["receipt_id"]: row["message"] for row in findings([short, over, unknown, unpaid])}
    assert rows == {
        123: "Receipt 123 was paid 20.00 but its total is 22.50: 2.50 is missing.",
        124: "Receipt 124 was paid 20.00 but 17.375 of its total was due: 2.625 is too much.",
        126: "Receipt 126 was paid 20.00 but nothing of its total was due: 20.00 is too much.",
    }


FORMULA = {"subtotal": 20, "total_discount": 2, "service_charge_value": 3, "delivery_fee": 4, "e_tax": 5, "total": 30}


def ten_receipts(off: int, **wrong: object) -> list[Row]:
    """Receipts 1 to 10, the first of them as said."""
    return [receipt(i, **{**FORMULA, **(wrong if i <= off else {})}) for i in range(1, 11)]


@pytest.mark.parametrize("total", ["30.01", "29.99"])
def test_receipt_adds_up_within_the_tolerance(findings: Find, total: str) -> None:
    # As many as would speak against the formula, if they were off.
    assert findings(ten_receipts(3, total=total, remaining=None)) == []


def test_receipt_adds_up(findings: Find) -> None:
    rows = findings(ten_receipts(2, total="30.010001"))
    assert names(rows) == ["receipt_adds_up"] * 2
    figures = (30, Decimal("30.010001"), Decimal("0.010001"), Decimal("0.010001"))
    assert pick(rows, f"severity {FIGURES}") == [("INFO", *figures)] * 2
    assert sorted(row["receipt_id"] for row in rows) == [1, 2]
    assert {row["message"] for row in rows if row["receipt_id"] == 1} == {
        "Receipt 1 has a total of 30.010001, but its subtotal less discounts plus service charge, delivery and added "
        "tax is 30.00: 0.010001 too much."
    }


@pytest.mark.parametrize("column", ["subtotal", "total_discount", "service_charge_value", "delivery_fee", "e_tax"])
def test_an_unknown_part_is_no_finding(findings: Find, column: str) -> None:
    assert findings(ten_receipts(10, **{"total": 99, column: None})) == []


def test_more_than_a_fifth_is_said_once(findings: Find) -> None:
    """The venue's own receipts count, closed ones only."""
    elsewhere = [receipt(i, **FORMULA | {"venue_id": 2}) for i in range(11, 50)]
    deleted = [receipt(i, **FORMULA | {"deleted_at": ENDED}) for i in range(50, 90)]
    rows = findings([*ten_receipts(3, total=31), *elsewhere, *deleted])
    row = only(rows, "receipt_adds_up")
    assert pick(rows, f"severity venue_id receipt_id {FIGURES}") == [("INFO", 1, None, None, None, None, None)]
    assert row["finding_id"] == hashlib.md5(b"receipt_adds_up of venue 1 on 2026-01-19").hexdigest()
    assert row["message"] == (
        "This formula does not fit this brand: at 3 of 10 receipts of venue 1 the total is not the subtotal less "
        "discounts plus service charge, delivery and added tax."
    )
    assert names(findings([*ten_receipts(2, total=31), *elsewhere])) == ["receipt_adds_up"] * 2


def test_lines_add_up(findings: Find) -> None:
    """Without the line that was taken off, and over receipts with lines only."""
    receipts = ten_receipts(0)
    lines = [line(i, i, total=18) for i in range(1, 6)] + [line(6, 1, total=99, deleted_at=ENDED)]
    assert findings(receipts, lines) == []
    lines[0]["total"] = "17.99"
    assert findings(receipts, lines) == []
    lines[0]["total"] = "17.9"
    lines.append(line(7, 1, total="0.05"))
    rows = findings(receipts, lines)
    row = only(rows, "lines_add_up")
    assert pick(rows, f"receipt_id {FIGURES}") == [
        (1, 18, Decimal("17.95"), Decimal("-0.05"), Decimal("0.05")),
    ]
    assert row["message"] == (
        "The lines of receipt 1 add up to 17.95, but its subtotal less discounts is 18.00: 0.05 too little."
    )
    lines[1]["total"] = 0
    row = only(findings(receipts, lines), "lines_add_up")
    assert row["message"] == (
        "This formula does not fit this brand: at 2 of 5 receipts with lines of venue 1 the lines do not add up to the "
        "subtotal less discounts."
    )


def test_line_has_deduction(findings: Find) -> None:
    lines = [
        *SALE,
        line(2, 1, total="12.5", count="0.5"),
        line(3, 1, product_id=11),
        line(4, 1, count=0),
        line(5, 1, deleted_at=ENDED),
        line(6, 1, count=0, total=-1),
    ]
    rows = findings(sold(total=20, subtotal=None), lines, RICE)
    row = only(rows, "line_has_deduction")
    ids = "severity receipt_id receipt_product_id stock_operation_id product_id"
    assert pick(rows, ids) == [("WARN", 1, 2, None, 10)]
    assert pick(rows, FIGURES) == [(1, 0, -1, Decimal("12.5"))]
    assert row["message"] == (
        "Plov on receipt 1 (0.5 for 12.50) took nothing out of stock, though other sales of this product did."
    )


@pytest.mark.parametrize("total", [-5, 0])
def test_line_has_deduction_where_it_was_taken_back(findings: Find, total: int) -> None:
    rows = findings(sold(subtotal=None), [*SALE, line(2, 1, total=total, count=-1)], RICE)
    assert only(rows, "line_has_deduction")["amount_at_risk"] == -total


@pytest.mark.parametrize(
    ("recipes", "count"),
    [([], 0), ([recipe_row(1, 10, 501)], 1), ([recipe_row(2, 10, 501)], 0), ([recipe_row(1, 11, 501)], 0)],
)
def test_line_has_deduction_by_the_window(findings: Find, recipes: list[Row], count: int) -> None:
    rows = findings(sold(), SALE, recipes=recipes)
    assert names(rows) == ["line_has_deduction"] * count


@pytest.mark.parametrize(
    ("total", "rest", "count"),
    [
        ("2", {}, 0),
        ("1.99", {}, 0),
        ("1.989999", {}, 1),
        ("0", {}, 0),
        ("-1", {}, 0),
        ("1", {"is_gift": True}, 0),
        ("1", {"count": -1}, 0),
    ],
)
def test_sold_above_cost(findings: Find, total: str, rest: Row, count: int) -> None:
    rows = findings(sold(subtotal=None), [line(1, 1, total=total, **rest)], RICE)
    assert names(rows) == ["sold_above_cost"] * count
    if count:
        net_sales = Decimal(total)
        loss = 2 - net_sales
        ids = "severity receipt_id receipt_product_id product_id"
        assert pick(rows, f"{ids} {FIGURES}") == [("WARN", 1, 1, 10, net_sales, 2, loss, loss)]
        assert rows[0]["message"] == "Plov on receipt 1 was sold for 1.989999 but cost 2.00: a loss of 0.010001."


def test_a_return_may_cost_more(findings: Find) -> None:
    assert findings(sold(subtotal=None, is_returns=True), [line(1, 1, total=1)], RICE) == []


@pytest.mark.parametrize(("before_end", "count"), [(1, 0), (0, 1), (-1, 1)])
def test_closed_within_shift(findings: Find, before_end: int, count: int) -> None:
    closed_at = ENDED - timedelta(seconds=before_end)
    rows = findings(sold(closed_at=closed_at, total=-20, payment_methods=None, remaining=-20, subtotal=None))
    assert names(rows) == ["closed_within_shift"] * count
    if count:
        assert pick(rows, f"severity receipt_id {FIGURES}") == [("INFO", 1, None, None, None, 20)]
        assert rows[0]["message"] == (
            "Receipt 1 was closed on 2026-01-20 06:00, after its shift had ended on 2026-01-20 06:00."
        )


@pytest.mark.parametrize(
    ("status", "deleted_at", "count"), [(2, None, 0), (1, ENDED, 0), (1, None, 1), (0, None, 1), (3, None, 1)]
)
def test_receipt_is_closed(findings: Find, status: int, deleted_at: datetime | None, count: int) -> None:
    rows = findings(sold(status=status, deleted_at=deleted_at, total=20))
    assert names(rows) == ["receipt_is_closed"] * count
    if count:
        assert pick(rows, f"severity receipt_id {FIGURES}") == [("WARN", 1, None, None, None, 20)]
        state = "is still open with" if status == 1 else f"has status {status} and"
        assert rows[0]["message"] == f"Receipt 1, opened on 2026-01-19 12:00, {state} a total of 20.00."


@pytest.mark.parametrize(
    ("reported", "expected"),
    [(None, None), ("0", None), ("2", None), ("2.01", None), ("1.99", None), ("2.010001", "-0.010001"), ("1.5", "0.5")],
)
def test_reported_cost_matches(findings: Find, reported: str | None, expected: str | None) -> None:
    rows = findings(sold(total_cost=reported), SALE, RICE)
    if expected is None or reported is None:
        assert rows == []
    else:
        only(rows, "reported_cost_matches")
        difference = Decimal(expected)
        assert pick(rows, f"severity receipt_id {FIGURES}") == [
            ("WARN", 1, Decimal(reported), 2, difference, abs(difference))
        ]


def test_reported_cost_counts_every_operation(findings: Find) -> None:
    """Those of lines that were taken off too; and none are a cost of 0."""
    lines = [*SALE, line(2, 1, deleted_at=ENDED)]
    operations = [*RICE, operation(2, 1, 2, cost=3, total_cost=3)]
    assert findings(sold(total_cost=5), lines, operations) == []
    row = only(findings(sold(total_cost="0.5"), SALE), "reported_cost_matches")
    assert row["message"] == "Receipt 1 reports a cost of 0.50, but its deductions cost 0.00: 0.50 less."
