-- daily_cogs: one row per venue with a closed receipt
-- inputs: receipts, line_cogs, stock_operations of one shift date
with closed_receipts as (
    select id, venue_id, total, i_tax
    from receipts
    where status = 2 and deleted_at is null
),

operations as (
    select
        closed_receipts.venue_id,
        stock_operations.total_cost,
        line_cogs.receipt_product_id is null as is_unassigned,
        stock_operations.before_quantity <= 0 as is_estimated,
    from stock_operations
    inner join closed_receipts on closed_receipts.id = stock_operations.receipt_id
    left join line_cogs
        on line_cogs.receipt_product_id = stock_operations.receipt_product_id
        and line_cogs.receipt_id = stock_operations.receipt_id
),

receipts_of_venue as (
    select
        venue_id,
        count(*) as receipts,
        sum(total) as receipts_total,
        coalesce(sum(i_tax), 0) as inclusive_tax,
    from closed_receipts
    group by venue_id
),

lines_of_venue as (
    select
        venue_id,
        count(*) as lines,
        sum(net_sales) as net_sales,
        sum(cogs) as cogs,
        coalesce(sum(cogs) filter (where is_gift), 0) as gift_cogs,
        count(*) filter (where units_sold <> 0 and deductions = 0) as undeducted_lines,
        coalesce(sum(net_sales) filter (where units_sold <> 0 and deductions = 0), 0) as undeducted_sales,
    from line_cogs
    group by venue_id
),

operations_of_venue as (
    select
        venue_id,
        coalesce(sum(total_cost) filter (where is_unassigned), 0) as unassigned_cogs,
        coalesce(sum(total_cost) filter (where is_estimated), 0) as estimated_cogs,
    from operations
    group by venue_id
),

venues as (
    select
        receipts_of_venue.venue_id,
        receipts_of_venue.receipts,
        coalesce(lines_of_venue.lines, 0) as lines,
        coalesce(lines_of_venue.net_sales, 0) as net_sales,
        coalesce(lines_of_venue.cogs, 0) + coalesce(operations_of_venue.unassigned_cogs, 0) as cogs,
        coalesce(lines_of_venue.gift_cogs, 0) as gift_cogs,
        coalesce(lines_of_venue.undeducted_lines, 0) as undeducted_lines,
        coalesce(lines_of_venue.undeducted_sales, 0) as undeducted_sales,
        coalesce(operations_of_venue.unassigned_cogs, 0) as unassigned_cogs,
        coalesce(operations_of_venue.estimated_cogs, 0) as estimated_cogs,
        receipts_of_venue.receipts_total,
        receipts_of_venue.inclusive_tax,
    from receipts_of_venue
    left join lines_of_venue using (venue_id)
    left join operations_of_venue using (venue_id)
)

select
    venue_id,
    receipts,
    lines,
    net_sales,
    cogs,
    net_sales - cogs as gross_profit,
    100 * cogs / nullif(net_sales, 0) as food_cost_pct,
    gift_cogs,
    undeducted_lines,
    undeducted_sales,
    unassigned_cogs,
    estimated_cogs,
    receipts_total,
    inclusive_tax,
    100 * cogs / nullif(net_sales - inclusive_tax, 0) as food_cost_pct_excl_tax,
from venues
