-- stock_ledger: one row per stock operation
-- inputs: receipts, stock_operations of one shift date
-- and other_operations: of other shift dates, on the same stocks, what was applied on the days of these operations,
-- and the last before each such day
with closed_receipts as (
    select id
    from receipts
    where status = 2 and deleted_at is null
),

-- Read twice rather than held in memory.
operations as not materialized (
    select
        stock_operations.id, stock_operations.stock_id, stock_operations.operated_at, stock_operations.after_quantity,
        stock_operations.cost,
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
),

-- While a receipt moves between shift dates, its operations stand under both.
moved as (
    select id
    from operations
    where id in (select id from other_operations)
),

others as (
    select
        other_operations.id, other_operations.stock_id, other_operations.operated_at, other_operations.after_quantity,
        other_operations.cost,
    from other_operations
    anti join moved on moved.id = other_operations.id
),

candidates as (
    select id, stock_id, operated_at, after_quantity, cost, true as is_own
    from operations
    union all
    select id, stock_id, operated_at, after_quantity, cost, false as is_own
    from others
),

-- Sorting a list per stock takes a fraction of a window over all rows; and it holds only what a successor needs.
in_order as (
    select
        list_sort(
            list({
                'operated_at': operated_at, 'id': id, 'is_own': is_own, 'after_quantity': after_quantity, 'cost': cost
            })
        ) as steps,
    from candidates
    group by stock_id
),

steps as (
    select unnest(steps) as step, unnest(list_prepend(null, steps[:-2])) as previous
    from in_order
),

own_steps as (
    select step.id as id, previous
    from steps
    where step.is_own
),

pairs as (
    select
        stock_operations.id,
        stock_operations.receipt_id,
        stock_operations.venue_id,
        stock_operations.storage_id,
        stock_operations.stock_id,
        stock_operations.product_id,
        stock_operations.product_name,
        own_steps.previous.id as previous_operation_id,
        stock_operations.quantity,
        stock_operations.before_quantity,
        stock_operations.after_quantity,
        stock_operations.cost,
        stock_operations.before_cost,
        own_steps.previous.after_quantity as previous_after_quantity,
        own_steps.previous.cost as previous_cost,
        stock_operations.operated_at,
    from stock_operations
    inner join own_steps on own_steps.id = stock_operations.id
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
