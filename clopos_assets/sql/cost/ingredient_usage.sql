-- ingredient_usage: one row per venue, storage and product in stock
-- inputs: receipts, stock_operations of one shift date
with operations as (
    select stock_operations.*
    from stock_operations
    inner join receipts on receipts.id = stock_operations.receipt_id
    where receipts.status = 2 and receipts.deleted_at is null
)

select
    venue_id,
    storage_id,
    product_id,
    last(product_name order by id) as product_name,
    last(storage_name order by id) as storage_name,
    count(*) as operations,
    count(distinct receipt_id) as receipts,
    sum(quantity) as quantity,
    sum(total_cost) as total_cost,
    sum(total_cost) / nullif(sum(quantity), 0) as unit_cost,
from operations
group by venue_id, storage_id, product_id
