"""Findings on operations and the ledger: given these rows, expect those."""

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import product

import pytest

from tests.sql.day import line, operation, pick, receipt
from tests.variance.findings_oracle import Row
from tests.variance.sale import ENDED, FIGURES, RICE, SALE, Find, names, only, sold, step, usage


@pytest.mark.parametrize(
    ("after", "expected"),
    [("9", None), ("9.000001", None), ("8.999999", None), ("9.000002", "0.000002"), ("8.5", "-0.5")],
)
def test_quantity_adds_up(findings: Find, after: str, expected: str | None) -> None:
    rows = findings(sold(), SALE, [operation(1, 1, 1, cost=2, total_cost=2, after_quantity=after)])
    if expected is None:
        assert rows == []
    else:
        only(rows, "quantity_adds_up")
        difference = Decimal(expected)
        assert pick(rows, f"severity {FIGURES}") == [("ERROR", 9, Decimal(after), difference, abs(difference) * 2)]
        ids = "receipt_id receipt_product_id stock_operation_id stock_id product_id"
        assert pick(rows, ids) == [(1, 1, 1, 5501, 501)]


def test_what_a_large_quantity_puts_at_risk(findings: Find) -> None:
    lost = operation(1, 1, 1, cost=2, total_cost=2, before_quantity=10**9, after_quantity=0)
    row = only(findings(sold(), SALE, [lost]), "quantity_adds_up")
    assert row["amount_at_risk"] == 2 * (10**9 - 1)


def test_the_sentence_of_quantities(findings: Find) -> None:
    row = only(
        findings(sold(), SALE, [operation(1, 1, 1, cost=2, total_cost=2, after_quantity="8.5")]), "quantity_adds_up"
    )
    assert row["message"] == (
        "Rice in Main for receipt 1: 10 in stock less 1 deducted leaves 9, but the stock after it is 8.5: "
        "0.5 is missing."
    )


@pytest.mark.parametrize(
    ("quantity", "cost", "total_cost", "expected"),
    [
        ("1", "2", "2.01", None),
        ("1", "2", "1.99", None),
        ("1", "2", "2.010001", "2"),
        # Half a cost unit a stock unit, where that is more.
        ("4", "2", "8.02", None),
        ("-4", "2", "-8.02", None),
        ("4", "2", "8.020001", "8"),
        # The bound is rounded where it is shown, the unrounded product decides.
        ("0.333333", "1.333333", "0.434444", None),
        ("0.333333", "1.333333", "0.434443", "0.444444"),
        ("0.000001", "0.5", "0.01", None),
        ("0.000001", "0.5", "0.010001", "0"),
        ("0.000003", "0.5", "0.010003", "0.000002"),
    ],
)
def test_cost_adds_up(findings: Find, quantity: str, cost: str, total_cost: str, expected: str | None) -> None:
    after = 10 - Decimal(quantity)
    rows = findings(
        sold(),
        SALE,
        [operation(1, 1, 1, quantity=quantity, after_quantity=after, cost=cost, total_cost=total_cost)],
    )
    if expected is None:
        assert rows == []
    else:
        only(rows, "cost_adds_up")
        difference = Decimal(total_cost) - Decimal(expected)
        assert pick(rows, f"severity {FIGURES}") == [
            ("ERROR", Decimal(expected), Decimal(total_cost), difference, abs(difference))
        ]


def test_the_sentence_of_costs(findings: Find) -> None:
    row = only(findings(sold(), SALE, [operation(1, 1, 1, cost="16.5", total_cost=20)]), "cost_adds_up")
    assert row["message"] == "Rice in Main for receipt 1: 1 at 16.50 costs 16.50, but 20.00 was booked: 3.50 too much."


@pytest.mark.parametrize("name", ["{cost}", "{expected}", "{amount} {}", "{{difference}}", "{}actual}", "}{", "{"])
def test_a_name_is_said_as_it_is(findings: Find, name: str) -> None:
    lines = [line(1, 1, total=1, product_name=name)]
    operations = [operation(1, 1, 1, cost=3, total_cost=2, product_name=name, storage_name=name)]
    rows = findings(sold(subtotal=None), lines, operations, ledger=[step(1, product_name=name, before_quantity=10)])
    assert {row["check_name"]: row["message"] for row in rows} == {
        "cost_adds_up": f"{name} in {name} for receipt 1: 1 at 3.00 costs 3.00, but 2.00 was booked: 1.00 too little.",
        "sold_above_cost": f"{name} on receipt 1 was sold for 1.00 but cost 2.00: a loss of 1.00.",
        "stock_is_continuous": (
            f"{name} in {name} stood at 9 in stock after the sale before and at 10 when receipt 1 took some on "
            "2026-01-19 12:30: 1 came in that no sale explains."
        ),
    }


