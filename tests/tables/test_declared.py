"""The declarations against the data contract: names, order, types and keys, written out here a second time."""

import duckdb
import pytest

from clopos_assets.tables import RAW, TABLES, Kind, Table

COLUMNS = {
    "receipts": """
        id venue_id cid cash_shift_cid customer_id user_id open_by_user_id close_by_user_id courier_id seller_id
        terminal_id closed_terminal_id service_notification_id table_id hall_id sale_type_id
        source order_status order_number fiscal_id loyalty_type address description terminal_version
        status guests discount_type inventory_status report_status suspicion gift_count
        lock printed is_returns
        total subtotal original_subtotal gift_total total_cost total_discount discount_value discount_rate
        rps_discount service_charge service_charge_value delivery_fee remaining i_tax e_tax total_tax by_cash
        by_card loyalty_value
        payment_methods meta properties customer
        created_at updated_at terminal_updated_at closed_at deleted_at extra fetched_at
    """,
    "receipt_products": """
        id receipt_id venue_id product_id seller_id cid product_hash product_name product_type product_barcode
        is_gift discount_type preprint_count station_printed_count station_aborted_count loyalty_type
        count portion_size price product_price cost subtotal total discount_value discount_rate total_discount
        receipt_discount loyalty_value
        modificators taxes product meta created_at updated_at terminal_updated_at deleted_at extra fetched_at
    """,
    "stock_operations": """
        id receipt_id receipt_product_id venue_id product_id stock_id storage_id operation_id product_name
        storage_name quantity before_quantity after_quantity cost before_cost total_cost operated_at extra
        fetched_at
    """,
    "line_cogs": """
        receipt_product_id receipt_id venue_id sale_type_id product_id product_name product_type is_gift is_return
        deductions units_sold net_sales cogs gross_profit
    """,
    "product_cogs": """
        venue_id product_id product_name product_type lines units_sold net_sales cogs gross_profit food_cost_pct
        unit_cost
    """,
    "daily_cogs": """
        venue_id receipts lines net_sales cogs gross_profit food_cost_pct gift_cogs undeducted_lines
        undeducted_sales unassigned_cogs estimated_cogs receipts_total inclusive_tax food_cost_pct_excl_tax
    """,
    "ingredient_usage": """
        venue_id storage_id product_id product_name storage_name operations receipts quantity total_cost unit_cost
    """,
    "stock_ledger": """
        stock_operation_id receipt_id venue_id storage_id stock_id product_id product_name previous_operation_id
        quantity before_quantity after_quantity cost before_cost previous_after_quantity previous_cost
        unexplained_quantity unexplained_value operated_at
    """,
    "stock_gaps": """
        venue_id storage_id stock_id ledger_date product_id product_name gaps inflow_quantity inflow_value
        outflow_quantity outflow_value revaluation implied_unit_price
    """,
    "recipe_observed": """
        venue_id product_id ingredient_id product_name ingredient_name quantity total_cost lines quantity_per_unit
        deviating_lines deviating_share modified_lines previous_quantity_per_unit changed_on is_thousandfold
    """,
    "usage_variance": """
        venue_id product_id ingredient_id units_sold quantity cost standard_days standard_quantity standard_cost
        price_variance usage_variance total_variance
    """,
    "variance_findings": """
        finding_id check_name severity venue_id receipt_id receipt_product_id stock_operation_id stock_id product_id
        expected actual difference amount_at_risk message
    """,
    "finding_history": "finding_id check_name first_seen_at last_seen_at resolved_at",
}
KEYS = {
    "receipts": ("id",),
    "receipt_products": ("id",),
    "stock_operations": ("id",),
    "line_cogs": ("receipt_product_id",),
    "product_cogs": ("venue_id", "product_id"),
    "daily_cogs": ("venue_id",),
    "ingredient_usage": ("venue_id", "storage_id", "product_id"),
    "stock_ledger": ("stock_operation_id",),
    "stock_gaps": ("venue_id", "storage_id", "stock_id", "ledger_date"),
    "recipe_observed": ("venue_id", "product_id", "ingredient_id"),
    "usage_variance": ("venue_id", "product_id", "ingredient_id"),
    "variance_findings": ("finding_id",),
    "finding_history": ("finding_id",),
}
GROUPS = {
    "raw": {"receipts", "receipt_products", "stock_operations"},
    "cost": {"line_cogs", "product_cogs", "daily_cogs", "ingredient_usage"},
    "variance": {
        "stock_ledger",
        "stock_gaps",
        "recipe_observed",
        "usage_variance",
        "variance_findings",
        "finding_history",
    },
}
DECIMAL = "decimal128(18, 6)"
TYPES = {
    DECIMAL: """
        total subtotal original_subtotal gift_total total_cost total_discount discount_value discount_rate
        rps_discount service_charge service_charge_value delivery_fee remaining i_tax e_tax total_tax by_cash by_card
        loyalty_value count portion_size price product_price cost receipt_discount quantity before_quantity
        after_quantity before_cost units_sold net_sales cogs gross_profit gift_cogs undeducted_sales unassigned_cogs
        estimated_cogs receipts_total inclusive_tax previous_after_quantity previous_cost unexplained_quantity
        unexplained_value inflow_quantity inflow_value outflow_quantity outflow_value revaluation quantity_per_unit
        previous_quantity_per_unit price_variance usage_variance total_variance expected actual difference
        amount_at_risk
    """,
    "int64": """
        id venue_id customer_id user_id open_by_user_id close_by_user_id courier_id seller_id terminal_id
        closed_terminal_id service_notification_id table_id hall_id sale_type_id status guests discount_type
        inventory_status report_status suspicion gift_count receipt_id product_id preprint_count
        station_printed_count station_aborted_count receipt_product_id stock_id storage_id operation_id deductions
        lines receipts operations undeducted_lines stock_operation_id previous_operation_id gaps ingredient_id
        deviating_lines modified_lines standard_days
    """,
    "string": """
        cid cash_shift_cid source order_status order_number fiscal_id loyalty_type address description
        terminal_version meta properties customer extra product_hash product_name product_type product_barcode
        modificators taxes product storage_name ingredient_name finding_id check_name severity message
    """,
    "bool": "lock printed is_returns is_gift is_return is_thousandfold",
    "date32[day]": "ledger_date changed_on",
    "timestamp[us]": "created_at updated_at terminal_updated_at closed_at deleted_at operated_at",
    "timestamp[us, tz=UTC]": "fetched_at first_seen_at last_seen_at resolved_at",
    "double": """
        food_cost_pct unit_cost food_cost_pct_excl_tax implied_unit_price deviating_share standard_quantity
        standard_cost
    """,
    f"list<item: struct<id: int64, name: string, amount: {DECIMAL}>>": "payment_methods",
}
TYPE_OF = {name: kind for kind, names in TYPES.items() for name in names.split()}
# Without these a row can't be filed, joined or counted; all else may be NULL.
REQUIRED = {
    "receipts": "id venue_id status total created_at updated_at fetched_at",
    "receipt_products": "id receipt_id venue_id product_id count total fetched_at",
    "stock_operations": """
        id receipt_id venue_id product_id stock_id storage_id quantity before_quantity after_quantity cost total_cost
        operated_at fetched_at
    """,
}
MAY_BE_NULL = {
    "line_cogs": "sale_type_id product_name product_type",
    "product_cogs": "product_name product_type food_cost_pct unit_cost",
    "daily_cogs": "food_cost_pct food_cost_pct_excl_tax",
    "ingredient_usage": "product_name storage_name unit_cost",
    "stock_ledger": """
        product_name previous_operation_id before_cost previous_after_quantity previous_cost unexplained_quantity
        unexplained_value
    """,
    "stock_gaps": "product_name inflow_value outflow_value implied_unit_price",
    "recipe_observed": """
        product_name ingredient_name quantity_per_unit deviating_share previous_quantity_per_unit changed_on
    """,
    "usage_variance": "standard_quantity standard_cost price_variance usage_variance total_variance",
    "variance_findings": """
        receipt_id receipt_product_id stock_operation_id stock_id product_id expected actual difference amount_at_risk
    """,
    "finding_history": "resolved_at",
}
every_table = pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))


