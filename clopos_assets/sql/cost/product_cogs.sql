-- product_cogs: one row per venue and product sold
-- inputs: line_cogs of one shift date
select
    venue_id,
    product_id,
    arg_max_null(product_name, receipt_product_id) as product_name,
    arg_max_null(product_type, receipt_product_id) as product_type,
    count(*) as lines,
    sum(units_sold) as units_sold,
    sum(net_sales) as net_sales,
    sum(cogs) as cogs,
    sum(gross_profit) as gross_profit,
    100 * sum(cogs) / nullif(sum(net_sales), 0) as food_cost_pct,
    sum(cogs) / nullif(sum(units_sold), 0) as unit_cost,
from line_cogs
group by venue_id, product_id