def test_operation_has_line(findings: Find) -> None:
    """A line of another receipt is none, nor is no line; one that was taken off the receipt is one."""
    lines = [*SALE, line(2, 1, deleted_at=ENDED), line(3, 2)]
    targets = [1, 2, 3, 4, None]
    operations = [operation(i, 1, target, cost="-2.5", total_cost="-2.5") for i, target in enumerate(targets)]
    rows = findings([*sold(), receipt(2)], lines, operations)
    assert names(rows) == ["line_has_deduction"] + ["operation_has_line"] * 3
    rows = [row for row in rows if row["check_name"] == "operation_has_line"]
    assert sorted(pick(rows, "stock_operation_id severity amount_at_risk")) == [
        (number, "ERROR", Decimal("2.5")) for number in (2, 3, 4)
    ]
    assert pick(rows, "expected actual difference") == [(None, None, None)] * 3
    assert {row["stock_operation_id"]: row["receipt_product_id"] for row in rows} == {2: 3, 3: 4, 4: None}
    assert rows[0]["message"] == "1 of Rice in Main, worth -2.50, was deducted for receipt 1 but for none of its lines."


@pytest.mark.parametrize(
    ("window", "at_risk", "words"),
    [
        ([], None, " at no cost."),
        ([usage(3, 10)], "1.666667", " at no cost; at its recent cost it is worth 1.666667."),
        ([usage(0, 10)], None, " at no cost."),
        ([usage(-1, 10)], None, " at no cost."),
        ([usage(4, 8), usage(1, 2, storage_id=4)], "1", " at no cost; at its recent cost it is worth 1.00."),
        ([usage(4, 8, venue_id=2)], None, " at no cost."),
    ],
)
def test_deduction_has_cost(findings: Find, window: list[Row], at_risk: str | None, words: str) -> None:
    """A cost that is within the tolerance of none, so that no other check minds."""
    free = operation(1, 1, 1, quantity="0.5", after_quantity="9.5", cost="0.01", total_cost=0)
    rows = [row for row in findings(sold(), SALE, [free], usage=window) if row["check_name"] != "cost_is_steady"]
    row = only(rows, "deduction_has_cost")
    risk = None if at_risk is None else Decimal(at_risk)
    assert pick(rows, f"severity stock_operation_id {FIGURES}") == [("WARN", 1, None, None, None, risk)]
    assert row["message"] == f"0.5 of Rice in Main was deducted for receipt 1{words}"
    assert findings(sold(), SALE, [free | {"quantity": 0, "after_quantity": 10}]) == []


def test_what_is_put_back_at_no_cost_puts_its_worth_at_risk(findings: Find) -> None:
    free = operation(1, 1, 1, quantity="-0.5", after_quantity="10.5", cost="0.01", total_cost=0)
    rows = findings(sold(), SALE, [free], usage=[usage(3, 10)])
    risks = {row["check_name"]: row["amount_at_risk"] for row in rows}
    assert risks["deduction_has_cost"] == Decimal("1.666667")


@pytest.mark.parametrize(("after", "count"), [("0", 0), ("-0.000001", 0), ("-0.000002", 1), ("-2.5", 1)])
def test_stock_is_not_negative(findings: Find, after: str, count: int) -> None:
    below = operation(1, 1, 1, before_quantity=1 + Decimal(after), after_quantity=after, cost=2, total_cost=2)
    rows = findings(sold(), SALE, [below])
    assert names(rows) == ["stock_is_not_negative"] * count
    if count:
        left = Decimal(after)
        assert pick(rows, f"severity stock_id product_id {FIGURES}") == [("WARN", 5501, 501, 0, left, left, -left * 2)]
    if after == "-2.5":
        assert rows[0]["message"] == (
            "Rice in Main stood at -2.5 in stock after receipt 1 on 2026-01-19 12:00: "
            "more was sold than the books held."
        )


@pytest.mark.parametrize(
    ("before", "value", "expected"),
    [
        ("9", "5", None),
        ("9.000001", "5", None),
        ("8.999999", "5", None),
        ("9.000002", "5", ("0.000002", "5")),
        ("8", "-2.5", ("-1", "2.5")),
        ("11", None, ("2", None)),
    ],
)
def test_stock_is_continuous(
    findings: Find, before: str, value: str | None, expected: tuple[str, str | None] | None
) -> None:
    rows = findings(sold(), SALE, RICE, ledger=[step(1, before_quantity=before, unexplained_value=value)])
    if expected is None:
        assert rows == []
    else:
        only(rows, "stock_is_continuous")
        difference, at_risk = (None if text is None else Decimal(text) for text in expected)
        assert pick(rows, f"severity {FIGURES}") == [("INFO", 9, Decimal(before), difference, at_risk)]
        ids = "receipt_id receipt_product_id stock_operation_id stock_id product_id"
        assert pick(rows, ids) == [(1, 1, 1, 5501, 501)]


