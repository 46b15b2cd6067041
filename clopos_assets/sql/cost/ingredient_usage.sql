-- ingredient_usage: one row per venue, storage and product in stock
-- inputs: receipts, stock_operations of one shift date
with closed_receipts as (
    select id
    from receipts
    where status = 2 and deleted_at is null
),

usage as (
    select
        venue_id,
        storage_id,
        product_id,
        max(stock_operations.id) as operation_id,
        count(*) as operations,
        count(distinct receipt_id) as receipts,
        sum(quantity) as quantity,
        sum(total_cost) as total_cost,
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
    group by venue_id, storage_id, product_id
),

names as (
    select id, product_name, storage_name
    from stock_operations
    where id in (select operation_id from usage)
)

select
    venue_id,
    storage_id,
    product_id,
    names.product_name,
    names.storage_name,
    operations,
    receipts,
    quantity,
    total_cost,
    total_cost / nullif(quantity, 0) as unit_cost,
from usage
inner join names on names.id = usage.operation_id
