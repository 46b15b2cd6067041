-- stock_ledger: one row per stock operation
-- inputs: receipts, stock_operations of one shift date
-- and other_operations: of other shift dates, on the same stocks, what was applied on the days of these operations,
-- and the last before each such day
with closed_receipts as (
    select id
    from receipts
    where status = 2 and deleted_at is null
),

operations as (
    select stock_operations.*
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
),

-- While a receipt moves between shift dates, its operations stand under both.
others as (
    select other_operations.*
    from other_operations
    anti join operations on operations.id = other_operations.id
),

in_order as (
    select
        id, receipt_id, venue_id, storage_id, stock_id, product_id, product_name, quantity, before_quantity,
        after_quantity, cost, before_cost, operated_at,
        -- One lag of three values takes less than three.
        lag({'id': id, 'after_quantity': after_quantity, 'cost': cost}) over (
            partition by stock_id order by operated_at, id
        ) as previous,
    from (from operations union all by name from others)
),

pairs as (
    select
        in_order.* exclude (previous),
        previous.id as previous_operation_id,
        previous.after_quantity as previous_after_quantity,
        previous.cost as previous_cost,
    from in_order
    where receipt_id is not null
)

select
    id as stock_operation_id,
    receipt_id,
    venue_id,
    storage_id,
    stock_id,
    product_id,
    product_name,
    previous_operation_id,
    quantity,
    before_quantity,
    after_quantity,
    cost,
    before_cost,
    previous_after_quantity,
    previous_cost,
    before_quantity - previous_after_quantity as unexplained_quantity,
    case
        -- Most rows; a shorter way to the same.
        when before_quantity = previous_after_quantity and before_cost = previous_cost then 0
        else round_half_even(
            cast(before_quantity as decimal(38, 6)) * before_cost
            - cast(previous_after_quantity as decimal(38, 6)) * previous_cost
        )
    end as unexplained_value,
    operated_at,
from pairs
