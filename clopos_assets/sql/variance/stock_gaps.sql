-- stock_gaps: one row per venue, storage, stock and ledger date, under the shift date of the operation after the gap
-- inputs: stock_ledger of one shift date
with gaps as (
    select
        venue_id, storage_id, stock_id, product_id, product_name, stock_operation_id,
        cast(operated_at as date) as ledger_date,
        unexplained_quantity as quantity,
        -- Not known where the stock's cost before is not.
        unexplained_value as value_change,
        -- A cost that was set while the stock was not above 0 is a guess.
        previous_after_quantity < 0 or before_quantity <= 0 or before_cost is null as is_guess,
        cast(before_quantity as decimal(38, 6)) * before_cost
        - cast(previous_after_quantity as decimal(38, 6)) * previous_cost as exact_value,
    from stock_ledger
    where unexplained_quantity <> 0 or unexplained_value <> 0
)

-- A sum that leaves out what is unknown would look like the whole.
select
    venue_id,
    storage_id,
    stock_id,
    ledger_date,
    last(product_id order by stock_operation_id) as product_id,
    last(product_name order by stock_operation_id) as product_name,
    count(*) as gaps,
    coalesce(sum(quantity) filter (where quantity > 0), 0) as inflow_quantity,
    case
        when not coalesce(bool_or(value_change is null) filter (where quantity > 0), false)
        then coalesce(sum(value_change) filter (where quantity > 0), 0)
    end as inflow_value,
    coalesce(-sum(quantity) filter (where quantity < 0), 0) as outflow_quantity,
    case
        when not coalesce(bool_or(value_change is null) filter (where quantity < 0), false)
        then coalesce(-sum(value_change) filter (where quantity < 0), 0)
    end as outflow_value,
    coalesce(sum(value_change) filter (where quantity = 0), 0) as revaluation,
    case
        when not bool_or(is_guess) filter (where quantity > 0)
        then sum(exact_value) filter (where quantity > 0) / sum(quantity) filter (where quantity > 0)
    end as implied_unit_price,
from gaps
group by venue_id, storage_id, stock_id, ledger_date
