-- line_cogs: one row per line of a closed receipt
-- inputs: receipts, receipt_products, stock_operations of one shift date
with closed_receipts as (
    select id, venue_id, sale_type_id, is_returns
    from receipts
    where status = 2 and deleted_at is null
),

lines as (
    select
        id, receipt_id, product_id, product_name, product_type, is_gift, total,
        case
            -- Most lines; a shorter way to the same.
            when portion_size is null or portion_size in (0, 1) then "count"
            else round_half_even(cast("count" as decimal(38, 6)) * cast(portion_size as decimal(38, 6)))
        end as units_sold,
    from receipt_products
    where deleted_at is null
),

deducted as (
    select receipt_id, receipt_product_id, count(*) as deductions, sum(total_cost) as cogs
    from stock_operations
    group by receipt_id, receipt_product_id
)

select
    lines.id as receipt_product_id,
    lines.receipt_id,
    closed_receipts.venue_id,
    closed_receipts.sale_type_id,
    lines.product_id,
    lines.product_name,
    lines.product_type,
    coalesce(lines.is_gift, false) as is_gift,
    coalesce(closed_receipts.is_returns, false) or lines.units_sold < 0 as is_return,
    coalesce(deducted.deductions, 0) as deductions,
    lines.units_sold,
    lines.total as net_sales,
    coalesce(deducted.cogs, 0) as cogs,
    lines.total - coalesce(deducted.cogs, 0) as gross_profit,
from lines
inner join closed_receipts on closed_receipts.id = lines.receipt_id
left join deducted
    on deducted.receipt_id = lines.receipt_id
    and deducted.receipt_product_id = lines.id
