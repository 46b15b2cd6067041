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
        arg_max_null(product_name, stock_operations.id) as product_name,
        arg_max_null(storage_name, stock_operations.id) as storage_name,
        count(*) as operations,
        sum(quantity) as quantity,
        sum(total_cost) as total_cost,
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
    group by venue_id, storage_id, product_id
),

products_of_receipt as (
    select distinct receipt_id, venue_id, storage_id, product_id
    from stock_operations
),

receipts_of_product as (
    select venue_id, storage_id, product_id, count(*) as receipts
    from products_of_receipt
    inner join closed_receipts on closed_receipts.id = products_of_receipt.receipt_id
    group by venue_id, storage_id, product_id
)

select
    venue_id,
    storage_id,
    product_id,
    usage.product_name,
    usage.storage_name,
    usage.operations,
    receipts_of_product.receipts,
    usage.quantity,
    usage.total_cost,
    usage.total_cost / nullif(usage.quantity, 0) as unit_cost,
from usage
inner join receipts_of_product using (venue_id, storage_id, product_id)
