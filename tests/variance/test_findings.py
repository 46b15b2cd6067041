"""variance_findings as a table: what holds of every check."""

from decimal import Decimal

import pytest

from clopos_assets.compute import Rules
from clopos_assets.findings import CHECKS, leave_out_unknown
from clopos_assets.tables import VARIANCE_FINDINGS, ContractError
from tests.sql.day import as_arrow, line, operation
from tests.variance.books import recipe_row
from tests.variance.findings_oracle import Row
from tests.variance.sale import ENDED, RICE, SALE, Find, names, sold, step, usage


def test_a_clean_sale_gives_none(findings: Find) -> None:
    assert findings(sold(), SALE, RICE, ledger=[step(1)], usage=[usage(1, 2)]) == []


def test_the_tolerances_are_settings(findings: Find) -> None:
    rules = Rules(money_tolerance=Decimal("0.5"), quantity_tolerance=Decimal("0.25"), cost_unit=Decimal(2))
    off = operation(1, 1, 1, cost=2, total_cost=3, after_quantity="8.75")
    assert findings(sold(remaining="-0.5"), SALE, [off], rules=rules) == []
    off |= {"total_cost": "3.000001", "after_quantity": "8.749999"}
    assert names(findings(sold(remaining="-0.500001"), SALE, [off], rules=rules)) == [
        "cost_adds_up",
        "payments_match_total",
        "quantity_adds_up",
    ]


def test_operations_of_receipts_that_are_not_closed_are_left_out(findings: Find) -> None:
    assert findings(sold(deleted_at=ENDED), SALE, [operation(1, 1, 9, after_quantity=-5, total_cost=5)]) == []


def test_products_without_a_name_are_called_by_number(findings: Find) -> None:
    nameless = {"product_name": None}
    rows = findings(
        sold(),
        [line(1, 1, total=20, **nameless), line(2, 1, **nameless)],
        [operation(1, 1, 9, cost=1, total_cost=1, **nameless)],
        recipes=[recipe_row(1, 10, 501)],
        ledger=[step(1, before_quantity=8, **nameless)],
    )
    assert sorted(row["message"].split(",")[0].split(" stood")[0].split(" (")[0] for row in rows) == [
        "1 of Product 501 in Main",
        "Product 10 on receipt 1",
        "Product 10 on receipt 1",
        "Product 501 in Main",
    ]


def test_a_finding_keeps_its_id_while_figures_change(findings: Find) -> None:
    ids = [
        {row["finding_id"] for row in findings(sold(remaining=remaining), SALE, [RICE[0] | {"after_quantity": after}])}
        for remaining, after in ((1, 8), (2, 7))
    ]
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


def test_an_amount_that_fits_no_column_is_refused(findings: Find) -> None:
    huge = operation(1, 1, 1, before_quantity=10**11, after_quantity=0, cost=10**11, total_cost=10**11)
    named = r"\(amount_at_risk \d+\.0+ of venue_id 1, receipt_id 1, .*stock_operation_id 1, .*\): correct"
    with pytest.raises(ContractError, match=rf"^variance_findings: a figure is too large for its column {named}"):
        findings(sold(), SALE, [huge])


def test_of_a_receipt_whose_operations_are_not_told_only_what_rests_on_them_is_left_out() -> None:
    """What else is wrong with it is found, and all that is wrong with others and with the venue."""
    rows: list[Row] = [
        dict.fromkeys(VARIANCE_FINDINGS.names)
        | {"finding_id": f"{check.name} {receipt_id}", "check_name": check.name, "severity": check.severity}
        | {"venue_id": 1, "receipt_id": receipt_id, "message": "."}
        for check in CHECKS
        for receipt_id in (1, 2, None)
    ]
    found = as_arrow(VARIANCE_FINDINGS, rows)
    left = set(leave_out_unknown(found, {1, 3}).column("finding_id").to_pylist())
    assert {row["finding_id"] for row in rows} - left == {"line_has_deduction 1", "reported_cost_matches 1"}
    assert leave_out_unknown(found, set()) == found