def test_the_sentences_of_gaps(findings: Find) -> None:
    ledger = [step(1, before_quantity="11.5"), step(2, before_quantity=8), step(3, previous_after_quantity=None)]
    rows = findings(sold(), SALE, RICE, ledger=ledger)  # of the second and third nobody says where
    assert {row["stock_operation_id"]: row["message"] for row in rows} == {
        1: "Rice in Main stood at 9 in stock after the sale before and at 11.5 when receipt 1 took some on "
        "2026-01-19 12:30: 2.5 came in that no sale explains.",
        2: "Rice stood at 9 in stock after the sale before and at 8 when receipt 1 took some on "
        "2026-01-19 12:30: 1 went out that no sale explains.",
    }


def test_what_a_return_puts_back_is_said_so(findings: Find) -> None:
    back = operation(1, 1, 9, quantity=-1, after_quantity=11, cost="2.5", total_cost="-2.5", storage_name=None)
    free = operation(2, 1, 1, quantity=-1, after_quantity=11, cost="0.01", total_cost=0, storage_name="Bar")
    rows = findings(sold(), SALE, [back, free], ledger=[step(1, quantity=-1, before_quantity=8)])
    assert {row["check_name"]: row["message"] for row in rows if row["check_name"] != "cost_is_steady"} == {
        "operation_has_line": "1 of Rice, worth 2.50, was put back for receipt 1 but for none of its lines.",
        "deduction_has_cost": "1 of Rice in Bar was put back for receipt 1 at no cost.",
        "stock_is_continuous": "Rice stood at 9 in stock after the sale before and at 8 when receipt 1 put some back "
        "on 2026-01-19 12:30: 1 went out that no sale explains.",
    }


@pytest.mark.parametrize(
    ("cost", "window", "expected"),
    [
        ("2.5", [usage(5, 10)], None),
        ("1.5", [usage(5, 10)], None),
        ("2.500001", [usage(5, 10)], ("2", "0.500001")),
        ("1.499999", [usage(5, 10)], ("2", "0.500001")),
        # 10 / 3 and a quarter more is 4.1666…: the undivided sums decide, not a rounded standard.
        ("4.166666", [usage(3, 10)], None),
        ("4.166667", [usage(3, 10)], ("3.333333", "0.833334")),
        ("2.5", [usage(3, 10)], None),
        ("2.499999", [usage(3, 10)], ("3.333333", "0.833334")),
        # A standard on half a millionth, shown half to even.
        ("9", [usage(2, "0.000001")], ("0", "9")),
        ("9", [usage(2, "0.000003")], ("0.000002", "8.999998")),
        # And on less than a millionth of a millionth more than half of one, which is no tie.
        ("9", [usage(10_000_000, "5.000001")], ("0.000001", "8.999999")),
        ("9", [], None),
        ("9", [usage(0, 10)], None),
        ("9", [usage(-3, -10)], None),
        ("9", [usage(3, 10), usage(-3, -6, storage_id=4)], None),
        ("9", [usage(3, 10), usage(-4, -6, storage_id=4)], None),
        ("9", [usage(5, 10, venue_id=2)], None),
        ("9", [usage(5, 10, product_id=502)], None),
        ("2.5", [usage(2, 8), usage(3, 2, storage_id=4)], None),
        ("0.1", [usage(5, 0)], ("0", "0.1")),
    ],
)
def test_cost_is_steady(findings: Find, cost: str, window: list[Row], expected: tuple[str, str] | None) -> None:
    rows = findings(sold(), SALE, [operation(1, 1, 1, cost=cost, total_cost=cost)], usage=window)
    if expected is None:
        assert rows == []
    else:
        only(rows, "cost_is_steady")
        standard, at_risk = map(Decimal, expected)
        difference = Decimal(cost) - standard
        assert pick(rows, f"severity {FIGURES}") == [("WARN", standard, Decimal(cost), difference, at_risk)]


MILLIONTH = Decimal("0.000001")
LARGEST = Decimal("999999999999.999999")
EXACT = Context(prec=60)


