"""Made-up shift dates of any size: raw rows whose columns hold as much information as the sandbox's.

How fast Parquet is read depends on how much there is in it: ids that count up without a gap and quantities that
repeat take next to no bytes, and no brand has them. So a date is played here as the sandbox plays it, in SQL, which
makes a million operations in seconds: receipts open in two waves a day and close 20 to 110 minutes later, ids ascend
in the order in which all venues' receipts open and operations in the order in which they close, stocks go down by
what recipes take and up by deliveries that change their cost. A receipt has as many lines, a line as many
operations, and modifiers, gifts, discounts, half portions, late closings are as frequent as there.
What differs is the menu: 300 products of 400 ingredients, where the sandbox has 46 and 44.

Bytes a row in the lake's files of the columns that SQL reads, ten venues, 150,000 operations, of these rows and of the
sandbox's: receipts 18.6 and 17.2, lines 4.7 and 4.0, operations 15.1 and 12.3. Of an operation's, `receipt_id` takes
0.45 and 0.46, `receipt_product_id` 0.78 and 0.78, `product_id` 0.79 and 0.47, `quantity` 0.81 and 0.58,
`before_quantity` 3.01 and 3.26, `cost` 0.98 and 0.36, `total_cost` 1.65 and 0.65, `operated_at` 0.18 and 0.28: a longer
menu has more different figures.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa

from clopos_assets.tables import RAW, Kind, Table

VENUES = 10
_EPOCH = date(2020, 1, 1)

_MENU = """
    create or replace temp table recipes as
    with sold as (
        select
            i, 400 + i as product_id,
            [1, 1, 2, 2, 3, 3, 4, 4, 5, 6][1 + drawn(10, hash(i, 'size'))] as ingredients,
            drawn(25, hash(i, 'weighed')) = 0 as is_weighed,
            drawn(3, hash(i, 'modified')) = 0 as takes_modifiers,
        from range(300) as made(i)
    ),

    taken as (
        select
            *, unnest(range(ingredients)) as place, (hash(i, 'first') + 31 * place) % 400 as ingredient,
            (1 + drawn(40, hash(i, place))) * 0.005 as per_unit,
        from sold
    )

    select
        i, product_id, is_weighed, takes_modifiers, place, ingredient,
        cast(per_unit as decimal(18, 6)) as per_unit,
        cast((20 + drawn(2400, hash(ingredient, 'cost'))) * 0.01 as decimal(18, 2)) as base_cost,
    from taken