def test_the_tables_are_those_of_the_contract() -> None:
    by_group: dict[str, set[str]] = {}
    for table in TABLES.values():
        by_group.setdefault(table.group, set()).add(table.name)
    assert by_group == GROUPS
    assert all(name == table.name for name, table in TABLES.items())


@every_table
def test_columns_stand_in_the_contracts_order(table: Table) -> None:
    assert list(table.names) == COLUMNS[table.name].split()
    assert table.key == KEYS[table.name]


@every_table
def test_types_are_those_of_the_contract(table: Table) -> None:
    assert {name: str(table.schema.field(name).type) for name in table.names} == {
        name: TYPE_OF[name] for name in table.names
    }


@every_table
def test_what_may_be_null(table: Table) -> None:
    required = {column.name for column in table.columns if column.required}
    if table in RAW:
        assert required == set(REQUIRED[table.name].split())
    else:
        assert set(table.names) - required == set(MAY_BE_NULL[table.name].split())
    assert {field.name for field in table.schema if not field.nullable} == required
    assert set(table.key) <= required


@every_table
def test_every_column_says_what_it_is(table: Table) -> None:
    assert [column.name for column in table.columns if not column.meaning or column.meaning.endswith(".")] == []
    of_amounts = [column for column in table.columns if column.kind in (Kind.DECIMAL, Kind.RATIO)]
    # An amount or a percentage, by another column; an amount or a quantity, by the check; a share.
    without = {"discount_value", "loyalty_value", "expected", "actual", "difference", "deviating_share"}
    assert [column.name for column in of_amounts if not column.unit and column.name not in without] == []


@every_table
def test_inputs_come_before_what_is_made_from_them(table: Table) -> None:
    names = list(TABLES)
    assert all(names.index(name) < names.index(table.name) for name in table.inputs)
    assert bool(table.inputs) == (table.name not in ("receipts", "receipt_products"))


@every_table
def test_a_file_of_the_schema_has_the_declared_sql_types(table: Table) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", table.schema.empty_table())
        described = connection.execute("describe rows").fetchall()
    assert [(name, kind.replace('"', "")) for name, kind, *_ in described] == [
        (column.name, column.sql_type) for column in table.columns
    ]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_says_what_it_cannot_know(table: Table) -> None:
    assert "cannot know" in table.description