def test_a_quarter_is_exact_at_every_size(findings: Find) -> None:
    """The last cost that is steady and the one beside it, as far as a column holds the standard."""
    quantities = ["0.000001", "0.000007", "3", "1234.567891", "999999999999.999999"]
    totals = ["-999999999999.999999", "-10", "-0.000001", "0", "0.000003", "10", "77777.777777", "999999999999.999999"]
    operations: list[Row] = []
    window, unsteady = [], []
    for quantity, total in product(map(Decimal, quantities), map(Decimal, totals)):
        if abs(total) / quantity >= LARGEST:
            continue
        for share, step_aside in product((3, 5), (-1, 0, 1, 2)):
            bound = EXACT.divide(total * share, 4 * quantity).quantize(MILLIONTH, ROUND_FLOOR, EXACT)
            cost = max(-LARGEST, min(LARGEST, EXACT.add(bound, step_aside * MILLIONTH)))
            number = len(operations) + 1
            operations.append(
                operation(number, 1, 1, product_id=number, quantity=0, after_quantity=10, cost=cost, total_cost=0)
            )
            window.append(usage(quantity, total, product_id=number))
            standard = Fraction(total) / Fraction(quantity)
            if abs(Fraction(cost) - standard) > abs(standard) / 4:
                unsteady.append(number)
    rows = findings(sold(), SALE, operations, usage=window)
    assert 100 < len(unsteady) < len(operations)
    assert sorted(row["stock_operation_id"] for row in rows if row["check_name"] == "cost_is_steady") == unsteady


def test_sums_are_exact_at_every_size(findings: Find) -> None:
    """Around the limits below which 64 bits suffice, and far above them."""
    quantities = ["0.123457", "-999.999999", "999.999999", "1000", "-1000.000001", "123456.901234"]
    costs = ["0.000001", "99.999999", "-999.999999", "1000", "54321.123456"]
    befores = ["10", "9999999999.999999", "10000000000", "99999999999.999999"]
    operations: list[Row] = []
    off = set()
    for quantity, cost, before in product(map(Decimal, quantities), map(Decimal, costs), map(Decimal, befores)):
        due = EXACT.multiply(quantity, cost)
        tolerance = max(Decimal("0.01"), abs(quantity) * Decimal("0.005"))
        for aside in (-tolerance, tolerance - MILLIONTH, tolerance, tolerance + MILLIONTH):
            number = len(operations) + 1
            total_cost = EXACT.add(due, aside).quantize(MILLIONTH, ROUND_HALF_EVEN, EXACT)
            after = before - quantity + (number % 3) * MILLIONTH
            operations.append(
                operation(
                    number, 1, 1,
                    quantity=quantity, cost=cost, total_cost=total_cost, before_quantity=before, after_quantity=after,
                )
            )  # fmt: skip
            if abs(EXACT.subtract(total_cost, due)) > tolerance:
                off.add(("cost_adds_up", number))
            if number % 3 == 2:
                off.add(("quantity_adds_up", number))
    found = {(row["check_name"], row["stock_operation_id"]) for row in findings(sold(), SALE, operations)}
    assert {each for each in found if each[0].endswith("adds_up") and each[1]} == off


@pytest.mark.parametrize(
    ("quantity", "at_risk"),
    [
        # (9 − 10 / 3) × quantity
        ("0.25", "1.416667"),
        ("-0.25", "1.416667"),
        ("0.000003", "0.000017"),
        ("3000000", "17000000"),
        ("12345678901.123456", "69958847106.366251"),
    ],
)
def test_what_an_unsteady_cost_puts_at_risk(findings: Find, quantity: str, at_risk: str) -> None:
    after, total_cost = 10 - Decimal(quantity), Decimal(quantity) * 9
    odd = operation(1, 1, 1, quantity=quantity, after_quantity=after, cost=9, total_cost=total_cost)
    rows = findings(sold(), SALE, [odd], usage=[usage(3, 10)])
    assert [row["amount_at_risk"] for row in rows if row["check_name"] == "cost_is_steady"] == [Decimal(at_risk)]


@pytest.mark.parametrize(
    ("quantity", "cost", "at_risk"),
    [
        # On half a millionth: to even, either way. The standard is 0.5.
        ("0.000001", "1", "0"),
        ("0.000003", "1", "0.000002"),
        ("-0.000005", "1", "0.000002"),
        ("0.000001", "1.000001", "0.000001"),
    ],
)
def test_what_is_at_risk_is_rounded_once(findings: Find, quantity: str, cost: str, at_risk: str) -> None:
    odd = operation(1, 1, 1, quantity=quantity, after_quantity=10 - Decimal(quantity), cost=cost, total_cost=quantity)
    row = only(findings(sold(), SALE, [odd], usage=[usage(2, 1)]), "cost_is_steady")
    assert row["amount_at_risk"] == Decimal(at_risk)


def test_the_sentence_of_an_unsteady_cost(findings: Find) -> None:
    for cost, word in ((20, "above"), (5, "below")):
        rows = findings(sold(), SALE, [operation(1, 1, 1, cost=cost, total_cost=cost)], usage=[usage(5, 69)])
        assert only(rows, "cost_is_steady")["message"] == (
            f"Rice in Main for receipt 1 cost {cost}.00 a unit, more than 25 % {word} its recent 13.80."
        )