"""

# The drafted receipts' numbers say nothing of the order in which they open.
_STEPS = {
    "drafted_receipts": """
        select
            number, 1 + drawn($venues, hash(number, $day, 'venue')) as venue_id,
            600 + 60 * (venue_id % 4) as opens,
            case
                when drawn(100, hash(number, $day, 'wave')) < 60
                then opens + 750 * [33, 75][1 + drawn(2, hash(number, $day, 'peak'))] // 100 - 75
                    + drawn(151, hash(number, $day, 'minute'))
                else opens + drawn(750, hash(number, $day, 'minute'))
            end as minute,
            cast($day as timestamp) + to_seconds(cast(60 * minute + drawn(60, hash(number, $day, 'second')) as bigint))
                as created_at,
            case
                when drawn(1000, hash(number, $day, 'late')) < 4
                then cast($day as timestamp) + interval 31 hours
                    + to_seconds(cast(drawn(250000, hash(number, $day)) as bigint))
                else created_at + to_seconds(cast(1200 + drawn(5400, hash(number, $day, 'dwell')) as bigint))
            end as closed_at,
            drawn(2000, hash(number, $day, 'open')) > 0 as is_closed,
            if(drawn(10, hash(number, $day, 'cut')) = 0, [5, 10, 15][1 + number % 3], 0) as discount_rate,
            drawn(100, hash(number, $day, 'delivery')) as delivery,
            drawn(100, hash(number, $day, 'lines')) as draw,
            1 + list_count([x for x in [18, 42, 62, 77, 87, 94, 98] if draw >= x]) as lines,
        from range($operations // 9 + 8) as made(number)
    """,
    "drafted_lines": """
        with placed as (
            select number, venue_id, is_closed, discount_rate, unnest(range(lines)) as line
            from drafted_receipts
        ),

        ordered as (
            select
                *,
                cast(floor(300 * pow((drawn(1000000, hash(number, $day, line))) / 1000000, 1.8)) as bigint) as i,
                drawn(100, hash(number, $day, line, 'count')) as draw,
                drawn(100, hash(number, $day, line, 'gift')) = 0 as is_gift,
                if(drawn(40, hash(number, $day, line, 'cut')) = 0, 10 + 10 * (line % 2), 0) as line_discount,
            from placed
        ),

        products as (
            select i, is_weighed, takes_modifiers, count(*) as ingredients, sum(per_unit * base_cost) as cost
            from recipes
            group by i, is_weighed, takes_modifiers
        )

        select
            ordered.*,
            ingredients,
            cast(
                case
                    when is_weighed then (250 + drawn(1950, hash(number, $day, line, 'weight'))) * 0.001
                    when draw < 74 then 1
                    when draw < 93 then 2
                    when draw < 98 then 3
                    else 4
                end as decimal(18, 6)
            ) as "count",
            cast(if(drawn(70, hash(number, $day, line, 'half')) = 0, 0.5, 1) as decimal(18, 6)) as portion_size,
            case
                when takes_modifiers and drawn(100, hash(number, $day, line, 'modified')) < 18 then 1 + i % 6
            end as modifier,
            cast(ceil(cost * 100 / (20 + drawn(18, hash(i, 'share'))) * 2) / 2 as decimal(18, 6)) as price,
        from ordered
        inner join products using (i)
    """,
    # As many receipts as make the operations that are asked for; of each thousandth nothing is left but the gap.
    "kept_receipts": """
        with sized as (
            select number, sum(ingredients) as ingredients
            from drafted_lines
            group by number
        ),

        counted as (
            select number, sum(ingredients) over (order by number) as so_far
            from sized
        ),

        numbered as (
            select
                drafted_receipts.*,
                $first // 9 + row_number() over (order by created_at, number) as id,
                sum(lines) over (order by created_at, number) - lines as lines_before,
            from drafted_receipts
            semi join counted on counted.number = drafted_receipts.number and counted.so_far <= $operations
        )

        select *
        from numbered
        where drawn(1000, hash(number, $day, 'gone')) > 0
    """,
    "kept_lines": """
        select
            $first // 3 + lines_before + line as id, kept_receipts.id as receipt_id, drafted_lines.*,
            if(is_gift, 0, "count" * cast(portion_size as decimal(6, 1)) * price) as subtotal,
            cast(
                subtotal * cast(100 - line_discount as decimal(3, 0))
                * cast(100 - kept_receipts.discount_rate as decimal(3, 0)) / 10000 as decimal(18, 2)
            ) as total,
        from drafted_lines
        inner join kept_receipts using (number)
    """,
    "deductions": """
        select
            $first + row_number() over (order by closed_at, kept_lines.id, place) as id,
            kept_lines.id as receipt_product_id, receipt_id, kept_lines.venue_id, ingredient,
            5000 + (kept_lines.venue_id - 1) * 400 + ingredient as stock_id,
            cast(
                cast(per_unit + if(modifier is not null and place = 0, 0.02, 0) as decimal(9, 3))
                * cast("count" as decimal(9, 3)) * cast(portion_size as decimal(2, 1)) as decimal(18, 6)
            ) as quantity,
            base_cost,
            closed_at as operated_at,
        from kept_lines
        inner join recipes using (i)
        inner join kept_receipts on kept_receipts.id = kept_lines.receipt_id
        where kept_lines.is_closed
    """,
}
_ROWS = {
    "receipts": """
        with sums as (
            select receipt_id, sum(subtotal) as subtotal, sum(total) as total
            from kept_lines
            group by receipt_id
        ),

        charged as (
            select
                kept_receipts.*, sums.subtotal, sums.subtotal - sums.total as total_discount,
                cast(if(venue_id % 3 = 0, sums.total / 10, 0) as decimal(18, 2)) as service_charge_value,
                cast(if(delivery < 14, 2 + 1.5 * (delivery % 2), 0) as decimal(18, 2)) as delivery_fee,
                cast(if(venue_id % 4 = 2, sums.total * 18 / 100, 0) as decimal(18, 2)) as e_tax,
                sums.total + service_charge_value + delivery_fee + e_tax as total,
            from kept_receipts
            inner join sums on sums.receipt_id = kept_receipts.id
        )

        select
            * exclude (closed_at), if(is_closed, 2, 1) as status, if(is_closed, closed_at, null) as closed_at,
            1 + if(delivery < 28, 1 + delivery % 2, 0) as sale_type_id, 0 as remaining,
            cast(if(venue_id % 4 < 2, total * 18 / 118, 0) as decimal(18, 2)) as i_tax,
            case
                when not is_closed then []
                when drawn(100, hash(number, $day, 'paid')) < 6 then [
                    {'id': 1, 'name': 'Cash', 'amount': cast(total / 2 as decimal(18, 2))},
                    {'id': 2, 'name': 'Card', 'amount': total - cast(total / 2 as decimal(18, 2))}
                ]
                when drawn(100, hash(number, $day, 'paid')) < 50 then [{'id': 1, 'name': 'Cash', 'amount': total}]
                else [{'id': 2, 'name': 'Card', 'amount': total}]
            end as payment_methods,
            coalesce(closed_at, created_at) as updated_at,
        from charged
    """,
    "receipt_products": """
        select
            id, receipt_id, venue_id, 400 + i as product_id, 'Product ' || product_id as product_name,
            if(i % 7 = 0, 'GOODS', 'DISH') as product_type, is_gift, "count", portion_size, price, subtotal, total,
            case
                when modifier is null then '[]'
                else '[{"id": ' || 800 + modifier || ', "name": "Extra ' || modifier || '", "price": 1.5}]'
            end as modificators,
        from kept_lines
    """,
    # Each hundredth operation of a stock follows a delivery.
    "stock_operations": """
        with numbered as (
            select
                *,
                row_number() over stock // 100 as deliveries,
                sum(quantity) over stock as taken,
                sum(quantity) over (partition by stock_id) as taken_in_all,
            from deductions
            window stock as (partition by stock_id order by id)
        )

        select
            *, 1000 + ingredient as product_id, 2 * venue_id + if(ingredient % 6 = 0, 1, 0) as storage_id,
            'Ingredient ' || product_id as product_name, 'Storage ' || storage_id as storage_name,
            cast(taken_in_all * (105 + drawn(200, hash(stock_id, $day))) / 100 as decimal(18, 3))
                + deliveries * cast(1 + drawn(9000, hash(stock_id)) as decimal(18, 3)) / 1000 - taken as after_quantity,
            after_quantity + quantity as before_quantity,
            cast(base_cost * (98 + 2 * drawn(3, hash(stock_id, deliveries, $day))) / 100 as decimal(18, 2)) as "cost",
            "cost" as before_cost,
            cast(quantity * "cost" as decimal(18, 6)) as total_cost,
        from numbered
    """,
}


def make_day(
    connection: duckdb.DuckDBPyConnection, operations: int, shift_date: str, venues: int = VENUES
) -> Mapping[str, pa.Table]:
    """Raw rows of a shift date with as many operations or a few less, by table; columns that no SQL reads are NULL.

    The connection keeps the steps as temporary tables until the next date is made.
    """
    day = date.fromisoformat(shift_date)
    values = {"operations": operations, "day": day, "venues": venues, "first": (day - _EPOCH).days * operations}
    connection.execute("create or replace temp macro drawn(bound, seed) as cast(seed % bound as bigint)")
    connection.execute(_MENU)
    for name, query in _STEPS.items():
        connection.execute(f"create or replace temp table {name} as {query}", _bound(query, values))
    return {table.name: as_declared(connection, table, _ROWS[table.name], values) for table in RAW}


def as_declared(
    connection: duckdb.DuckDBPyConnection, table: Table, query: str, values: Mapping[str, object]
) -> pa.Table:
    """A query's rows as a table declares them; columns that it does not give are NULL."""
    made = connection.sql(query, params=_bound(query, values))
    given = set(made.columns)
    columns = ", ".join(
        f'''cast({f'"{column.name}"' if column.name in given else "null"} as {column.sql_type}) as "{column.name}"'''
        for column in table.columns
        if column.kind is not Kind.INSTANT
    )
    rows: pa.Table = made.project(columns).to_arrow_table()
    if "fetched_at" in table.names:
        fetched_at = pa.scalar(datetime(2026, 2, 2, tzinfo=UTC), type=pa.timestamp("us", tz="UTC"))
        rows = rows.append_column("fetched_at", pa.repeat(fetched_at, len(rows)))
    return rows.cast(table.schema)


def _bound(query: str, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if f"${name}" in query}
